package postgres_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"

	"consilium/internal/analysis"
	"consilium/internal/blob"
)

// instanceOf returns an instance of the study and the series n, and its bytes.
func instanceOf(study, series, uid string) (*analysis.Instance, []byte) {
	attribute := func(tag, vr, value string) string {
		return fmt.Sprintf(`"%s":{"vr":"%s","Value":[%s]}`, tag, vr, value)
	}
	quote := func(s string) string { return `"` + s + `"` }
	object := func(members ...string) json.RawMessage {
		b := "{"
		for i, m := range members {
			if i > 0 {
				b += ","
			}
			b += m
		}
		return json.RawMessage(b + "}")
	}
	return &analysis.Instance{
		StudyUID: study, SeriesUID: series, UID: uid, TransferSyntax: "1.2.840.10008.1.2.1", Patient: []byte("somebody"),
		StudyAttributes: object(attribute("00080020", "DA", quote("2020061"+study[len(study)-1:])), attribute("0020000D", "UI", quote(study)),
			attribute("00100010", "PN", `{"Alphabetic":"Doe^Jane","Ideographic":"100%_"}`)),
		SeriesAttributes: object(attribute("00080060", "CS", quote("M"+series[len(series)-1:])), attribute("0020000E", "UI", quote(series))),
		Metadata:         object(attribute("00080018", "UI", quote(uid)), attribute("00200013", "IS", uid[len(uid)-1:])),
		Title:            "Chest radiograph", Note: "Chest radiograph, patient.",
	}, []byte("bytes of " + uid)
}

func (f *fixture) storeInstance(t *testing.T, ctx context.Context, study, series, uid string) *analysis.Instance {
	t.Helper()
	instance, content := instanceOf(study, series, uid)
	if err := f.StoreInstance(ctx, instance, content); err != nil {
		t.Fatal(err)
	}
	return instance
}

func TestInstancesAreArtefactsOfOneStudy(t *testing.T) {
	f := newFixture(t)
	first := f.storeInstance(t, f.ctx, "1.1", "1.1.1", "1.1.1.1")
	second := f.storeInstance(t, f.ctx, "1.1", "1.1.2", "1.1.2.1")
	again := f.storeInstance(t, f.ctx, "1.1", "1.1.1", "1.1.1.1")
	if again.Artefact.ID != first.Artefact.ID || again.Position != first.Position {
		t.Errorf("stored again as %+v, first as %+v", again.Artefact, first.Artefact)
	}
	studies, err := f.Studies(f.ctx, &analysis.StudyFilter{}, analysis.Page{Limit: 10})
	if err != nil || len(studies) != 1 {
		t.Fatalf("%d studies, %v", len(studies), err)
	}
	study := studies[0]
	if study.Title != "Chest radiograph" || study.InstanceUID != "1.1" || len(study.Artefacts) != 3 {
		t.Fatalf("the study is %+v", study)
	}
	for i, want := range []struct {
		modality  analysis.Modality
		mediaType string
		content   string
	}{{analysis.Text, analysis.TextMediaType, "Chest radiograph, patient."}, {analysis.Image, analysis.DICOMMediaType, "bytes of 1.1.1.1"}, {analysis.Image, analysis.DICOMMediaType, "bytes of 1.1.2.1"}} {
		a := study.Artefacts[i]
		content, err := f.Content(f.ctx, &a)
		if err != nil || string(content) != want.content || a.Modality != want.modality || a.MediaType != want.mediaType {
			t.Errorf("artefact %d is %+v with %q, %v", i, a, content, err)
		}
	}
	page := analysis.InstancePage{StudyUID: "1.1", After: -1, Limit: 1, Metadata: true}
	one, err := f.Instances(f.ctx, page)
	if err != nil || len(one) != 1 || one[0].UID != "1.1.1.1" || one[0].Artefact.ID != first.Artefact.ID || one[0].Artefact.Bytes != int64(len("bytes of 1.1.1.1")) || len(one[0].Metadata) == 0 {
		t.Fatalf("%+v, %v", one, err)
	}
	page.After, page.Metadata = one[0].Position, false
	two, err := f.Instances(f.ctx, page)
	if err != nil || len(two) != 1 || two[0].UID != "1.1.2.1" || two[0].Position != second.Position || two[0].Metadata != nil {
		t.Fatalf("%+v, %v", two, err)
	}
	if none, err := f.Instances(f.ctx, analysis.InstancePage{StudyUID: "1.1", SeriesUID: "1.1.2", UID: "1.1.1.1", After: -1, Limit: 1}); err != nil || len(none) != 0 {
		t.Errorf("an instance of another series: %+v, %v", none, err)
	}
	if err := f.DeleteStudy(f.ctx, study.ID); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"studies", "artefacts", "blobs", "dicom_studies", "dicom_series", "dicom_instances"} {
		if n := f.count(t, table); n != 0 {
			t.Errorf("%d rows of %s are left", n, table)
		}
	}
	if n := f.files(t); n != 0 {
		t.Errorf("%d files are left", n)
	}
}

func TestInstancesThatContradictWhatIsStored(t *testing.T) {
	f := newFixture(t)
	f.storeInstance(t, f.ctx, "1.1", "1.1.1", "1.1.1.1")
	f.storeInstance(t, f.ctx, "1.2", "1.2.1", "1.2.1.1")
	before := f.count(t, "artefacts")
	for name, test := range map[string]struct {
		study, series, uid string
		change             func(i *analysis.Instance, content *[]byte)
		field              string
	}{
		"another patient":        {"1.1", "1.1.1", "1.1.1.2", func(i *analysis.Instance, _ *[]byte) { i.Patient = []byte("another") }, "patient"},
		"a new series, too":      {"1.1", "1.1.9", "1.1.9.2", func(i *analysis.Instance, _ *[]byte) { i.Patient = []byte("another") }, "patient"},
		"other bytes":            {"1.1", "1.1.1", "1.1.1.1", func(_ *analysis.Instance, content *[]byte) { *content = []byte("other") }, "uid"},
		"a series of two":        {"1.1", "1.2.1", "1.1.1.2", nil, "study"},
		"an instance of two":     {"1.1", "1.1.1", "1.2.1.1", nil, "study"},
		"another series":         {"1.1", "1.1.2", "1.1.1.1", nil, "study"},
		"a new study's instance": {"1.3", "1.3.1", "1.1.1.1", nil, "study"},
	} {
		t.Run(name, func(t *testing.T) {
			instance, content := instanceOf(test.study, test.series, test.uid)
			if test.change != nil {
				test.change(instance, &content)
			}
			err := f.StoreInstance(f.ctx, instance, content)
			var e *analysis.Error
			if !errors.As(err, &e) || e.Code != analysis.Conflict || e.Field != test.field {
				t.Errorf("error %v, want a conflict of %s", err, test.field)
			}
			if n := f.count(t, "artefacts"); n != before || f.files(t) != before-1 { // both studies have the same note
				t.Errorf("%d artefacts and %d files after the refusal, %d before", n, f.files(t), before)
			}
			if f.count(t, "dicom_series") != 2 || f.count(t, "studies") != 2 {
				t.Error("something was half stored")
			}
		})
	}
}

func TestAFullDiskLeavesNoInstance(t *testing.T) {
	f := newFixture(t)
	blobs, err := blob.Open(f.dir, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	full := f.open(t, failingBlobs{blobs, "bytes of 1.1.1.1"})
	instance, content := instanceOf("1.1", "1.1.1", "1.1.1.1")
	if err := full.StoreInstance(f.ctx, instance, content); analysis.CodeOf(err) != analysis.Internal {
		t.Errorf("error %v", err)
	}
	for _, table := range []string{"studies", "artefacts", "blobs", "dicom_studies", "dicom_series", "dicom_instances"} {
		if n := f.count(t, table); n != 0 {
			t.Errorf("%d rows of %s", n, table)
		}
	}
	if f.files(t) != 0 {
		t.Errorf("%d files", f.files(t))
	}
}

func TestInstancesBelongToATenant(t *testing.T) {
	f := newFixture(t)
	if err := f.exec(t, "INSERT INTO tenants (tenant_id) VALUES ('other')"); err != nil {
		t.Fatal(err)
	}
	other := analysis.WithTenant(context.Background(), "other")
	f.storeInstance(t, f.ctx, "1.1", "1.1.1", "1.1.1.1")
	if found, err := f.Instances(other, analysis.InstancePage{StudyUID: "1.1", After: -1, Limit: 9}); err != nil || len(found) != 0 {
		t.Errorf("another tenant reads %+v, %v", found, err)
	}
	for level := analysis.StudyLevel; level <= analysis.InstanceLevel; level++ {
		if found, err := f.SearchInstances(other, analysis.InstanceQuery{Level: level, Limit: 9}); err != nil || len(found) != 0 {
			t.Errorf("another tenant finds %+v, %v", found, err)
		}
	}
	f.storeInstance(t, other, "1.1", "1.1.1", "1.1.1.1") // the same UIDs are another study there
	for _, ctx := range []context.Context{f.ctx, other} {
		for level := analysis.StudyLevel; level <= analysis.InstanceLevel; level++ {
			if found, err := f.SearchInstances(ctx, analysis.InstanceQuery{Level: level, Limit: 9}); err != nil || len(found) != 1 || found[0].StudyInstances != 1 || found[0].StudySeries != 1 || len(found[0].Modalities) != 1 {
				t.Errorf("found %+v, %v", found, err)
			}
		}
	}
	for _, call := range []func() error{
		func() error { _, err := f.Instances(context.Background(), analysis.InstancePage{}); return err },
		func() error { _, err := f.SearchInstances(context.Background(), analysis.InstanceQuery{}); return err },
		func() error {
			i, c := instanceOf("1.1", "1.1.1", "1.1.1.1")
			return f.StoreInstance(context.Background(), i, c)
		},
	} {
		if call() == nil {
			t.Error("a call without a tenant was served")
		}
	}
}

func TestInstancesAtOnce(t *testing.T) {
	f := newFixture(t)
	const n = 12
	errs := make([]error, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			instance, content := instanceOf("1.1", fmt.Sprintf("1.1.%d", i%3), fmt.Sprintf("1.1.7.%d", i/2)) // each twice, in two series
			instance.SeriesUID = fmt.Sprintf("1.1.%d", i/2%3)
			errs[i] = f.StoreInstance(f.ctx, instance, content)
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	if f.count(t, "studies") != 1 || f.count(t, "dicom_series") != 3 || f.count(t, "dicom_instances") != n/2 || f.count(t, "artefacts") != n/2+1 || f.files(t) != n/2+1 {
		t.Errorf("%d studies, %d series, %d instances, %d artefacts, %d files", f.count(t, "studies"), f.count(t, "dicom_series"), f.count(t, "dicom_instances"), f.count(t, "artefacts"), f.files(t))
	}
}

// TestInstancesOfAStudyThatIsDeleted lets deletions and uploads of one study run against each other.
func TestInstancesOfAStudyThatIsDeleted(t *testing.T) {
	f := newFixture(t)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			instance, content := instanceOf("1.1", "1.1.1", fmt.Sprintf("1.1.1.%d", i))
			if err := f.StoreInstance(f.ctx, instance, content); err != nil {
				t.Error(err)
			}
		})
		group.Go(func() {
			studies, err := f.Studies(f.ctx, &analysis.StudyFilter{}, analysis.Page{Limit: 1})
			if err != nil {
				t.Error(err)
			}
			for _, study := range studies {
				if err := f.DeleteStudy(f.ctx, study.ID); err != nil && analysis.CodeOf(err) != analysis.NotFound {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if artefacts, files, instances := f.count(t, "artefacts"), f.files(t), f.count(t, "dicom_instances"); artefacts != files || artefacts > 0 && artefacts != instances+1 {
		t.Errorf("%d artefacts, %d files, %d instances", artefacts, files, instances)
	}
}

func TestSecretsStay(t *testing.T) {
	f := newFixture(t)
	secrets := make([][]byte, 8)
	var group sync.WaitGroup
	for i := range secrets {
		group.Go(func() { secrets[i], _ = f.Secret(f.ctx, "a") })
	}
	group.Wait()
	for _, secret := range secrets {
		if len(secret) != 32 || !bytes.Equal(secret, secrets[0]) {
			t.Errorf("secrets %x and %x", secret, secrets[0])
		}
	}
	if other, err := f.Secret(f.ctx, "b"); err != nil || bytes.Equal(other, secrets[0]) {
		t.Errorf("two names have one secret, %v", err)
	}
}

func TestSearchInstances(t *testing.T) {
	f := newFixture(t)
	for _, uids := range [][3]string{{"1.1", "1.1.1", "1.1.1.1"}, {"1.1", "1.1.1", "1.1.1.2"}, {"1.1", "1.1.2", "1.1.2.3"}, {"1.2", "1.2.3", "1.2.3.4"}} {
		f.storeInstance(t, f.ctx, uids[0], uids[1], uids[2])
	}
	match := func(level analysis.Level, tag string, kind analysis.MatchKind, values ...string) analysis.InstanceQuery {
		return analysis.InstanceQuery{Level: level, Matches: []analysis.Match{{Level: level, Tag: tag, Kind: kind, Values: values}}}
	}
	const study, series, instance = analysis.StudyLevel, analysis.SeriesLevel, analysis.InstanceLevel
	for name, test := range map[string]struct {
		query analysis.InstanceQuery
		want  []string
	}{
		"all studies, newest first":   {analysis.InstanceQuery{Level: study}, []string{"1.2", "1.1"}},
		"all series":                  {analysis.InstanceQuery{Level: series}, []string{"1.2.3", "1.1.1", "1.1.2"}},
		"all instances":               {analysis.InstanceQuery{Level: instance}, []string{"1.2.3.4", "1.1.1.1", "1.1.1.2", "1.1.2.3"}},
		"a page":                      {analysis.InstanceQuery{Level: instance, Limit: 2, Offset: 1}, []string{"1.1.1.1", "1.1.1.2"}},
		"series of a study":           {analysis.InstanceQuery{Level: series, StudyUID: "1.1"}, []string{"1.1.1", "1.1.2"}},
		"instances of a series":       {analysis.InstanceQuery{Level: instance, StudyUID: "1.1", SeriesUID: "1.1.1"}, []string{"1.1.1.1", "1.1.1.2"}},
		"a series of another study":   {analysis.InstanceQuery{Level: instance, StudyUID: "1.2", SeriesUID: "1.1.1"}, nil},
		"list of UIDs":                {match(study, "0020000D", analysis.MatchAny, "1.1", "1.9"), []string{"1.1"}},
		"a number":                    {match(instance, "00200013", analysis.MatchAny, "3"), []string{"1.1.2.3"}},
		"a name":                      {match(study, "00100010", analysis.MatchName, "doe^*"), []string{"1.2", "1.1"}},
		"another group of the name":   {match(study, "00100010", analysis.MatchName, "100%_"), []string{"1.2", "1.1"}},
		"signs that SQL knows":        {match(study, "00100010", analysis.MatchName, "%"), nil},
		"half a name":                 {match(study, "00100010", analysis.MatchName, "doe"), nil},
		"wildcard":                    {match(series, "00080060", analysis.MatchWildcard, "?3"), []string{"1.2.3"}},
		"wildcards see small letters": {match(series, "00080060", analysis.MatchWildcard, "m*"), nil},
		"modalities of a study":       {match(study, analysis.ModalitiesInStudy, analysis.MatchAny, "M2"), []string{"1.1"}},
		"a range":                     {match(study, "00080020", analysis.MatchRange, "20200612", "20200630"), []string{"1.2"}},
		"from":                        {match(study, "00080020", analysis.MatchRange, "20200611", ""), []string{"1.2", "1.1"}},
		"up to a month":               {match(study, "00080020", analysis.MatchRange, "", "202006"), []string{"1.2", "1.1"}},
		"up to":                       {match(study, "00080020", analysis.MatchRange, "", "20200611"), []string{"1.1"}},
		"what is not there":           {match(study, "00080050", analysis.MatchWildcard, "*a"), nil},
		"a quote":                     {match(study, "0020000D", analysis.MatchAny, "1.1' OR ''='"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			if test.query.Limit == 0 {
				test.query.Limit = 10
			}
			found, err := f.SearchInstances(f.ctx, test.query)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, m := range found {
				uid := map[analysis.Level]string{study: m.StudyUID, series: m.SeriesUID, instance: m.UID}[test.query.Level]
				got = append(got, uid)
				if m.Study == nil || (m.Series == nil) != (test.query.Level < series) || (m.Instance == nil) != (test.query.Level < instance) {
					t.Errorf("%s has the attributes %s %s %s", uid, m.Study, m.Series, m.Instance)
				}
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("found %v, want %v", got, test.want)
			}
		})
	}
	found, err := f.SearchInstances(f.ctx, analysis.InstanceQuery{Level: series, StudyUID: "1.1", Limit: 1})
	if err != nil || len(found) != 1 || !reflect.DeepEqual(found[0].Modalities, []string{"M1", "M2"}) || found[0].StudySeries != 2 || found[0].StudyInstances != 3 || found[0].SeriesInstances != 2 {
		t.Errorf("found %+v, %v", found, err)
	}
}
