package main

import (
	"strings"
	"testing"

	"consilium/gateway/client"
)

func TestBarIsAsLongAsTheFraction(t *testing.T) {
	for _, test := range []struct {
		fraction float64
		full     int
	}{{0, 0}, {0.5, width / 2}, {1, width}, {-1, 0}, {7, width}} {
		drawn := bar(test.fraction)
		if full := strings.Count(drawn, "█"); full != test.full || len([]rune(drawn)) != width {
			t.Errorf("bar(%v) = %q", test.fraction, drawn)
		}
	}
}

func TestHeatIsDarkestWhereAttentionIs(t *testing.T) {
	lines := heat(2, 3, []float32{0, 0.1, 0.1, 0.2, 0.2, 0.4})
	want := []string{"┌──────┐", "│  ░░░░│", "│▒▒▒▒██│", "└──────┘"}
	if strings.Join(lines, "\n") != strings.Join(want, "\n") {
		t.Errorf("drew\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	for name, odd := range map[string]*client.Attention{
		"too few values": {Rows: 2, Cols: 2, Values: []float32{1}},
		"no cells":       {},
		"negative":       {Rows: -1, Cols: -1, Values: []float32{1}},
	} {
		if lines := heat(odd.Rows, odd.Cols, odd.Values); lines != nil {
			t.Errorf("%s: drew %q", name, lines)
		}
	}
	if lines := heat(1, 2, []float32{0, 0}); lines[1] != "│    │" {
		t.Errorf("no attention at all: drew %q", lines)
	}
}

func TestReportsShowWherePresentFindingsWereSeen(t *testing.T) {
	finding := func(label string, present bool) client.Finding {
		return client.Finding{Label: label, Present: present, Modality: client.ModalityImage, Activation: &client.Activation{Rows: 1, Cols: 2, Values: []float32{0, 1}}}
	}
	var out strings.Builder
	showReport(&out, &client.Report{Sections: []client.Section{{Name: "findings", Sentences: []client.Sentence{
		{Text: "one", Evidence: []client.Finding{finding("Edema", true)}}, {Text: "two", Evidence: []client.Finding{finding("Effusion", false)}},
	}}}})
	if shown := out.String(); strings.Count(shown, "what speaks for it, 1 x 2 cells") != 1 || strings.Count(shown, "│  ██│") != 1 ||
		strings.Index(shown, "│  ██│") > strings.Index(shown, "Effusion") {
		t.Errorf("the report shows\n%s", shown)
	}
}

func TestAnswersShowHowFarTheyGo(t *testing.T) {
	answer := client.Answer{
		Question: "what colour?", Status: client.Answered, ReviewBelow: 0.7, Text: "red", Confidence: 0.9, Candidates: []client.Candidate{{Text: "blue", Probability: 0.05}},
		Reliance: client.Reliances{{Modality: client.ModalityImage, Score: 0.75, Blank: client.Counterfactual{Answer: "no", Confidence: 0.4}, Shuffled: client.Counterfactual{Answer: "red", Confidence: 0.8}}},
	}
	show := func() string {
		var out strings.Builder
		showAnswer(&out, &answer)
		return out.String()
	}
	for _, want := range []string{"Answer     red  (90.0 %)", "Next       blue 5.0 %", "Relies     on the image", "0.750   blank: no 40.0 %, shuffled: red 80.0 %"} {
		if !strings.Contains(show(), want) {
			t.Errorf("the answer lacks %q:\n%s", want, show())
		}
	}
	answer.Status, answer.Text, answer.Confidence = client.NeedsReview, "a person has to look", 0.6
	answer.Degraded = client.Degradations{{Modality: client.ModalityAudio, Reason: "the audio encoder is not reachable"}}
	for _, want := range []string{"Answer     a person has to look  (60.0 %, needs review below 70.0 %)", "Guesses    blue", "DEGRADED   audio: the audio encoder is not reachable"} {
		if !strings.Contains(show(), want) {
			t.Errorf("the answer lacks %q:\n%s", want, show())
		}
	}
}

func TestCommandsSayHowTheyAreUsed(t *testing.T) {
	var out strings.Builder
	getenv := func(string) string { return "" }
	if err := run(t.Context(), nil, getenv, &out, &out); err != nil {
		t.Fatal(err)
	}
	for _, c := range commands {
		if !strings.Contains(out.String(), "  "+c.name+" ") || !strings.Contains(out.String(), c.summary) {
			t.Errorf("the list lacks %s:\n%s", c.name, out.String())
		}
	}
	for args, want := range map[string]string{
		"dance":       "no such command",
		"ask":         "usage: consilium ask QUESTION FILE…",
		"report":      "usage: consilium report FILE…",
		"up now":      "usage: consilium up",
		"report a.gz": "a.gz",
	} {
		if err := run(t.Context(), strings.Fields(args), getenv, &out, &out); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("consilium %s: %v", args, err)
		}
	}
}

func TestWrongSettingsAreAllNamedBeforeAnythingStarts(t *testing.T) {
	settings := map[string]string{"CONSILIUM_LISTEN": "here", "CONSILIUM_DEVICE": "abacus", "CONSILIUM_DRAIN_TIMEOUT": "soon"}
	var out strings.Builder
	err := run(t.Context(), []string{"up"}, func(name string) string { return settings[name] }, &out, &out)
	if err == nil {
		t.Fatal("started")
	}
	for name := range settings {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("the error does not name %s: %v", name, err)
		}
	}
	if out.Len() > 0 {
		t.Errorf("it said %q", out.String())
	}
}
