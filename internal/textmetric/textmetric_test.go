package textmetric

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// TestGolden compares with sacrebleu and rouge-score; testdata/make_golden.py made the file.
func TestGolden(t *testing.T) {
	b, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Pairs []struct {
			Written, Reference string
			Rouge              float64 `json:"rouge_l"`
		}
		BLEU []float64
	}
	if err := json.Unmarshal(b, &golden); err != nil {
		t.Fatal(err)
	}
	var pairs []Overlap
	for _, p := range golden.Pairs {
		pair := Pair{Tokens(p.Written), Tokens(p.Reference)}
		if got := ROUGEL(pair); math.Abs(got-p.Rouge) > 1e-9 {
			t.Errorf("%q: ROUGE-L %v, want %v", p.Written, got, p.Rouge)
		}
		pairs = append(pairs, pair.Overlap(4))
	}
	for i, want := range golden.BLEU {
		if got := BLEU(pairs, i+1); math.Abs(got-want) > 1e-9 {
			t.Errorf("BLEU-%d %v, want %v", i+1, got, want)
		}
	}
	if len(golden.BLEU) != 4 {
		t.Errorf("%d orders", len(golden.BLEU))
	}
}

func TestNothing(t *testing.T) {
	for name, p := range map[string]Pair{"no text": {nil, []string{"a"}}, "no reference": {[]string{"a"}, nil}, "neither": {}} {
		if b, r := BLEU([]Overlap{p.Overlap(4)}, 4), ROUGEL(p); b != 0 || r != 0 {
			t.Errorf("%s: BLEU %v, ROUGE-L %v", name, b, r)
		}
	}
}

func TestLabelF1(t *testing.T) {
	set := func(labels ...string) map[string]bool {
		m := map[string]bool{}
		for _, l := range labels {
			m[l] = true
		}
		return m
	}
	written := []map[string]bool{set("a", "b"), set("a"), set()}
	reference := []map[string]bool{set("a"), set("a", "b"), set("b")}
	micro, macro := LabelF1(written, reference, []string{"a", "b", "c"})
	// a: 2 found, none wrong: 1. b: 1 wrong, 2 missed: 0. c: never there. Together 2, 1, 2.
	if math.Abs(micro-4.0/7) > 1e-12 || macro != 0.5 {
		t.Errorf("micro %v, macro %v", micro, macro)
	}
}
