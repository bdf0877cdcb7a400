package pipeline

import (
	"context"
	"reflect"
	"testing"
	"time"

	"consilium/internal/analysis"
)

func TestAnEncoderMayBeDown(t *testing.T) {
	down, busy := analysis.Errorf(analysis.Unavailable, "the encoder is down"), analysis.Errorf(analysis.Overloaded, "the queue is full")
	question := analysis.Request{Task: analysis.Question, Question: "q?", Text: "note", Image: []byte{1}, Audio: []byte{2}}
	report := analysis.Request{Task: analysis.Report, Text: "note", Image: []byte{1}, Audio: []byte{2}}
	image := analysis.Request{Task: analysis.Report, Image: []byte{1}}
	type failures = map[analysis.Modality]error
	lost := func(modality analysis.Modality, reason string) analysis.Degradation {
		return analysis.Degradation{Modality: modality, Reason: reason}
	}
	for name, test := range map[string]struct {
		request analysis.Request
		fail    failures
		stalled analysis.Modality
		want    []analysis.Degradation
		code    analysis.Code // if there is no result
	}{
		"question, image":         {request: question, fail: failures{analysis.Image: down}, want: []analysis.Degradation{lost(analysis.Image, "the encoder is down")}},
		"question, image busy":    {request: question, fail: failures{analysis.Image: busy}, want: []analysis.Degradation{lost(analysis.Image, "the queue is full")}},
		"question, image stalled": {request: question, stalled: analysis.Image, want: []analysis.Degradation{lost(analysis.Image, "the image encoder did not answer within 50ms")}},
		"question, both": {request: question, fail: failures{analysis.Audio: busy, analysis.Image: down},
			want: []analysis.Degradation{lost(analysis.Image, "the encoder is down"), lost(analysis.Audio, "the queue is full")}},
		"question, text":         {request: question, fail: failures{analysis.Text: down}, code: analysis.Unavailable},
		"question, text stalled": {request: question, stalled: analysis.Text, code: analysis.Unavailable},
		"question, fusion":       {request: question, fail: failures{"fusion": down}, code: analysis.Unavailable},
		"question, bad image":    {request: question, fail: failures{analysis.Image: analysis.Invalid("image", "broken")}, code: analysis.InvalidArgument},
		"report, text":           {request: report, fail: failures{analysis.Text: down}, want: []analysis.Degradation{lost(analysis.Text, "the encoder is down")}},
		"report, all": {request: report, fail: failures{analysis.Text: busy, analysis.Image: down, analysis.Audio: down},
			code: analysis.Overloaded},
		"report, all there is": {request: image, fail: failures{analysis.Image: down}, code: analysis.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			p := &parts{fail: test.fail, waiting: test.stalled}
			line := p.pipeline()
			if test.stalled != "" {
				line.EncoderTime = 50 * time.Millisecond
			}
			request := test.request
			result, err := line.Analyze(context.Background(), &request)
			if analysis.CodeOf(err) != test.code {
				t.Fatalf("got %v, want the code %q", err, test.code)
			}
			if err == nil && !reflect.DeepEqual(result.Degraded, test.want) {
				t.Errorf("degraded %+v, want %+v", result.Degraded, test.want)
			}
			for _, d := range test.want {
				if _, there := result.Models[string(d.Modality)]; there && (d.Modality != analysis.Text || request.Task != analysis.Question) {
					t.Errorf("the result names the model of the lost %s", d.Modality)
				}
			}
			request.Whole = true
			if _, err := line.Analyze(context.Background(), &request); err == nil {
				t.Error("a result although the whole was wanted")
			}
		})
	}
}

// TestACallerThatGivesUpIsNoDegradation ends the request while an encoder stalls.
func TestACallerThatGivesUpIsNoDegradation(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	line := (&parts{waiting: analysis.Image}).pipeline()
	line.EncoderTime = time.Hour
	request := &analysis.Request{Task: analysis.Question, Question: "q?", Image: []byte{1}}
	if result, err := line.Analyze(ctx, request); analysis.CodeOf(err) != analysis.Canceled || result != nil {
		t.Errorf("got %v, %v, want canceled", result, err)
	}
}
