package gateway

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"consilium/gateway/client"
	"consilium/internal/importer"
)

// takeExport exports everything.
func (f *fixture) takeExport() []byte {
	f.t.Helper()
	response, raw := f.do(http.MethodGet, "/v1/export", nil, nil)
	if response.StatusCode != http.StatusOK {
		f.t.Fatalf("export answered %d %.300s", response.StatusCode, raw)
	}
	return raw
}

// restore gives an export to the gateway.
func (f *fixture) restore(export []byte) (*http.Response, []byte) {
	f.t.Helper()
	return f.do(http.MethodPost, "/v1/restore", http.Header{"Content-Type": {octetStream}}, bytes.NewReader(export))
}

func (f *fixture) restored(export []byte) (stored int) {
	f.t.Helper()
	response, body := f.restore(export)
	var report client.RestoreReport
	if err := json.Unmarshal(body, &report); err != nil || response.StatusCode != http.StatusOK {
		f.t.Fatalf("restore answered %s %s", response.Status, body)
	}
	for _, table := range report.Tables {
		stored += table.Stored
	}
	return stored
}

// rowsOf returns the rows of each table of an export, sorted, and the names of its other files.
func rowsOf(t *testing.T, export []byte, without ...string) map[string][]string {
	t.Helper()
	rows := map[string][]string{}
	for name, content := range exported(t, export) {
		table, isTable := strings.CutPrefix(name, "tables/")
		if !isTable {
			rows["files"] = append(rows["files"], name)
			continue
		}
		table, _, _ = strings.Cut(table, "-")
		if slices.Contains(without, table) {
			continue
		}
		for line := range strings.Lines(string(content)) {
			rows[table] = append(rows[table], line)
		}
	}
	for name := range rows {
		slices.Sort(rows[name])
	}
	return rows
}

// TestAnExportIsTakenBack by a platform that has nothing, twice, and with the same bytes.
func TestAnExportIsTakenBack(t *testing.T) {
	from, to := whole(t), whole(t)
	known := from.known()
	report := strings.Trim(known["report_id"][0], `"`)
	response, body := from.do(http.MethodPost, "/v1/reports/"+report+"/sign", http.Header{"Content-Type": {"application/json"}, "If-Match": {from.tag(report)}},
		strings.NewReader(`{"by":{"name":"Dr. Ada Example","role":"radiologist"}}`))
	if response.StatusCode != http.StatusOK {
		t.Fatalf("sign: %s", body)
	}
	study := strings.Trim(known["study_id"][0], `"`)
	paused := from.createJob(`{"task":"questions","filter":{"ids":["` + study + `"]},"options":{"questions":["Red?","Blue?"]}}`)
	from.finish(paused.Id)
	from.query("UPDATE jobs SET succeeded = 1, finished_at = NULL WHERE id::text = $1", paused.Id)
	from.query("UPDATE job_items SET state = 'running', result = NULL, finished_at = NULL WHERE job_id::text = $1 AND position = 2", paused.Id)

	export := from.takeExport()
	if stored := to.restored(export); stored < 20 {
		t.Errorf("only %d rows were stored", stored)
	}
	files := to.files()
	if stored := to.restored(export); stored != 0 || to.files() != files {
		t.Errorf("the second time %d rows and %d files were stored", stored, to.files()-files)
	}
	want, got := rowsOf(t, export, "study_vectors", "blobs", "tenants", "jobs", "job_items"), rowsOf(t, to.takeExport(), "study_vectors", "blobs", "tenants", "jobs", "job_items")
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if len(want[name]) == 0 || !slices.Equal(got[name], want[name]) {
			t.Errorf("%s: restored\n%v\nwant\n%v", name, got[name], want[name])
		}
	}
	if len(want) < 12 || len(got) != len(want) {
		t.Errorf("%d tables and files of %d", len(got), len(want))
	}
	for _, path := range []string{"/v1/reports/" + report, "/v1/reports/" + report + "/history", "/v1/studies/" + study, "/dicom-web/studies", "/v1/knowledge/facts"} {
		_, before := from.do(http.MethodGet, path, nil, nil)
		response, after := to.do(http.MethodGet, path, nil, nil)
		if response.StatusCode != http.StatusOK || !bytes.Equal(before, after) {
			t.Errorf("%s: restored %s %s\nwant %s", path, response.Status, after, before)
		}
	}
	to.indexed()

	job, err := to.client.GetJobWithResponse(t.Context(), paused.Id)
	if err != nil || job.JSON200 == nil || job.JSON200.State != client.JobPaused || job.JSON200.Counts.Queued != 1 {
		t.Fatalf("the job that was not over: %s", job.Body)
	}
	if resumed, err := to.client.ResumeJobWithResponse(t.Context(), paused.Id); err != nil || resumed.JSON200 == nil {
		t.Fatal(err)
	}
	if done := to.finish(paused.Id); done.Counts.Succeeded != 2 {
		t.Errorf("resumed it became %+v", done.Counts)
	}
}

// retar writes files as an export with right sums.
func retar(t *testing.T, files map[string][]byte) []byte {
	t.Helper()
	var out, sums bytes.Buffer
	w := tar.NewWriter(&out)
	add := func(name string, content []byte) {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(content)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		add(name, files[name])
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(files[name]), name)
	}
	add(importer.SumsName, sums.Bytes())
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestABrokenExportStoresNothing(t *testing.T) {
	f := newFixture(t, nil)
	study := f.create()
	export := f.takeExport()
	changed := func(change func(files map[string][]byte)) []byte {
		files := exported(t, export)
		change(files)
		return retar(t, files)
	}
	blob := "blobs/" + study.Artefacts[0].Sha256
	to := newFixture(t, nil)
	for _, test := range []struct {
		name   string
		export []byte
		status int
		field  string
	}{
		{"nothing", nil, http.StatusUnprocessableEntity, "body"},
		{"no tar file", []byte(strings.Repeat("?", 2048)), http.StatusUnprocessableEntity, "body"},
		{"cut short", export[:len(export)-3000], http.StatusUnprocessableEntity, "body"},
		{"a changed byte", bytes.Replace(export, []byte("Chest film"), []byte("Chest Film"), 1), http.StatusUnprocessableEntity, "body"},
		{"bytes of another digest", changed(func(files map[string][]byte) { files[blob] = []byte("other") }), http.StatusUnprocessableEntity, "body"},
		{"a file that is none of an export", changed(func(files map[string][]byte) { files["tables/../../etc"] = nil }), http.StatusUnprocessableEntity, "body"},
		{"an unknown table", changed(func(files map[string][]byte) { files["tables/colours-0001.ndjson"] = nil }), http.StatusUnprocessableEntity, "body"},
		{"an unknown column", changed(func(files map[string][]byte) { files["tables/answers-0001.ndjson"] = []byte(`{"colour":1}`) }), http.StatusUnprocessableEntity, "tables.answers"},
		{"a row that is no JSON", changed(func(files map[string][]byte) { files["tables/answers-0001.ndjson"] = []byte("{") }), http.StatusUnprocessableEntity, "tables.answers"},
		{"a row that is no object", changed(func(files map[string][]byte) { files["tables/answers-0001.ndjson"] = []byte("[1]") }), http.StatusUnprocessableEntity, "tables.answers"},
		{"a row against the schema", changed(func(files map[string][]byte) {
			files["tables/studies-0001.ndjson"] = bytes.Replace(files["tables/studies-0001.ndjson"], []byte(`"labels":{`), []byte(`"labels":7,"x":{`), 1)
		}), http.StatusUnprocessableEntity, "tables.studies"},
		{"an artefact without bytes", changed(func(files map[string][]byte) { delete(files, blob) }), http.StatusConflict, "tables.artefacts"},
		{"artefacts without a study", changed(func(files map[string][]byte) { delete(files, "tables/studies-0001.ndjson") }), http.StatusConflict, "tables.artefacts"},
	} {
		response, body := to.restore(test.export)
		if p := to.problem(response, body); p.Status != test.status || p.Field == nil || *p.Field != test.field {
			t.Errorf("%s: %s", test.name, body)
		}
	}
	if studies := to.query("SELECT id::text FROM studies"); len(studies) > 0 || to.files() > 0 {
		t.Errorf("%d studies and %d files were stored", len(studies), to.files())
	}
	// Another study has the accession.
	one, other := newFixture(t, nil), newFixture(t, nil)
	one.create(item{"metadata", []byte(`{"accession":"A-1"}`)}, item{"image", picture(1)})
	other.create(item{"metadata", []byte(`{"accession":"A-1"}`)}, item{"image", picture(2)})
	response, body := other.restore(one.takeExport())
	if p := other.problem(response, body); p.Status != http.StatusConflict || *p.Field != "tables.studies" || other.files() != 1 {
		t.Errorf("%d files, %s", other.files(), body)
	}
	if response, body := f.do(http.MethodPost, "/v1/restore", http.Header{"Content-Type": {"application/json"}}, io.LimitReader(bytes.NewReader(export), 10)); response.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("of another kind: %s", body)
	}
}

// TestEveryTableIsRestored: a new table that has tenants has to be thought of.
func TestEveryTableIsRestored(t *testing.T) {
	from := whole(t)
	from.known()
	export := rowsOf(t, from.takeExport())
	for _, table := range from.tables("tenant_id") {
		if len(export[table]) == 0 && table != "answers" && table != "api_keys" {
			t.Errorf("nothing of %s is in the export of everything: let known store some", table)
		}
	}
}
