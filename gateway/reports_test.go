package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"consilium/gateway/client"
	"consilium/internal/analysis"
	"consilium/internal/dicom"
)

// hostile is text that tries to be more than text in one form or another.
var hostile = []string{
	`<script>alert(1)</script>`, `</style></title><img src=x onerror=alert(1)>`, `{{.Title}} ${7*7} javascript:alert(1) " ' & ]]> --> <!--`,
	"No \u202Ecancer\u202C found \u200F\u2066x", "右肺 עברית العربية 🫁", `back\slash^caret=equals`, strings.Repeat("x", 4000), strings.Repeat("very long sentence ", 200), "\uFEFF\uFFFE\u2028line",
}

const aDoctor = `{"name": "Ada Vogt", "role": "radiologist"}`

// act does one thing with a report.
func (f *fixture) act(id, action, tag, body string) (*http.Response, []byte) {
	f.t.Helper()
	header := http.Header{"Content-Type": {"application/json"}}
	if tag != "" {
		header.Set("If-Match", tag)
	}
	return f.do(http.MethodPost, "/v1/reports/"+id+"/"+action, header, strings.NewReader(body))
}

// mustAct does it and returns the report and its tag.
func (f *fixture) mustAct(id, action, tag, body string) (client.Report, string) {
	f.t.Helper()
	response, raw := f.act(id, action, tag, body)
	var r client.Report
	if err := json.Unmarshal(raw, &r); err != nil || response.StatusCode != http.StatusOK {
		f.t.Fatalf("%s: %s %v %s", action, response.Status, err, raw)
	}
	return r, response.Header.Get("ETag")
}

// have reads a path in one form.
func (f *fixture) have(path, accept string) (*http.Response, []byte) {
	f.t.Helper()
	return f.do(http.MethodGet, path, http.Header{"Accept": {accept}}, nil)
}

func (f *fixture) tag(id string) string {
	f.t.Helper()
	response, _ := f.have("/v1/reports/"+id, "application/json")
	return response.Header.Get("ETag")
}

func TestALifeOfAReport(t *testing.T) {
	f := measuring(t, false)
	r := report(t, f, f.create(item{"image", picture(1)}, item{"text", []byte("note")}).Id)
	if r.Status != client.Preliminary || r.Version != 1 || r.LatestVersion != 1 || r.Signature != nil {
		t.Fatalf("a new report: %+v", r)
	}
	tag := f.tag(r.Id)
	text := r.Sections[0].Sentences[0].Text
	const change = `{"by": ` + aDoctor + `, "reason": "Seen otherwise", "changes": [{"section": "findings", "sentence": 0, "text": "No pneumonia."}, {"section": "impression", "sentence": 0}, {"section": "impression", "text": "Healthy."}]}`

	second, tag2 := f.mustAct(r.Id, "amend", tag, change)
	if s := second.Sections[0].Sentences[0]; second.Status != client.Preliminary || second.Version != 2 || s.Text != "No pneumonia." || s.WrittenBy == nil || len(s.Evidence) != 1 || second.Signature != nil {
		t.Errorf("amended before it was signed: %+v", second)
	}
	if s := second.Sections[2].Sentences; len(s) != 1 || s[0].Text != "Healthy." || len(s[0].Evidence) != 0 {
		t.Errorf("impression %+v", s)
	}
	signed, tag3 := f.mustAct(r.Id, "sign", tag2, `{"by": `+aDoctor+`}`)
	if signed.Status != client.Final || signed.Version != 2 || signed.Signature == nil || signed.Signature.By.Name != "Ada Vogt" || signed.Signature.Version != 2 {
		t.Errorf("signed: %+v", signed)
	}
	if response, body := f.act(r.Id, "sign", tag3, `{"by": `+aDoctor+`}`); response.StatusCode != http.StatusConflict {
		t.Errorf("signed twice: %s %s", response.Status, body)
	} else if p := f.problem(response, body); *p.Value != "final" || !strings.Contains(p.Detail, "final") || !strings.Contains(p.Detail, "sign") {
		t.Errorf("signed twice: %+v", p)
	}
	third, tag4 := f.mustAct(r.Id, "amend", tag3, `{"by": `+aDoctor+`, "reason": "Second look", "changes": [{"section": "impression", "sentence": 0, "text": "Pneumonia."}]}`)
	if third.Status != client.Amended || third.Version != 3 || third.Signature == nil || third.Signature.Action != client.Amend {
		t.Errorf("amended after it was signed: %+v", third)
	}
	rejected, tag5 := f.mustAct(r.Id, "reject", tag4, `{"by": `+aDoctor+`, "reason": "Wrong patient"}`)
	if rejected.Status != client.Rejected || rejected.Version != 3 || rejected.Rejection == nil || *rejected.Rejection.Reason != "Wrong patient" {
		t.Errorf("rejected: %+v", rejected)
	}
	for action, body := range map[string]string{"sign": `{"by": ` + aDoctor + `}`, "amend": change, "reject": `{"by": ` + aDoctor + `, "reason": "again"}`} {
		if response, body := f.act(r.Id, action, tag5, body); response.StatusCode != http.StatusConflict || !strings.Contains(string(body), "rejected") {
			t.Errorf("%s after it was rejected: %s %s", action, response.Status, body)
		}
	}
	for version, want := range map[int]string{1: text, 2: "No pneumonia.", 3: "No pneumonia."} {
		got, err := f.client.GetReportVersionWithResponse(t.Context(), r.Id, version)
		if err != nil || got.JSON200 == nil || got.JSON200.Sections[0].Sentences[0].Text != want || got.JSON200.Version != version || got.JSON200.LatestVersion != 3 || got.JSON200.Status != client.Rejected {
			t.Errorf("version %d: %v %s", version, err, got.Body)
		}
	}
	history, err := f.client.GetReportHistoryWithResponse(t.Context(), r.Id)
	if err != nil || history.JSON200 == nil {
		t.Fatal(err, history.Status())
	}
	var actions []string
	for i, e := range history.JSON200.Events {
		actions = append(actions, string(e.Action))
		if e.Revision != i+1 || (e.By == nil) != (i == 0) || len(e.TraceId) != 32 || e.At.IsZero() {
			t.Errorf("event %+v", e)
		}
	}
	if !slices.Equal(actions, []string{"create", "amend", "sign", "amend", "reject"}) {
		t.Errorf("actions %v", actions)
	}
}

func TestWhatIsDoneToAReportHasToFit(t *testing.T) {
	f := newFixture(t, nil)
	r := report(t, f, f.create(item{"image", picture(1)}).Id)
	tag := f.tag(r.Id)
	amend := func(changes string) string {
		return `{"by": ` + aDoctor + `, "reason": "why", "changes": [` + changes + `]}`
	}
	for name, test := range map[string]struct {
		action, tag, body string
		status            int
		field             string
	}{
		"no tag":              {"sign", "", `{"by": ` + aDoctor + `}`, 428, "If-Match"},
		"any tag":             {"sign", "*", `{"by": ` + aDoctor + `}`, 428, "If-Match"},
		"another tag":         {"sign", `"7"`, `{"by": ` + aDoctor + `}`, 412, "If-Match"},
		"a garbled tag":       {"reject", `x"`, `{"by": ` + aDoctor + `, "reason": "x"}`, 412, "If-Match"},
		"a long tag":          {"reject", strings.Repeat("x", 201), `{"by": ` + aDoctor + `, "reason": "x"}`, 400, "If-Match"},
		"nobody":              {"sign", tag, `{}`, 422, "by"},
		"no name":             {"sign", tag, `{"by": {"name": "", "role": "x"}}`, 422, "by.name"},
		"a blank name":        {"sign", tag, `{"by": {"name": " \u3000", "role": "x"}}`, 422, "by.name"},
		"a name of two lines": {"sign", tag, `{"by": {"name": "A\nB", "role": "x"}}`, 422, "by.name"},
		"no role":             {"sign", tag, `{"by": {"name": "x"}}`, 422, "by.role"},
		"a reason to sign":    {"sign", tag, `{"by": ` + aDoctor + `, "reason": "x"}`, 422, "reason"},
		"no reason":           {"reject", tag, `{"by": ` + aDoctor + `}`, 422, "reason"},
		"a blank reason":      {"reject", tag, `{"by": ` + aDoctor + `, "reason": " "}`, 422, "reason"},
		"no changes":          {"amend", tag, amend(``), 422, "changes"},
		"an empty change":     {"amend", tag, amend(`{"section": "findings"}`), 422, "changes.0.text"},
		"no such sentence":    {"amend", tag, amend(`{"section": "findings", "sentence": 1, "text": "x"}`), 422, "changes.0.sentence"},
		"no such section":     {"amend", tag, amend(`{"section": "measurements", "text": "x"}`), 422, "changes.0.section"},
		"an unknown section":  {"amend", tag, amend(`{"section": "x", "text": "x"}`), 422, "changes.0.section"},
		"changed twice":       {"amend", tag, amend(`{"section": "findings", "sentence": 0, "text": "x"}, {"section": "findings", "sentence": 0}`), 422, "changes.1.sentence"},
		"nothing left":        {"amend", tag, amend(`{"section": "findings", "sentence": 0}, {"section": "impression", "sentence": 0}`), 422, "changes"},
		"a control character": {"amend", tag, amend(`{"section": "findings", "text": "a\u0007b"}`), 422, "changes.0.text"},
		"a NUL":               {"amend", tag, amend(`{"section": "findings", "text": "a\u0000b"}`), 422, "changes.0.text"},
		"a text too long":     {"amend", tag, amend(`{"section": "findings", "text": "` + strings.Repeat("x", 4001) + `"}`), 422, "changes.0.text"},
		"too many changes":    {"amend", tag, amend(strings.Repeat(`{"section": "findings", "text": "x"},`, 64) + `{"section": "findings", "text": "x"}`), 422, "changes"},
	} {
		response, body := f.act(r.Id, test.action, test.tag, test.body)
		if p := f.problem(response, body); p.Status != test.status || p.Field == nil || *p.Field != test.field {
			t.Errorf("%s: %s, want %d about %s", name, body, test.status, test.field)
		}
	}
	if now := f.tag(r.Id); now != tag {
		t.Errorf("the tag went from %s to %s, though everything was refused", tag, now)
	}
	const unknown = "0198c0de-0000-7000-8000-000000000001"
	for _, action := range []string{"sign", "reject", "amend"} {
		body := map[string]string{"sign": `{"by": ` + aDoctor + `}`, "reject": `{"by": ` + aDoctor + `, "reason": "x"}`, "amend": amend(`{"section": "findings", "text": "x"}`)}[action]
		if response, raw := f.act(unknown, action, tag, body); response.StatusCode != http.StatusNotFound {
			t.Errorf("%s of a report that is not there: %s", action, raw)
		}
	}
	for path, status := range map[string]int{"/versions/2": 404, "/versions/0": 400, "/versions/x": 400, "/versions/1000001": 400} {
		if response, body := f.do(http.MethodGet, "/v1/reports/"+r.Id+path, nil, nil); response.StatusCode != status {
			t.Errorf("%s: %s %s", path, response.Status, body)
		}
	}
}

func TestReportsAreNegotiated(t *testing.T) {
	f := newFixture(t, nil)
	study := f.create(item{"image", picture(1)}, item{"text", []byte("note")})
	r := report(t, f, study.Id)
	tags := map[string]bool{}
	for accept, want := range map[string]string{
		"*/*": "application/json", "": "application/json", "application/*": "application/json", "application/json": "application/json",
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": "text/html", "text/*": "text/html", "application/pdf": "application/pdf",
		"application/fhir+json": "application/fhir+json", "application/fhir+json; fhirVersion=4.0": "application/fhir+json", "application/dicom": "application/dicom",
		"application/json;q=0.5, application/pdf;q=0.7": "application/pdf", "application/json;q=0, */*": "text/html", "image/png, application/pdf;q=0.1": "application/pdf",
		"image/png": "", "application/json;q=0": "", "text/plain, x": "", "application/json;q=2": "",
	} {
		header := http.Header{"Accept": {accept}}
		if accept == "" {
			header = nil
		}
		response, body := f.do(http.MethodGet, "/v1/reports/"+r.Id, header, nil)
		got, _, _ := strings.Cut(response.Header.Get("Content-Type"), ";")
		if response.Header.Get("Vary") != "Accept" {
			t.Errorf("%q: no Vary", accept)
		}
		if want == "" {
			if p := f.problem(response, body); p.Status != http.StatusNotAcceptable || p.Limit == nil || *p.Limit != "application/json, text/html, application/pdf, application/fhir+json, application/dicom" {
				t.Errorf("%q: %s", accept, body)
			}
			continue
		}
		if response.StatusCode != http.StatusOK || got != want {
			t.Errorf("%q: %s %s, want %s", accept, response.Status, got, want)
		}
		tags[response.Header.Get("ETag")] = true
		again, same := f.do(http.MethodGet, "/v1/reports/"+r.Id, header, nil)
		if !bytes.Equal(body, same) || again.Header.Get("ETag") != response.Header.Get("ETag") {
			t.Errorf("%q: the same tag %s has other bytes the second time", accept, response.Header.Get("ETag"))
		}
	}
	if len(tags) != len(reportForms) {
		t.Errorf("tags %v for %d forms", tags, len(reportForms))
	}
	// The tag of any form is that of the report.
	if _, tag := f.mustAct(r.Id, "sign", `"1.pdf"`, `{"by": `+aDoctor+`}`); tag != `"2"` {
		t.Errorf("tag %s", tag)
	}

	note := report(t, f, f.create(item{"text", []byte("note")}).Id)
	response, body := f.have("/v1/reports/"+note.Id, "application/dicom")
	if p := f.problem(response, body); p.Status != http.StatusNotAcceptable || strings.Contains(*p.Limit, "dicom") {
		t.Errorf("a report on a note as DICOM: %s", body)
	}
	for _, accept := range []string{"text/html", "application/pdf", "application/fhir+json"} {
		if response, body := f.have("/v1/reports/"+note.Id, accept); response.StatusCode != http.StatusOK {
			t.Errorf("a report on a note as %s: %s", accept, body)
		}
	}
}

// TestAnotherTenantSeesNoReport asks the store itself, whose tenant the gateway takes from the request's context.
func TestAnotherTenantSeesNoReport(t *testing.T) {
	f := newFixture(t, nil)
	r := report(t, f, f.create(item{"image", picture(1)}).Id)
	other := analysis.WithTenant(t.Context(), "other")
	if _, err := f.deps.Store.Report(other, r.Id); analysis.CodeOf(err) != analysis.NotFound {
		t.Error(err)
	}
	if _, err := f.deps.Reports.ReportVersion(other, r.Id, 1); analysis.CodeOf(err) != analysis.NotFound {
		t.Error(err)
	}
}

// hostileReport returns a signed and amended report that says what is hostile, in every field that takes text.
func hostileReport(t *testing.T, f *fixture, image []byte) string {
	t.Helper()
	metadata, err := json.Marshal(map[string]string{"title": `<script>alert("title")</script>` + "\u202E"})
	if err != nil {
		t.Fatal(err)
	}
	r := report(t, f, f.create(item{"metadata", metadata}, item{"image", image}, item{"text", []byte("note")}).Id)
	by := map[string]string{"name": `<b>Eve</b>^=\` + "\u202Etluser", "role": `"><img src=x>`}
	_, tag := f.mustAct(r.Id, "sign", f.tag(r.Id), encoded(t, map[string]any{"by": by}))
	changes := []map[string]any{{"section": "findings", "sentence": 0, "text": hostile[0]}}
	for _, text := range hostile {
		changes = append(changes, map[string]any{"section": "impression", "text": text})
	}
	f.mustAct(r.Id, "amend", tag, encoded(t, map[string]any{"by": by, "reason": "<script>why</script>", "changes": changes}))
	return r.Id
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestHostileTextStaysText(t *testing.T) {
	f := measuring(t, false)
	id := hostileReport(t, f, picture(1))
	_, page := f.have("/v1/reports/"+id, "text/html")
	for _, bad := range []string{"<script", "<img src=x", "<b>Eve", "\u202E", "\u200F", "\u2066", "\uFEFF"} {
		if bytes.Contains(page, []byte(bad)) {
			t.Errorf("the page holds %q", bad)
		}
	}
	if !bytes.Contains(page, []byte("&lt;script&gt;alert(1)")) || !bytes.Contains(page, []byte("右肺 עברית العربية 🫁")) || bytes.Count(page, []byte("<img ")) != 2 || bytes.Count(page, []byte("</style>")) != 1 {
		t.Error("the page does not show the text as text, or not two pictures")
	}
	if response, body := f.have("/v1/reports/"+id, "application/pdf"); response.StatusCode != 200 || !bytes.HasPrefix(body, []byte("%PDF-1.")) || !bytes.HasSuffix(bytes.TrimSpace(body), []byte("%%EOF")) {
		t.Errorf("PDF: %s %.200s", response.Status, body)
	}
	_, raw := f.have("/v1/reports/"+id, "application/fhir+json")
	if bytes.Contains(raw, []byte(`<script`)) || bytes.ContainsRune(raw, '\u202E') {
		t.Error("the bundle holds a script or turns the direction")
	}
	_, file := f.have("/v1/reports/"+id, "application/dicom")
	parsed, err := dicom.Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	_ = parsed.Dataset.Walk(func(_ *dicom.Dataset, e *dicom.Element) error {
		if e.Tag == 0x0040A160 {
			texts = append(texts, e.Text())
		}
		if e.VR == dicom.PN && strings.ContainsAny(e.Text(), `\=^`) {
			t.Errorf("a name with delimiters: %q", e.Text())
		}
		return nil
	})
	for _, want := range []string{hostile[0], hostile[2], hostile[4], hostile[6]} {
		if !slices.Contains(texts, want) {
			t.Errorf("the structured report lacks %.60q", want)
		}
	}
}

func TestFHIRSaysTheState(t *testing.T) {
	f := measuring(t, false)
	r := report(t, f, f.create(item{"image", picture(1)}).Id)
	type resource struct {
		ResourceType, Status string
		Meta                 struct {
			Security []struct{ System, Code string }
		}
		Result, Target []struct{ Reference string }
		Device         struct{ Reference string }
		Component      []struct {
			Code          struct{ Text string }
			ValueQuantity struct{ Value float64 }
		}
		Identifier []struct{ System, Value string }
	}
	read := func(path string) (byURL map[string]resource, first resource, kinds map[string]int) {
		t.Helper()
		_, raw := f.have("/v1/reports/"+r.Id+path, "application/fhir+json")
		var b struct {
			Entry []struct {
				FullURL  string
				Resource resource
			}
		}
		if err := json.Unmarshal(raw, &b); err != nil {
			t.Fatal(err)
		}
		byURL, kinds = map[string]resource{}, map[string]int{}
		for _, e := range b.Entry {
			byURL[e.FullURL] = e.Resource
			kinds[e.Resource.ResourceType]++
		}
		if len(byURL) != len(b.Entry) || strings.Contains(string(raw), `""`) || strings.Contains(string(raw), "{}") || strings.Contains(string(raw), "[]") || strings.Contains(string(raw), ":null") {
			t.Errorf("the bundle has empty values, or a URL twice: %s", raw)
		}
		return byURL, b.Entry[0].Resource, kinds
	}
	byURL, first, kinds := read("")
	if first.ResourceType != "DiagnosticReport" || first.Status != "preliminary" || first.Meta.Security[0].Code != "AIAST" || kinds["Observation"] != 8 || kinds["Device"] != 3 || kinds["Provenance"] != 1 {
		t.Errorf("%+v, %v", first, kinds)
	}
	digests := map[string]bool{}
	for _, ref := range first.Result {
		o := byURL[ref.Reference]
		if o.ResourceType != "Observation" || o.Status != "preliminary" || o.Meta.Security[0].Code != "AIAST" {
			t.Errorf("result %s is %+v", ref.Reference, o)
		}
		d := byURL[o.Device.Reference]
		if d.ResourceType != "Device" {
			t.Errorf("%+v has no device", o)
			continue
		}
		digests[d.Identifier[0].Value] = true
	}
	if o := byURL[first.Result[0].Reference]; len(o.Component) != 2 || o.Component[0].Code.Text != "Probability" || o.Component[0].ValueQuantity.Value != 0.75 {
		t.Errorf("finding %+v", o)
	}
	if fmt.Sprint(digests) != "map[fusion-digest:true segmentation-digest:true]" {
		t.Errorf("digests %v", digests)
	}
	_, tag := f.mustAct(r.Id, "sign", f.tag(r.Id), `{"by": `+aDoctor+`}`)
	if _, first, kinds := read(""); first.Status != "final" || kinds["Provenance"] != 2 {
		t.Errorf("signed: %+v, %v", first, kinds)
	}
	_, tag = f.mustAct(r.Id, "amend", tag, `{"by": `+aDoctor+`, "reason": "x", "changes": [{"section": "findings", "sentence": 0, "text": "No pneumonia."}]}`)
	byURL, first, _ = read("")
	if o := byURL[first.Result[0].Reference]; first.Status != "amended" || o.Status != "preliminary" {
		t.Errorf("amended: %+v, and the finding that a person replaced %+v", first, o)
	}
	if _, first, _ := read("/versions/1"); first.Status != "final" {
		t.Errorf("version 1: %+v", first)
	}
	f.mustAct(r.Id, "reject", tag, `{"by": `+aDoctor+`, "reason": "x"}`)
	for _, path := range []string{"", "/versions/1"} {
		byURL, first, _ := read(path)
		for url, res := range byURL {
			if res.ResourceType == "Observation" && res.Status != "entered-in-error" {
				t.Errorf("rejected: %s is %s", url, res.Status)
			}
		}
		if first.Status != "entered-in-error" {
			t.Errorf("rejected: %+v", first)
		}
		if response, _ := f.have("/v1/reports/"+r.Id+path, "application/dicom"); response.StatusCode != http.StatusConflict {
			t.Errorf("rejected%s, as DICOM: %s", path, response.Status)
		}
	}
}
