package gateway

import (
	"context"
	"sync/atomic"
	"testing"

	"consilium/gateway/client"
	"consilium/internal/analysis"
)

// reads counts how often a study is read from its store.
type reads struct {
	analysis.Store
	studies atomic.Int64
}

func (r *reads) Study(ctx context.Context, id string) (*analysis.Study, error) {
	r.studies.Add(1)
	return r.Store.Study(ctx, id)
}

// TestAStudyThatIsAskedAboutIsNotReadAgain asks about a study that was stored here, and about one that somebody else stored.
func TestAStudyThatIsAskedAboutIsNotReadAgain(t *testing.T) {
	store := &reads{}
	f := newFixture(t, func(d *Deps) { store.Store, d.Store = d.Store, store })
	stored := f.create(item{"text", []byte("A note.")}, item{"image", picture(1)})
	theirs := &analysis.Study{Artefacts: []analysis.Artefact{{Modality: analysis.Text, MediaType: analysis.TextMediaType}}}
	if err := f.store.CreateStudy(analysis.WithTenant(context.Background(), analysis.DefaultTenant), theirs, [][]byte{[]byte("Another note.")}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, study      string
		artefacts, reads int
	}{{"stored here", stored.Id, 2, 0}, {"stored elsewhere", theirs.ID, 1, 1}} {
		store.studies.Store(0)
		for range 2 {
			r, err := f.client.AskStudyWithResponse(context.Background(), test.study, client.QuestionRequest{Question: "Is it red?"})
			if err != nil || r.JSON200 == nil || len(r.JSON200.Artefacts) != test.artefacts {
				t.Fatalf("%s: %v: answered %s, want an answer about %d artefacts", test.name, err, r.Body, test.artefacts)
			}
		}
		if n := store.studies.Load(); n != int64(test.reads) {
			t.Errorf("%s: the study was read %d times, want %d", test.name, n, test.reads)
		}
	}
}

// TestWhatAnotherGatewayDidIsSeen asks about a study that this gateway remembers, and that changes behind its back.
func TestWhatAnotherGatewayDidIsSeen(t *testing.T) {
	f := newFixture(t, remembering(connect(t, startValkey(t))))
	study, other := f.create(item{"image", picture(1)}), f.create(item{"image", picture(2)})
	ids := map[string]bool{}
	ask := func(image string) {
		t.Helper()
		r, err := f.client.AskStudyWithResponse(context.Background(), study.Id, client.QuestionRequest{Question: "Is it red?"})
		if err != nil || r.JSON200 == nil || len(r.JSON200.Artefacts) != 1 || r.JSON200.Artefacts[0].Sha256 != image {
			t.Fatalf("%v: answered %s, want an answer about %s", err, r.Body, image)
		}
		if timing := r.HTTPResponse.Header.Get("Server-Timing"); timing == "" || r.JSON200.TraceId != r.HTTPResponse.Header.Get("X-Trace-Id") {
			t.Errorf("an answer of trace %s, timed %q", r.JSON200.TraceId, timing)
		}
		ids[r.JSON200.Id] = true
	}
	for range 3 {
		ask(study.Artefacts[0].Sha256)
	}
	f.query(`INSERT INTO artefacts (tenant_id, study_id, id, position, modality, media_type, sha256)
		SELECT tenant_id, $1, id, 1, modality, media_type, sha256 FROM artefacts WHERE study_id = $2 RETURNING ''`, study.Id, other.Id)
	for range 2 {
		ask(other.Artefacts[0].Sha256)
	}
	list, err := f.client.ListAnswersWithResponse(context.Background(), study.Id, nil)
	if err != nil || list.JSON200 == nil || len(list.JSON200.Answers) != 5 || len(ids) != 5 {
		t.Errorf("%v: 5 answers with %d ids are stored as %.300s", err, len(ids), list.Body)
	}
	if err := f.store.DeleteStudy(analysis.WithTenant(context.Background(), analysis.DefaultTenant), study.Id); err != nil {
		t.Fatal(err)
	}
	if r, err := f.client.AskStudyWithResponse(context.Background(), study.Id, client.QuestionRequest{Question: "Is it red?"}); err != nil || r.StatusCode() != 404 {
		t.Errorf("%v: a study that is gone answers %s", err, r.Body)
	}
}
