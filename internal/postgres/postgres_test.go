package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"consilium/internal/analysis"
	"consilium/internal/blob"
	"consilium/internal/postgres"
	"consilium/internal/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m, postgres.Migrate) }

// fixture is a store on a database and a blob folder of its own.
type fixture struct {
	*postgres.Store
	ctx context.Context
	url string
	dir string
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{ctx: analysis.WithTenant(context.Background(), analysis.DefaultTenant), url: pgtest.New(t), dir: t.TempDir()}
	blobs, err := blob.Open(f.dir, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	f.Store = f.open(t, blobs)
	return f
}

func (f *fixture) open(t testing.TB, blobs postgres.Blobs) *postgres.Store {
	t.Helper()
	store, err := postgres.Open(context.Background(), f.url, blobs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}

// exec runs SQL behind the store's back.
func (f *fixture) exec(t testing.TB, sql string, args ...any) error {
	t.Helper()
	conn, err := pgx.Connect(f.ctx, f.url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(f.ctx)
	_, err = conn.Exec(f.ctx, sql, args...)
	return err
}

func (f *fixture) count(t *testing.T, table string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(f.ctx, f.url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(f.ctx)
	if err := conn.QueryRow(f.ctx, "SELECT count(*) FROM "+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// files returns how many blobs lie in the folder.
func (f *fixture) files(t *testing.T) (n int) {
	t.Helper()
	if err := filepath.Walk(f.dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			n++
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

func (f *fixture) create(t *testing.T, ctx context.Context, contents ...string) *analysis.Study {
	t.Helper()
	study, raw := studyOf(contents...)
	if err := f.CreateStudy(ctx, study, raw); err != nil {
		t.Fatal(err)
	}
	return study
}

// studyOf returns a study with one artefact for each content, of the modalities in turn.
func studyOf(contents ...string) (*analysis.Study, [][]byte) {
	study := &analysis.Study{Title: "Title", Labels: map[string]string{"ward": "7"}, Artefacts: []analysis.Artefact{}}
	var raw [][]byte
	for i, content := range contents {
		study.Artefacts = append(study.Artefacts, analysis.Artefact{Modality: analysis.Modalities[i%3], MediaType: "text/plain"})
		raw = append(raw, []byte(content))
	}
	return study, raw
}

func answerOf(study *analysis.Study) *analysis.Answer {
	return &analysis.Answer{
		StudyID: study.ID, Question: "What is it?", Strict: true, Artefacts: study.Artefacts, TraceID: strings.Repeat("ab", 16),
		Stages: []analysis.Stage{{Name: "total", Seconds: 0.5}}, ReviewBelow: 0.8, Status: analysis.NeedsReview,
		Result: &analysis.Result{
			Answers:    []analysis.Candidate{{Text: "yes", Probability: 0.75}},
			Modalities: []analysis.ModalityWeight{{Modality: analysis.Text, Weight: 1, Entropy: 0.25}},
			Attention:  &analysis.Grid{Rows: 1, Cols: 2, Values: []float32{0.1, 0.9}},
			Notes:      []analysis.Note{{Modality: analysis.Image, Kind: "resized", Detail: "from 10 x 10"}},
			Reliance:   []analysis.Reliance{{Modality: analysis.Image, Score: 0.5, Blank: analysis.Counterfactual{Answer: "no", Confidence: 0.6, Changed: true, Divergence: 0.5}}},
			Degraded:   []analysis.Degradation{{Modality: analysis.Audio, Reason: "the audio encoder is not reachable"}},
			Models:     map[string]string{"fusion": "digest"},
		},
	}
}

func reportOf(study *analysis.Study) *analysis.DiagnosticReport {
	answer := answerOf(study)
	finding := analysis.Finding{Label: "pneumonia", Probability: 0.75, Threshold: 0.5, Present: true, Modality: analysis.Image}
	answer.Result.Findings = []analysis.Finding{finding}
	return &analysis.DiagnosticReport{
		StudyID: study.ID, Artefacts: answer.Artefacts, Result: answer.Result, Stages: answer.Stages, TraceID: answer.TraceID,
		Narrative: analysis.Narrative{Status: "preliminary", Disclaimer: "Research software",
			Sections:    []analysis.Section{{Name: "findings", Sentences: []analysis.Sentence{{Text: "Pneumonia.", Evidence: []analysis.Finding{finding}}}}},
			NotAssessed: []analysis.Omission{{Modality: analysis.Audio, Reason: "absent"}}},
	}
}

func TestStudyRoundTrip(t *testing.T) {
	f := newFixture(t)
	study, contents := studyOf("note", "image", "sound", "note") // the last is the first again
	study.Accession = "A-1"
	if err := f.CreateStudy(f.ctx, study, contents); err != nil {
		t.Fatal(err)
	}
	got, err := f.Study(f.ctx, study.ID)
	if err != nil {
		t.Fatal(err)
	}
	if !got.CreatedAt.Equal(study.CreatedAt) {
		t.Errorf("created at %v, stored %v", study.CreatedAt, got.CreatedAt)
	}
	got.CreatedAt = study.CreatedAt
	if !reflect.DeepEqual(got, study) {
		t.Errorf("got %+v, want %+v", got, study)
	}
	for i := range got.Artefacts {
		if content, err := f.Content(f.ctx, &got.Artefacts[i]); err != nil || !bytes.Equal(content, contents[i]) {
			t.Errorf("artefact %d holds %q, %v, want %q", i, content, err, contents[i])
		}
	}
	if n := f.files(t); n != 3 {
		t.Errorf("%d files for 3 different contents", n)
	}

	answer, report := answerOf(study), reportOf(study)
	answer.Artefacts, report.Artefacts = study.Artefacts[:3], study.Artefacts[1:2]
	if err := f.CreateAnswer(f.ctx, answer); err != nil {
		t.Fatal(err)
	}
	if err := f.CreateReport(f.ctx, report); err != nil {
		t.Fatal(err)
	}
	answers, err := f.Answers(f.ctx, study.ID, analysis.Page{Limit: 10})
	if err != nil || len(answers) != 1 {
		t.Fatalf("got %d answers, %v", len(answers), err)
	}
	answers[0].CreatedAt = answer.CreatedAt
	if !reflect.DeepEqual(&answers[0], answer) {
		t.Errorf("got %+v, want %+v", answers[0], answer)
	}
	for ofArtefacts, want := range map[int]analysis.Code{len(study.Artefacts): "", len(study.Artefacts) - 1: analysis.Conflict} {
		again := answerOf(study)
		if again.OfArtefacts = ofArtefacts; analysis.CodeOf(f.CreateAnswer(f.ctx, again)) != want {
			t.Errorf("an answer of %d artefacts is not %q", ofArtefacts, want)
		}
	}
	stored, err := f.Report(f.ctx, report.ID)
	if err != nil {
		t.Fatal(err)
	}
	stored.CreatedAt = report.CreatedAt
	if !reflect.DeepEqual(stored, report) {
		t.Errorf("got %+v, want %+v", stored, report)
	}

	if err := f.DeleteStudy(f.ctx, study.ID); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"studies", "artefacts", "blobs", "answers", "reports"} {
		if n := f.count(t, table); n != 0 {
			t.Errorf("%d rows of %s outlive the study", n, table)
		}
	}
	if n := f.files(t); n != 0 {
		t.Errorf("%d files outlive the study", n)
	}
}

func TestPagesReachEveryItemOnce(t *testing.T) {
	f := newFixture(t)
	var want []string
	for i := range 7 {
		want = append([]string{f.create(t, f.ctx, fmt.Sprint("note ", i)).ID}, want...)
	}
	var got []string
	page := analysis.Page{Limit: 3}
	for {
		studies, err := f.Studies(f.ctx, &analysis.StudyFilter{}, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, study := range studies {
			got = append(got, study.ID)
			if len(study.Artefacts) != 1 {
				t.Errorf("study %s came with %d artefacts", study.ID, len(study.Artefacts))
			}
		}
		if len(studies) < page.Limit {
			break
		}
		page.After = got[len(got)-1]
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSharedBytesLiveUntilTheLastStudy(t *testing.T) {
	f := newFixture(t)
	first, second := f.create(t, f.ctx, "shared", "only first"), f.create(t, f.ctx, "shared")
	if err := f.DeleteStudy(f.ctx, first.ID); err != nil {
		t.Fatal(err)
	}
	if content, err := f.Content(f.ctx, &second.Artefacts[0]); err != nil || string(content) != "shared" {
		t.Errorf("the other study's bytes are %q, %v", content, err)
	}
	if n := f.files(t); n != 1 {
		t.Errorf("%d files, want 1", n)
	}
}

// TestSameBytesComeAndGoAtOnce uploads and deletes the same bytes from many sides: whatever study remains has
// its bytes, and nothing else remains.
func TestSameBytesComeAndGoAtOnce(t *testing.T) {
	f := newFixture(t)
	var group sync.WaitGroup
	kept := make(chan *analysis.Study, 100)
	for worker := range 8 {
		group.Go(func() {
			for round := range 6 {
				study, contents := studyOf("b", "a", "c")
				if err := f.CreateStudy(f.ctx, study, contents); err != nil {
					t.Error(err)
					return
				}
				if worker == 0 && round == 5 {
					kept <- study
				} else if err := f.DeleteStudy(f.ctx, study.ID); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	study := <-kept
	for i, want := range []string{"b", "a", "c"} {
		if content, err := f.Content(f.ctx, &study.Artefacts[i]); err != nil || string(content) != want {
			t.Errorf("artefact %d holds %q, %v, want %q", i, content, err, want)
		}
	}
	if n, rows := f.files(t), f.count(t, "blobs"); n != 3 || rows != 3 {
		t.Errorf("%d files and %d rows, want 3 of each", n, rows)
	}
}

func TestTenantsSeeOnlyTheirOwn(t *testing.T) {
	f := newFixture(t)
	if err := f.exec(t, "INSERT INTO tenants (tenant_id) VALUES ('other')"); err != nil {
		t.Fatal(err)
	}
	other := analysis.WithTenant(context.Background(), "other")
	study := f.create(t, f.ctx, "note")
	twin := f.create(t, other, "note")
	answer, report := answerOf(study), reportOf(study)
	if err := errors.Join(f.CreateAnswer(f.ctx, answer), f.CreateReport(f.ctx, report)); err != nil {
		t.Fatal(err)
	}
	_, studyErr := f.Study(other, study.ID)
	_, answersErr := f.Answers(other, study.ID, analysis.Page{Limit: 1})
	_, reportErr := f.Report(other, report.ID)
	for name, err := range map[string]error{
		"study": studyErr, "answers": answersErr, "report": reportErr, "delete": f.DeleteStudy(other, study.ID),
		"answer": f.CreateAnswer(other, answerOf(study)), "new report": f.CreateReport(other, reportOf(study)),
	} {
		if analysis.CodeOf(err) != analysis.NotFound {
			t.Errorf("%s of another tenant: %v, want not_found", name, err)
		}
	}
	if studies, err := f.Studies(other, &analysis.StudyFilter{}, analysis.Page{Limit: 10}); err != nil || len(studies) != 1 || studies[0].ID != twin.ID {
		t.Errorf("the other tenant lists %v, %v", studies, err)
	}
	if err := f.DeleteStudy(other, twin.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Content(f.ctx, &study.Artefacts[0]); err != nil {
		t.Errorf("another tenant's deletion took the bytes: %v", err)
	}
	if _, err := f.Study(context.Background(), study.ID); err == nil {
		t.Error("a call without a tenant was answered")
	}
}

// failingBlobs refuses to store one content.
type failingBlobs struct {
	postgres.Blobs
	refuse string
}

func (b failingBlobs) Put(tenant, digest string, content []byte) error {
	if string(content) == b.refuse {
		return errors.New("no space left on device")
	}
	return b.Blobs.Put(tenant, digest, content)
}

func TestAFailedUploadLeavesNothing(t *testing.T) {
	f := newFixture(t)
	blobs, err := blob.Open(f.dir, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	full := f.open(t, failingBlobs{blobs, "third"})
	for name, test := range map[string]struct {
		store  *postgres.Store
		change func(*analysis.Study)
		want   analysis.Code
	}{
		"disk full":          {full, func(*analysis.Study) {}, analysis.Internal},
		"constraint":         {f.Store, func(s *analysis.Study) { s.Artefacts[2].Modality = "smell" }, analysis.Internal},
		"title over 200":     {f.Store, func(s *analysis.Study) { s.Title = strings.Repeat("x", 201) }, analysis.Internal},
		"accession in use":   {f.Store, func(s *analysis.Study) { s.Accession = "A" }, analysis.Conflict},
		"one content absent": {f.Store, func(s *analysis.Study) { s.Artefacts = s.Artefacts[:2] }, analysis.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			holder, contents := studyOf("first")
			holder.Accession = "A"
			if err := f.CreateStudy(f.ctx, holder, contents); err != nil {
				t.Fatal(err)
			}
			study, contents := studyOf("first", "second", "third")
			test.change(study)
			if err := test.store.CreateStudy(f.ctx, study, contents); analysis.CodeOf(err) != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
			if files, rows, studies := f.files(t), f.count(t, "blobs"), f.count(t, "studies"); files != 1 || rows != 1 || studies != 1 {
				t.Errorf("%d files, %d blob rows, %d studies, want the holder's only", files, rows, studies)
			}
			if err := f.DeleteStudy(f.ctx, holder.ID); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestReclaimAbandoned(t *testing.T) {
	f := newFixture(t)
	f.create(t, f.ctx, "held")
	blobs, err := blob.Open(f.dir, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for content, age := range map[string]string{"old": "2 hours", "fresh": "1 minute"} { // as uploads leave them that died
		digest := blob.Digest([]byte(content))
		if err := errors.Join(blobs.Put("default", digest, []byte(content)),
			f.exec(t, "INSERT INTO blobs VALUES ('default', $1, 5, now() - $2::interval)", digest, age)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.ReclaimAbandoned(context.Background()); err != nil {
		t.Fatal(err)
	}
	if files, rows := f.files(t), f.count(t, "blobs"); files != 2 || rows != 2 {
		t.Errorf("%d files and %d rows, want what is held and what may be in progress", files, rows)
	}
}

func TestWhatDoesNotExist(t *testing.T) {
	f := newFixture(t)
	gone := &analysis.Study{ID: "0198c0de-0000-7000-8000-000000000000"}
	_, studyErr := f.Study(f.ctx, gone.ID)
	_, reportErr := f.Report(f.ctx, gone.ID)
	_, answersErr := f.Answers(f.ctx, gone.ID, analysis.Page{Limit: 1})
	report := reportOf(gone)
	report.Artefacts = f.create(t, f.ctx, "note").Artefacts // of another study
	for name, err := range map[string]error{
		"study": studyErr, "report": reportErr, "answers": answersErr, "delete": f.DeleteStudy(f.ctx, gone.ID),
		"new answer": f.CreateAnswer(f.ctx, answerOf(gone)), "new report": f.CreateReport(f.ctx, report),
	} {
		if analysis.CodeOf(err) != analysis.NotFound {
			t.Errorf("%s: %v, want not_found", name, err)
		}
	}
}

func TestMigrateFromManySides(t *testing.T) {
	f := newFixture(t)
	if err := f.exec(t, "DROP SCHEMA public CASCADE"); err != nil {
		t.Fatal(err)
	}
	if err := f.exec(t, "CREATE SCHEMA public"); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			if err := postgres.Migrate(context.Background(), f.url); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

func TestADatabaseThatIsDown(t *testing.T) {
	blobs, err := blob.Open(t.TempDir(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	store, err := postgres.Open(context.Background(), "postgres://nobody:secret@127.0.0.1:1/none", blobs)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	ctx := analysis.WithTenant(context.Background(), analysis.DefaultTenant)
	study, contents := studyOf("note")
	_, studyErr := store.Study(ctx, "0198c0de-0000-7000-8000-000000000000")
	for name, err := range map[string]error{"ready": store.Ready(ctx), "study": studyErr, "create": store.CreateStudy(ctx, study, contents)} {
		var coded *analysis.Error
		if !errors.As(err, &coded) || coded.Code != analysis.Unavailable || strings.Contains(coded.Message, "127.0.0.1") {
			t.Errorf("%s: %v, want unavailable without an address in the message", name, err)
		}
	}
	if _, err := postgres.Open(context.Background(), "postgres://user:secret@host:port/x", blobs); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a wrong address gives %v, want an error without the password", err)
	}
}
