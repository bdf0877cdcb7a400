package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"consilium/gateway/client"
	"consilium/internal/analysis"
	"consilium/internal/pipeline"
	"consilium/internal/serve"
	"consilium/internal/wire"
)

func TestAnswersSayWhatTheyRelyOn(t *testing.T) {
	f := newFixture(t, nil)
	study := f.create()
	asked, err := f.client.AskStudyWithResponse(context.Background(), study.Id, client.QuestionRequest{Question: "What colour?"})
	if err != nil || asked.JSON200 == nil {
		t.Fatal(asked.Status(), err, string(asked.Body))
	}
	same := client.Counterfactual{Answer: "red", Confidence: 0.5} // the fixture's fusion does not look
	want := client.Reliances{{Modality: client.ModalityImage, Blank: same, Shuffled: same}, {Modality: client.ModalityAudio, Blank: same, Shuffled: same}}
	if !reflect.DeepEqual(asked.JSON200.Reliance, want) || len(asked.JSON200.Degraded) != 0 {
		t.Errorf("reliance %+v, degraded %v, want %+v", asked.JSON200.Reliance, asked.JSON200.Degraded, want)
	}
	contentType, body := form(item{"question", []byte("What colour?")}, item{"text", []byte("note")})
	if r, err := f.client.VqaWithBodyWithResponse(context.Background(), contentType, bytes.NewReader(body)); err != nil || r.JSON200 == nil || r.JSON200.Reliance == nil || len(r.JSON200.Reliance) != 0 {
		t.Errorf("without an image or a sound: %v %s", err, r.Body)
	}
}

func TestUnsureAnswersNeedReview(t *testing.T) {
	f := newFixture(t, nil) // answers red with 0.5, and needs review below 0.5
	study := f.create(item{"image", picture(1)})
	zero, half, more, one := 0.0, 0.5, 0.51, 1.0
	var stored []client.Answer
	for _, test := range []struct {
		below  *float64
		want   float64
		status client.AnswerStatus
	}{
		{nil, 0.5, client.Answered}, {&zero, 0, client.Answered}, {&half, 0.5, client.Answered},
		{&more, 0.51, client.NeedsReview}, {&one, 1, client.NeedsReview},
	} {
		asked, err := f.client.AskStudyWithResponse(context.Background(), study.Id, client.QuestionRequest{Question: "What colour?", ReviewBelow: test.below})
		if err != nil || asked.JSON200 == nil {
			t.Fatal(asked.Status(), err, string(asked.Body))
		}
		items := []item{{"question", []byte("What colour?")}, {"image", picture(1)}}
		if test.below != nil {
			items = append(items, item{"review_below", fmt.Append(nil, *test.below)})
		}
		contentType, body := form(items...)
		stateless, err := f.client.VqaWithBodyWithResponse(context.Background(), contentType, bytes.NewReader(body))
		if err != nil || stateless.JSON200 == nil {
			t.Fatal(stateless.Status(), err, string(stateless.Body))
		}
		stored = append([]client.Answer{*asked.JSON200}, stored...)
		for _, a := range []client.StatelessAnswer{*stateless.JSON200, {Status: asked.JSON200.Status, ReviewBelow: asked.JSON200.ReviewBelow,
			Text: asked.JSON200.Text, Confidence: asked.JSON200.Confidence, Candidates: asked.JSON200.Candidates}} {
			if a.Status != test.status || a.ReviewBelow != test.want || a.Confidence != 0.5 {
				t.Errorf("below %v: status %s below %v with confidence %v", test.want, a.Status, a.ReviewBelow, a.Confidence)
			}
			review := test.status == client.NeedsReview
			if strings.Contains(a.Text, "a person has to look") != review || (a.Text == "red") == review {
				t.Errorf("below %v: the text is %q", test.want, a.Text)
			}
			if first := map[bool]string{false: "blue", true: "red"}[review]; a.Candidates[0].Text != first {
				t.Errorf("below %v: the candidates are %+v", test.want, a.Candidates)
			}
		}
	}
	listed, err := f.client.ListAnswersWithResponse(context.Background(), study.Id, nil)
	if err != nil || listed.JSON200 == nil || !reflect.DeepEqual(listed.JSON200.Answers, stored) {
		t.Errorf("listed %s, %v, want %+v", listed.Body, err, stored)
	}
}

// wired puts the models behind the wire, each on a server of its own.
func wired(t *testing.T, m *models, encoderTime time.Duration) (path *pipeline.Pipeline, servers map[string]*httptest.Server) {
	t.Helper()
	info := wire.ModelInfo{Digest: "digest", Probe: func(context.Context) error { return nil }, Log: serve.NewLogger(&logBuffer{}, serve.Config{}, "model")}
	servers = map[string]*httptest.Server{}
	for role, handler := range map[string]http.Handler{
		"text": wire.NewTextServer(m, info), "image": wire.NewVisionServer(m, info), "audio": wire.NewAudioServer(m, info), "fusion": wire.NewFusionServer(m, info),
	} {
		servers[role] = httptest.NewServer(handler)
		t.Cleanup(servers[role].Close)
	}
	text, textErr := wire.NewTextEncoder(servers["text"].URL, wire.ClientOptions{})
	vision, visionErr := wire.NewVisionEncoder(servers["image"].URL, wire.ClientOptions{})
	audio, audioErr := wire.NewAudioEncoder(servers["audio"].URL, wire.ClientOptions{})
	fusion, fusionErr := wire.NewFuser(servers["fusion"].URL, wire.ClientOptions{})
	for _, err := range []error{textErr, visionErr, audioErr, fusionErr} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return &pipeline.Pipeline{Text: text, Vision: vision, Radiographs: vision, Audio: audio, Fusion: fusion, EncoderTime: encoderTime}, servers
}

// subsets returns every subset of the modalities.
func subsets() (all [][]analysis.Modality) {
	for bits := range 1 << len(analysis.Modalities) {
		subset := []analysis.Modality{}
		for i, modality := range analysis.Modalities {
			if bits&(1<<i) != 0 {
				subset = append(subset, modality)
			}
		}
		all = append(all, subset)
	}
	return all
}

// TestEveryCombinationOfEncodersThatAreDown asks and reports with every subset of a note, an image and a sound while
// every subset of the encoders is down.
func TestEveryCombinationOfEncodersThatAreDown(t *testing.T) {
	m := &models{}
	f := newFixture(t, func(d *Deps) { d.Analyzer, _ = wired(t, m, 0) })
	contents := map[analysis.Modality]item{analysis.Text: {"text", []byte("Cough for a week.")}, analysis.Image: {"image", picture(10)}, analysis.Audio: {"audio", sound()}}
	without := func(list, remove []analysis.Modality) (rest []analysis.Modality) {
		return slices.DeleteFunc(slices.Clone(list), func(modality analysis.Modality) bool { return slices.Contains(remove, modality) })
	}
	for _, given := range subsets() {
		var study *client.Study
		if len(given) > 0 {
			var items []item
			for _, modality := range given {
				items = append(items, contents[modality])
			}
			study = f.create(items...)
		}
		for n, down := range subsets() {
			err, status := error(analysis.Errorf(analysis.Unavailable, "the encoder stops")), http.StatusServiceUnavailable
			if n%2 == 1 {
				err, status = analysis.Errorf(analysis.Overloaded, "the encoder stops"), http.StatusTooManyRequests
			}
			fail := map[string]error{}
			for _, modality := range down {
				fail[string(modality)] = err
			}
			m.setFail(fail)
			lost := without(given, without(analysis.Modalities, down))
			for _, policy := range []client.DegradedPolicy{client.Accept, client.Refuse} {
				name := fmt.Sprintf("given %v, down %v, %s", given, down, policy)
				items := []item{{"question", []byte("q?")}, {"degraded", []byte(policy)}}
				for _, modality := range given {
					items = append(items, contents[modality])
				}
				contentType, body := form(items...)
				r, callErr := f.client.VqaWithBodyWithResponse(context.Background(), contentType, bytes.NewReader(body))
				if callErr != nil {
					t.Fatal(callErr)
				}
				refused := slices.Contains(down, analysis.Text) || policy == client.Refuse && len(lost) > 0
				switch {
				case refused && r.StatusCode() != status:
					t.Errorf("question, %s: %s, want %d", name, r.Body, status)
				case refused:
				case r.JSON200 == nil:
					t.Errorf("question, %s: %s", name, r.Body)
				default:
					want := []analysis.Modality{analysis.Text}
					want = append(want, without(without(given, lost), want)...)
					checkDegraded(t, "question, "+name, r.JSON200.Degraded, lost, r.JSON200.Modalities, want)
					if len(r.JSON200.Reliance) != len(want)-1 {
						t.Errorf("question, %s: reliance on %v", name, r.JSON200.Reliance)
					}
				}
				if study == nil {
					continue
				}
				report, callErr := f.client.CreateReportWithResponse(context.Background(), study.Id, client.ReportRequest{Degraded: &policy})
				if callErr != nil {
					t.Fatal(callErr)
				}
				refused = len(lost) == len(given) || policy == client.Refuse && len(lost) > 0
				switch {
				case refused && report.StatusCode() != status:
					t.Errorf("report, %s: %s, want %d", name, report.Body, status)
				case refused:
				case report.JSON201 == nil:
					t.Errorf("report, %s: %s", name, report.Body)
				default:
					checkDegraded(t, "report, "+name, report.JSON201.Degraded, lost, report.JSON201.Modalities, without(given, lost))
					for _, modality := range lost {
						if !slices.ContainsFunc(report.JSON201.NotAssessed, func(o client.Omission) bool {
							return o.Modality == client.Modality(modality) && strings.Contains(o.Reason, "the encoder stops")
						}) {
							t.Errorf("report, %s: not assessed is %+v", name, report.JSON201.NotAssessed)
						}
					}
				}
			}
		}
	}
}

// checkDegraded compares what is lacking and what counted with what should.
func checkDegraded(t *testing.T, what string, degraded client.Degradations, lost []analysis.Modality, weights []client.ModalityWeight, counted []analysis.Modality) {
	t.Helper()
	lacking, weighed := []analysis.Modality{}, []analysis.Modality{}
	for _, d := range degraded {
		if lacking = append(lacking, analysis.Modality(d.Modality)); d.Reason != "the encoder stops" {
			t.Errorf("%s: the reason is %q", what, d.Reason)
		}
	}
	for _, w := range weights {
		weighed = append(weighed, analysis.Modality(w.Modality))
	}
	if !slices.Equal(lacking, lost) || !slices.Equal(weighed, counted) {
		t.Errorf("%s: degraded %v, weighed %v, want %v and %v", what, lacking, weighed, lost, counted)
	}
}

// TestDegradedAnswersAreMarkedForGood stops the vision encoder's process, then lets the audio encoder stall.
func TestDegradedAnswersAreMarkedForGood(t *testing.T) {
	m := &models{}
	var servers map[string]*httptest.Server
	f := newFixture(t, func(d *Deps) { d.Analyzer, servers = wired(t, m, time.Second) })
	study := f.create()
	ask := func() *client.Answer {
		t.Helper()
		r, err := f.client.AskStudyWithResponse(context.Background(), study.Id, client.QuestionRequest{Question: "q?"})
		if err != nil || r.JSON200 == nil {
			t.Fatal(err, string(r.Body))
		}
		return r.JSON200
	}
	whole := ask()
	servers["image"].CloseClientConnections()
	servers["image"].Close()
	killed := ask()
	m.setFail(map[string]error{"audio": errStall})
	stalled := ask()
	for name, test := range map[string]struct {
		answer *client.Answer
		want   string
	}{
		"whole":   {whole, `[]`},
		"killed":  {killed, `[{"modality":"image","reason":"the vision encoder is not reachable"}]`},
		"stalled": {stalled, `[{"modality":"image","reason":"the vision encoder is not reachable"},{"modality":"audio","reason":"the audio encoder did not answer within 1s"}]`},
	} {
		if got := toJSON(t, test.answer.Degraded); got != test.want {
			t.Errorf("%s: degraded %s, want %s", name, got, test.want)
		}
	}
	listed, err := f.client.ListAnswersWithResponse(context.Background(), study.Id, nil)
	if want := []client.Answer{*stalled, *killed, *whole}; err != nil || !reflect.DeepEqual(listed.JSON200.Answers, want) {
		t.Errorf("listed %s, %v", listed.Body, err)
	}
	refuse := client.Refuse
	refused, err := f.client.AskStudyWithResponse(context.Background(), study.Id, client.QuestionRequest{Question: "q?", Degraded: &refuse})
	if err != nil || refused.ApplicationproblemJSONDefault == nil || refused.StatusCode() != http.StatusServiceUnavailable || refused.HTTPResponse.Header.Get("Retry-After") == "" {
		t.Errorf("refused with %s, %v", refused.Body, err)
	}
	report, err := f.client.CreateReportWithResponse(context.Background(), study.Id, client.ReportRequest{})
	if err != nil || report.JSON201 == nil {
		t.Fatal(err, string(report.Body))
	}
	again, err := f.client.GetReportWithResponse(context.Background(), report.JSON201.Id)
	if err != nil || len(report.JSON201.Degraded) != 2 || !json.Valid(again.Body) || !reflect.DeepEqual(again.JSON200, report.JSON201) {
		t.Errorf("the stored report is %s, %v, want %s", again.Body, err, report.Body)
	}
}
