// Package fhir writes a report as a Bundle of FHIR R4.
package fhir

import (
	"crypto/sha256"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"consilium/internal/analysis"
	"consilium/internal/reportdoc"
)

// MediaType is that of the JSON format of FHIR.
const MediaType = "application/fhir+json"

// statuses are the words that FHIR has for the states of a report (DiagnosticReportStatus and ObservationStatus share them).
var statuses = map[analysis.ReportStatus]string{
	analysis.ReportPreliminary: "preliminary", analysis.ReportFinal: "final", analysis.ReportAmended: "amended", analysis.ReportRejected: "entered-in-error",
}

const warning = "Research software, not a medical device."

// writer collects the resources of one report.
type writer struct {
	doc     *reportdoc.Document
	report  *analysis.DiagnosticReport
	bundle  bundle
	status  string
	devices map[string]reference // by digest
	models  []reference          // every device
}

// Write returns the Bundle, a collection: the DiagnosticReport, an Observation for each finding and each measurement, a
// Device for each model, and a Provenance for everything that was done with the report.
func Write(d *reportdoc.Document) ([]byte, error) {
	r := d.Report
	w := &writer{doc: d, report: r, status: statuses[r.Status()], devices: map[string]reference{}}
	w.bundle = bundle{
		ResourceType: "Bundle", Meta: meta{Security: aiAsserted}, Type: "collection", Timestamp: instant(r.Latest().At),
		Identifier: identifier{uri, urn(w.id("bundle", strconv.Itoa(r.Latest().Revision), strconv.Itoa(r.Version)))},
	}
	report := w.add(r.ID, nil) // the report itself comes first, and is filled in when what it refers to is known
	for _, m := range d.Models() {
		w.device(m)
	}
	results := append(w.findings(), w.measurements()...)
	w.bundle.Entry[0].Resource = w.diagnosticReport(results)
	w.provenance(append([]reference{report}, results...))
	out, err := json.Marshal(w.bundle)
	if err != nil {
		return nil, fmt.Errorf("write report %s as FHIR: %w", r.ID, err)
	}
	return out, nil
}

// id returns the UUID of a part of the report: the same each time that it is written.
func (w *writer) id(parts ...string) string {
	return uuid.NewHash(sha256.New(), uuid.NameSpaceURL, []byte(urn(w.report.ID)+"/"+strings.Join(parts, "/")), 8).String()
}

func urn(id string) string { return "urn:uuid:" + id }

func (w *writer) add(id string, resource any) reference {
	w.bundle.Entry = append(w.bundle.Entry, entry{urn(id), resource})
	return reference{Reference: urn(id)}
}

// instant writes a time as FHIR does.
func instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

func (w *writer) device(m reportdoc.Model) {
	note := []annotation{{warning}}
	if m.Brought {
		note = append(note, annotation{"A user brought this model under the licence " + m.Licence + ". It was not validated."})
	}
	id := w.id("device", m.Name, m.Digest)
	ref := w.add(id, device{
		ResourceType: "Device", ID: id, Identifier: []identifier{{"urn:consilium:model-digest", m.Digest}},
		DeviceName: []deviceName{{m.Name, "model-name"}}, Type: concept{Text: "Machine-learning model"},
		Version: []version{{concept{Text: "Digest of the weights"}, m.Digest}}, Note: note,
	})
	w.devices[m.Digest], w.models = ref, append(w.models, ref)
}

// judge refers to the device with a digest, nil if it is none of the report's models.
func (w *writer) judge(digest string) *reference {
	if ref, ok := w.devices[digest]; ok {
		return &ref
	}
	return nil
}

func share(v float64) quantity { return quantity{Value: v, Unit: "1", System: ucum, Code: "1"} }

func (w *writer) findings() []reference {
	var refs []reference
	issued := instant(w.report.VersionAt)
	for i, f := range w.doc.Findings() {
		code, display := "NEG", "Negative"
		if f.Present {
			code, display = "POS", "Positive"
		}
		what := concept{Text: reportdoc.Plain(f.Label)}
		if term, ok := w.doc.Term(&f); ok {
			what.Coding = []coding{{snomed, term.Code, term.Display}}
		}
		status := w.status
		note := []annotation{{fmt.Sprintf("True means that the probability reaches the threshold. Judged from the %s. %s", f.Modality, warning)}}
		if instead := w.doc.Replaced(&f); instead != "" {
			note = append(note, annotation{"A person wrote in place of a sentence on this finding: " + instead})
			if w.report.Status().Signed() {
				status = statuses[analysis.ReportPreliminary] // who signed did not confirm it
			}
		}
		id := w.id("finding", strconv.Itoa(i))
		refs = append(refs, w.add(id, observation{
			ResourceType: "Observation", ID: id, Meta: meta{Security: aiAsserted}, Status: status, Issued: issued, Code: what,
			ValueBoolean: &f.Present, Interpretation: []concept{{Coding: []coding{{interpretation, code, display}}}}, Note: note,
			Device:    w.judge(w.doc.Judge(&f)),
			Component: []component{{concept{Text: "Probability"}, share(f.Probability)}, {concept{Text: "Threshold"}, share(f.Threshold)}},
		}))
	}
	return refs
}

func (w *writer) measurements() []reference {
	var refs []reference
	digest := ""
	if s := w.report.Result.Segmentation; s != nil {
		digest = reportdoc.Plain(s.Model)
	}
	for _, m := range w.doc.Measurements() {
		q := share(m.Value)
		id := w.id("measurement", m.Name)
		refs = append(refs, w.add(id, observation{
			ResourceType: "Observation", ID: id, Meta: meta{Security: aiAsserted}, Status: w.status, Issued: instant(w.report.VersionAt),
			Code: concept{Text: reportdoc.Label(m.Name)}, ValueQuantity: &q, Device: w.judge(digest),
			Method: &concept{Text: fmt.Sprintf("%s; measured in the masks of the %s", reportdoc.Plain(m.Unit), reportdoc.Plain(strings.Join(m.Structures, ", ")))},
			Note:   []annotation{{warning}},
		}))
	}
	return refs
}

func (w *writer) diagnosticReport(results []reference) diagnosticReport {
	r := w.report
	out := diagnosticReport{
		ResourceType: "DiagnosticReport", ID: r.ID, Meta: meta{VersionID: strconv.Itoa(r.Version), Security: aiAsserted}, Status: w.status,
		Identifier: []identifier{{uri, urn(r.ID)}}, Code: concept{Text: "Report of a multimodal analysis"}, Issued: instant(r.Event().At), Result: results,
		Text: &narrative{"generated", w.div()},
	}
	for _, a := range r.Artefacts {
		if a.Modality == analysis.Image {
			out.Code.Coding = []coding{{loinc, "18748-4", "Diagnostic imaging study"}}
		}
	}
	if uid := w.doc.Study.InstanceUID; uid != "" {
		out.ImagingStudy = []reference{{Type: "ImagingStudy", Identifier: &identifier{dicomUID, "urn:oid:" + uid}}}
	}
	if e := r.Signature(); e != nil {
		out.ResultsInterpreter = []reference{{Display: reportdoc.Who(e.By)}}
	}
	var said []string
	for _, s := range r.Narrative.Sections {
		if s.Name == "impression" {
			for _, sentence := range s.Sentences {
				said = append(said, reportdoc.Plain(sentence.Text))
			}
		}
	}
	out.Conclusion = strings.Join(said, " ")
	return out
}

// div writes what the report says as XHTML.
func (w *writer) div() string {
	var b strings.Builder
	element := func(name, text string) {
		b.WriteString("<" + name + ">")
		_ = xml.EscapeText(&b, []byte(text)) // into memory
		b.WriteString("</" + name + ">")
	}
	b.WriteString(`<div xmlns="http://www.w3.org/1999/xhtml">`)
	for _, line := range append(w.doc.Standing(), reportdoc.Plain(w.report.Narrative.Disclaimer)) {
		element("p", line)
	}
	for _, s := range w.report.Narrative.Sections {
		if len(s.Sentences) == 0 {
			continue
		}
		element("h2", reportdoc.Plain(s.Name))
		b.WriteString("<ul>")
		for _, sentence := range s.Sentences {
			element("li", reportdoc.Plain(sentence.Text))
		}
		b.WriteString("</ul>")
	}
	for _, line := range w.doc.Limits() {
		element("p", line)
	}
	b.WriteString("</div>")
	return b.String()
}

// activities are what is done with a report, in the words of HL7's data operations.
var activities = map[analysis.ReportAction]concept{
	analysis.CreateReport: {[]coding{{operation, "CREATE", "create"}}, "Written by models"},
	analysis.SignReport:   {nil, "Signed by a person"},
	analysis.AmendReport:  {[]coding{{operation, "UPDATE", "revise"}}, "Amended by a person"},
	analysis.RejectReport: {[]coding{{operation, "NULLIFY", "nullify"}}, "Rejected by a person"},
}

func (w *writer) provenance(targets []reference) {
	role := func(code, display string) concept { return concept{Coding: []coding{{participant, code, display}}} }
	for _, e := range w.report.Events {
		p := provenance{
			ResourceType: "Provenance", ID: w.id("provenance", strconv.Itoa(e.Revision)), Meta: meta{Security: aiAsserted}, Target: targets,
			Recorded: instant(e.At), Activity: activities[e.Action],
		}
		if e.Reason != "" {
			p.Reason = []concept{{Text: reportdoc.Plain(e.Reason)}}
		}
		if e.Action == analysis.CreateReport {
			for _, model := range w.models {
				p.Agent = append(p.Agent, agent{Type: role("assembler", "Assembler"), Who: model})
			}
			if len(p.Agent) == 0 {
				p.Agent = []agent{{Type: role("assembler", "Assembler"), Who: reference{Display: "Consilium"}}}
			}
			for _, a := range w.report.Artefacts {
				p.Entity = append(p.Entity, entity{"source", reference{Identifier: &identifier{"urn:consilium:sha256", a.SHA256}, Display: string(a.Modality)}})
			}
		} else {
			// What a person did asserts that person's judgement; the label stays on what the models said.
			p.Meta = meta{}
			kind := role("verifier", "Verifier")
			if e.Action == analysis.AmendReport {
				kind = role("author", "Author")
			}
			who := reference{Display: reportdoc.Plain(e.By.Name)}
			if e.Key != "" {
				who.Identifier = &identifier{"urn:consilium:key", reportdoc.Plain(e.Key)}
			}
			p.Agent = []agent{{Type: kind, Role: []concept{{Text: reportdoc.Plain(e.By.Role)}}, Who: who}}
		}
		w.add(p.ID, p)
	}
}
