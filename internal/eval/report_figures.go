package eval

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"consilium/internal/chexpert"
	"consilium/internal/textmetric"
)

// figures are those of the reports on the test films; those that no writer has a part in are among them with floors.
func (w *writtenReports) figures(suffix string, cases map[string][]reportCase, floors bool) []Figure {
	test := cases["test"]
	var patients []string
	var written, reference, majority, nearest []map[string]bool
	for i, c := range test {
		patients = append(patients, c.film.Patient)
		written, reference = append(written, w.reports[i].labels), append(reference, c.labels)
		majority = append(majority, mostFrequentLabels(cases["train"]))
		nearest = append(nearest, labelsOf(nearestCase(cases["train"], c, false)))
	}
	micro := func(of []map[string]bool) func(draw []int) float64 {
		return func(draw []int) float64 {
			f1, _ := textmetric.LabelF1(pickAll(of, draw), pickAll(reference, draw), chexpert.Observations)
			return f1
		}
	}
	macro := func(of []map[string]bool) func(draw []int) float64 {
		return func(draw []int) float64 {
			_, f1 := textmetric.LabelF1(pickAll(of, draw), pickAll(reference, draw), chexpert.Observations)
			return f1
		}
	}
	figure := func(metric string, floor float64, patients []string, of func(draw []int) float64) Figure {
		return byPatient("report", metric, patients, floor, of)
	}
	everyone := all(len(test))
	blind := math.Max(micro(majority)(everyone), micro(nearest)(everyone))
	out := []Figure{figure("label-f1"+suffix, blind, patients, micro(written)),
		figure("label-f1-macro"+suffix, math.Max(macro(majority)(everyone), macro(nearest)(everyone)), patients, macro(written))}
	var nih []int // on whose like the findings were trained
	for i, c := range test {
		if c.film.NIH {
			nih = append(nih, i)
		}
	}
	if len(nih) > 0 {
		within := func(of []map[string]bool) func(draw []int) float64 {
			return func(draw []int) float64 { return micro(of)(pickAll(nih, draw)) }
		}
		out = append(out, figure("label-f1-nih"+suffix, math.Max(within(majority)(all(len(nih))), within(nearest)(all(len(nih)))), pickAll(patients, nih), within(written)))
	}
	if floors {
		out = append(out, figure("label-f1-majority", 0, patients, micro(majority)), figure("label-f1-nearest", 0, patients, micro(nearest)))
	}
	out = append(out, figure("label-f1-over-nearest"+suffix, 0, patients, func(draw []int) float64 { return micro(written)(draw) - micro(nearest)(draw) }))
	out = append(out, Figure{Name: "report", Metric: "label-f1-shuffled" + suffix, Value: shuffledF1(written, reference), N: len(test)})
	contradicting, stated := 0, 0
	for _, r := range w.reports {
		contradicting, stated = contradicting+r.contradicting, stated+r.stated
	}
	out = append(out, Figure{Name: "report", Metric: "contradictions" + suffix, Value: float64(contradicting), N: stated},
		Figure{Name: "report", Metric: "first-draft-refused" + suffix, Value: w.refused.share(), N: w.refused.n},
		Figure{Name: "report", Metric: "worded" + suffix, Value: w.worded.share(), N: w.worded.n})
	return append(out, w.textFigures(suffix, cases, floors)...)
}

// textFigures compare the words with those of people, on the films that have some.
func (w *writtenReports) textFigures(suffix string, cases map[string][]reportCase, floors bool) []Figure {
	var patients []string
	pairs := map[string][]textmetric.Pair{}
	frequent := mostFrequentText(cases["train"])
	for i, c := range cases["test"] {
		if c.sentences == nil {
			continue
		}
		patients = append(patients, c.film.Patient)
		reference := textmetric.Tokens(join(c.sentences))
		near := nearestCase(cases["train"], c, true)
		var nearest []string
		if near != nil {
			nearest = near.sentences
		}
		for name, text := range map[string][]string{"": w.reports[i].findings, "-plain": w.reports[i].plain, "-majority": frequent, "-nearest": nearest} {
			pairs[name] = append(pairs[name], textmetric.Pair{Written: textmetric.Tokens(join(text)), Reference: reference})
		}
	}
	if len(patients) == 0 {
		return nil
	}
	var written []textmetric.Pair
	for i := range pairs[""] { // each reference beside the report on the next film
		written = append(written, textmetric.Pair{Written: pairs[""][(i+1)%len(patients)].Written, Reference: pairs[""][i].Reference})
	}
	pairs["-shuffled"] = written
	overlaps, subsequences := map[string][]textmetric.Overlap{}, map[string][]float64{}
	for name, list := range pairs {
		for _, p := range list {
			overlaps[name] = append(overlaps[name], p.Overlap(4))
			subsequences[name] = append(subsequences[name], textmetric.ROUGEL(p))
		}
	}
	var out []Figure
	measure := func(metric string, of func(name string) func(draw []int) float64) {
		everyone := all(len(patients))
		floor := math.Max(of("-majority")(everyone), of("-nearest")(everyone))
		out = append(out, byPatient("report", metric+suffix, patients, floor, of("")))
		out = append(out, Figure{Name: "report", Metric: metric + "-shuffled" + suffix, Value: of("-shuffled")(everyone), N: len(patients)})
		if floors {
			for _, name := range []string{"-plain", "-majority", "-nearest"} {
				out = append(out, byPatient("report", metric+name, patients, 0, of(name)))
			}
		}
	}
	for order := 1; order <= 4; order++ {
		measure(fmt.Sprintf("bleu-%d", order), func(name string) func(draw []int) float64 {
			return func(draw []int) float64 { return textmetric.BLEU(pickAll(overlaps[name], draw), order) }
		})
	}
	measure("rouge-l", func(name string) func(draw []int) float64 {
		return func(draw []int) float64 {
			var m mean
			for _, i := range draw {
				m.add(subsequences[name][i])
			}
			return m.value()
		}
	})
	return out
}

func all(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func pickAll[E any](from []E, draw []int) []E {
	out := make([]E, len(draw))
	for i, j := range draw {
		out[i] = from[j]
	}
	return out
}

// byPatient returns the figure of a score over all cases, with the 2.5th and the 97.5th percentile over resampled patients.
func byPatient(name, metric string, patients []string, floor float64, score func(draw []int) float64) Figure {
	of := map[string][]int{}
	for i, p := range patients {
		of[p] = append(of[p], i)
	}
	names := slices.Sorted(maps.Keys(of))
	rng := rand.New(rand.NewPCG(1, 1))
	values := make([]float64, resamples)
	for i := range values {
		var draw []int
		for range names {
			draw = append(draw, of[names[rng.IntN(len(names))]]...)
		}
		values[i] = score(draw)
	}
	slices.Sort(values)
	return Figure{Name: name, Metric: metric, Value: score(all(len(patients))), Floor: floor, N: len(patients),
		Low: values[resamples*25/1000], High: values[resamples*975/1000]}
}

// shuffledF1 is the F1 when each film has the report of another one, over every distance in the list.
func shuffledF1(written, reference []map[string]bool) float64 {
	var m mean
	for i := 1; i < len(written); i++ {
		f1, _ := textmetric.LabelF1(slices.Concat(written[i:], written[:i]), reference, chexpert.Observations)
		m.add(f1)
	}
	return m.value()
}

// mostFrequentLabels is the set of observations that most of the films have.
func mostFrequentLabels(films []reportCase) map[string]bool {
	counts := map[string]int{}
	for _, c := range films {
		counts[strings.Join(slices.Sorted(maps.Keys(c.labels)), "|")]++
	}
	out := map[string]bool{}
	for _, o := range strings.Split(mostFrequent(counts), "|") {
		out[o] = true
	}
	return out
}

// mostFrequentText is the text that most of the films have.
func mostFrequentText(films []reportCase) []string {
	counts := map[string]int{}
	for _, c := range films {
		if c.sentences != nil {
			counts[strings.Join(c.sentences, "\n")]++
		}
	}
	if len(counts) == 0 {
		return nil
	}
	return strings.Split(mostFrequent(counts), "\n")
}

func labelsOf(c *reportCase) map[string]bool {
	if c == nil {
		return map[string]bool{}
	}
	return c.labels
}

// nearestCase is the film, or the film with a text, whose image looks most like that of c; nil if there is none.
func nearestCase(films []reportCase, c reportCase, withText bool) (best *reportCase) {
	greatest := math.Inf(-1)
	for i := range films {
		if withText && films[i].sentences == nil {
			continue
		}
		if v := cosineOf(films[i].vector, c.vector); v > greatest {
			best, greatest = &films[i], v
		}
	}
	return best
}

func cosineOf(a, b []float32) float64 {
	dot, aa, bb := 0.0, 0.0, 0.0
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		dot, aa, bb = dot+x*y, aa+x*x, bb+y*y
	}
	return dot / math.Sqrt(aa*bb+1e-12)
}
