package eval

import (
	"math"
	"math/rand/v2"
	"testing"

	"consilium/internal/analysis"
	"consilium/internal/dataset/triples"
	net "consilium/internal/model/fusion"
	"consilium/services/fusion"
)

// TestDigitTally counts two triples by hand: the text is right in both, the picture in the first, the sound in none.
func TestDigitTally(t *testing.T) {
	answers := []string{"seven", "two", "red"}
	weights := map[analysis.Modality]float64{analysis.Text: 0.8, analysis.Image: 0.1, analysis.Audio: 0.1}
	even := map[analysis.Modality]float64{analysis.Text: 1.0 / 3, analysis.Image: 1.0 / 3, analysis.Audio: 1.0 / 3}
	explained := func(image []float64) *fusion.Explanation {
		return &fusion.Explanation{
			Answers: answers, Fused: []float64{0.2, 0.7, 0.1},
			Alone: map[analysis.Modality][]float64{
				analysis.Text: {0.2, 0.6, 0.2}, analysis.Image: image, analysis.Audio: {1, 0, 0},
			},
			Weights: weights,
			ByRule:  [net.Rules]map[analysis.Modality]float64{net.Learned: weights, net.Uniform: even},
		}
	}
	x := triples.Triple{Digit: 2, Corrupted: [triples.Parts]bool{false, true, true}}
	tally := newDigitTally()
	tally.count(x, explained([]float64{0, 1, 0}))
	tally.count(x, explained([]float64{1, 0, 0}))
	got := map[string]float64{}
	for _, f := range append(tally.gains(), tally.figures("s5", true)...) {
		got[f.Metric] = f.Value
	}
	for metric, want := range map[string]float64{
		"best-modality-s5": 1, "fused-s5": 1, "learned-s5": 1, "uniform-s5": 0.5, "oracle-s5": 1,
		"weight-corrupted-s5": 0.1, "weight-whole-s5": 0.8,
		"gain-over-best-modality": 0, "gain-over-uniform": 0.5, "gain-over-uniform-fused": 0.5,
	} {
		if v, ok := got[metric]; !ok || math.Abs(v-want) > 1e-9 {
			t.Errorf("%s is %v (%v), want %v", metric, v, ok, want)
		}
	}
}

func TestMix(t *testing.T) {
	e := &fusion.Explanation{
		Answers: []string{"a", "b", "c", "d"},
		Alone: map[analysis.Modality][]float64{
			analysis.Text:  {0.25, 0.25, 0.25, 0.25},
			analysis.Image: {0, 0.5, 0, 0.5},
		},
	}
	p := mix(e, map[analysis.Modality]float64{analysis.Text: 0.1, analysis.Image: 0.9})
	if math.Abs(p[0]-0.025) > 1e-9 || math.Abs(p[1]-0.475) > 1e-9 || best(e, p) != "b" {
		t.Errorf("mixed to %v, the best is %s", p, best(e, p))
	}
}

// TestDigitConditions shows one triple in every way.
func TestDigitConditions(t *testing.T) {
	whole := []triples.Triple{{Word: "two", Digit: 2}, {Word: "six", Digit: 6}}
	for i := range whole {
		whole[i].Sound.Samples = make([]float32, 800)
	}
	want := map[string]int{"s0": 0, "s1": 2, "s2": 2, "s3": 2, "s4": 2, "s5": 2, "no-note": 0, "no-image": 0, "no-audio": 0, "one-wrong": 1, "two-wrong": 2}
	conditions := digitConditions(whole)
	if len(conditions) != len(want) {
		t.Errorf("%d conditions, want %d", len(conditions), len(want))
	}
	for _, c := range conditions {
		n := 0
		for _, corrupted := range c.change(rand.New(rand.NewPCG(1, 1)), whole[0]).Corrupted {
			if corrupted {
				n++
			}
		}
		if w, ok := want[c.name]; !ok || n != w {
			t.Errorf("%s corrupts %d parts, want %d (%v)", c.name, n, w, ok)
		}
	}
}

// TestRecallAtOne has one of two right, among three things of which one in three or two in three are the same.
func TestRecallAtOne(t *testing.T) {
	to := []pointed{{[]float32{1, 0}, 1}, {[]float32{0, 1}, 2}, {[]float32{-1, 0}, 2}}
	f := recallAtOne("r1", []pointed{{[]float32{0.8, 0.6}, 1}, {[]float32{0.9, 0.1}, 2}}, to)
	if f.Value != 0.5 || math.Abs(f.Floor-0.5) > 1e-9 || f.N != 2 {
		t.Errorf("%+v", f)
	}
}
