package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"consilium/gateway/client"
	"consilium/internal/analysis"
	"consilium/internal/pipeline"
)

// streamed is one event of a stream.
type streamed struct{ name, data string }

func eventsOf(t *testing.T, body []byte) (events []streamed) {
	t.Helper()
	lines := bufio.NewScanner(bytes.NewReader(body))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		switch name, value, _ := strings.Cut(lines.Text(), ": "); name {
		case "event":
			events = append(events, streamed{name: value})
		case "data":
			events[len(events)-1].data += value
		case "":
		default:
			t.Errorf("an odd line: %.100q", lines.Text())
		}
	}
	return events
}

// stream asks for a report on a study as events.
func stream(f *fixture, study string) (*http.Response, []byte) {
	return f.do(http.MethodPost, "/v1/studies/"+study+"/reports", http.Header{"Accept": {"application/json;q=0.1, text/event-stream"}}, nil)
}

func TestAReportComesSentenceBySentence(t *testing.T) {
	f := measuring(t, false)
	study := f.create(item{"image", picture(1)}, item{"text", []byte("note")})
	response, body := stream(f, study.Id)
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "text/event-stream" || response.Header.Get("Vary") != "Accept" {
		t.Fatalf("answered %s %v: %.300s", response.Status, response.Header, body)
	}
	events := eventsOf(t, body)
	var report client.Report
	last := events[len(events)-1]
	if err := json.Unmarshal([]byte(last.data), &report); err != nil || last.name != "report" {
		t.Fatalf("the last event is %s: %.300s", last.name, last.data)
	}
	at := 0
	for _, section := range report.Sections {
		for _, sentence := range section.Sentences {
			want, err := json.Marshal(map[string]any{"section": section.Name, "sentence": sentence})
			if err != nil {
				t.Fatal(err)
			}
			var got, expected any
			if json.Unmarshal([]byte(events[at].data), &got) != nil || json.Unmarshal(want, &expected) != nil || events[at].name != "sentence" || !same(got, expected) {
				t.Errorf("event %d is %s %s, want %s", at, events[at].name, events[at].data, want)
			}
			at++
		}
	}
	if at != len(events)-1 || at == 0 {
		t.Errorf("%d events for %d sentences", len(events), at)
	}
	read, err := f.client.GetReportWithResponse(t.Context(), report.Id)
	if err != nil || read.JSON200 == nil || !strings.Contains(string(read.Body), report.Sections[0].Sentences[0].Text) {
		t.Errorf("read back: %v", err)
	}
}

// same compares values of JSON by their text, in which the fields of objects are sorted.
func same(a, b any) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return bytes.Equal(x, y)
}

// breaking is a writer that breaks its contract when it is asked again.
type breaking struct{ asked *int }

func (b breaking) WriteSentence(context.Context, *analysis.SentenceRequest) (*analysis.Drafts, error) {
	if *b.asked++; *b.asked > 1 {
		return nil, analysis.Errorf(analysis.BadUpstream, "the report writer broke its contract")
	}
	return &analysis.Drafts{Texts: []string{"There is pneumonia."}, Model: "sha256:words"}, nil
}

// labelled calls the finding of the image by its name.
type labelled struct{ *models }

func (l labelled) Fuse(ctx context.Context, requests []*analysis.FuseRequest) ([]*analysis.Result, error) {
	results, err := l.models.Fuse(ctx, requests)
	if err == nil {
		results[0].Findings[0].Label = "Pneumonia"
	}
	return results, err
}

func TestWhatFailsInAStreamIsAProblem(t *testing.T) {
	asked := 0
	f := newFixture(t, func(d *Deps) {
		was := d.Analyzer.(*pipeline.Pipeline)
		d.Analyzer = &pipeline.Pipeline{Text: was.Text, Vision: was.Vision, Radiographs: was.Radiographs, Audio: was.Audio, Fusion: labelled{was.Fusion.(*models)}, Writer: breaking{&asked}}
	})
	study := f.create(item{"image", picture(1)})
	response, body := stream(f, study.Id)
	events := eventsOf(t, body)
	if response.StatusCode != http.StatusOK || len(events) < 2 || events[0].name != "sentence" || !strings.Contains(events[0].data, "There is pneumonia (probability") {
		t.Fatalf("answered %s: %.300s", response.Status, body)
	}
	if last := events[len(events)-1]; last.name != "problem" || !strings.Contains(last.data, `"status":502`) || !strings.Contains(last.data, "broke its contract") {
		t.Errorf("the last event is %+v", last)
	}
	f.models.setFail(map[string]error{"fusion": analysis.Errorf(analysis.Unavailable, "the fusion is down")})
	response, body = stream(f, study.Id)
	if p := f.problem(response, body); p.Status != http.StatusServiceUnavailable {
		t.Errorf("before the first sentence: %+v", p)
	}
	if response, body = stream(f, "00000000-0000-7000-8000-000000000000"); response.StatusCode != http.StatusNotFound {
		t.Errorf("no such study: %s %s", response.Status, body)
	}
}
