package train

import (
	"fmt"
	"io"
	"math"
	"sort"

	"consilium/internal/model/fusion"
	"consilium/internal/tensor"
)

// Validate prints the accuracy on held-out pictures, which it returns, and the AUROC of each finding on the validation
// films, and sets the findings' thresholds from the latter.
func (t *vqaTask) Validate(a *tensor.Arena, out io.Writer) float64 {
	right, n := 0, 0
	for start := 0; start < len(t.data.val); start += 128 {
		mark := a.Mark()
		qs := t.data.val[start:min(start+128, len(t.data.val))]
		in, _ := t.questionBatch(qs).tensors(a)
		for i, answer := range a.Int64s(a.Argmax(t.model.Forward(a, in).Logits, 1)) {
			if int(answer) == qs[i].answer {
				right++
			}
			n++
		}
		a.Release(mark)
	}
	accuracy := float64(right) / float64(n)
	fmt.Fprintf(out, "validation: %.4f of %d questions\n", accuracy, n)
	t.validateFilms(a, out)
	t.validateCough(a, out)
	if t.triples != nil {
		t.triples.validate(a, t.model, t.data, t.questionBatch, out)
	}
	return accuracy
}

func (t *vqaTask) validateFilms(a *tensor.Arena, log io.Writer) {
	images, records := make([]int, len(t.data.valFilms)), make([]int, len(t.data.valFilms))
	for i, x := range t.data.valFilms {
		images[i], records[i] = x.images[0], x.records[0]
	}
	mark := a.Mark()
	defer a.Release(mark)
	out := t.model.Forward(a, fusion.Batch{Text: t.data.text.pack(a, nil, records), Image: t.data.image.pack(a, nil, images)})
	p := a.Float32s(a.Sigmoid(out.Logits))
	labels := t.model.Config().Findings
	for j := range labels {
		if labels[j].Name == cough {
			continue
		}
		scores, truth := make([]float64, len(images)), make([]bool, len(images))
		for i, x := range t.data.valFilms {
			scores[i], truth[i] = float64(p[i*len(labels)+j]), x.labels[j] == 1
		}
		labels[j].Threshold = youden(scores, truth)
		fmt.Fprintf(log, "  %-20s AUROC %.3f  threshold %.3f\n", labels[j].Name, AUROC(scores, truth), labels[j].Threshold)
	}
	fmt.Fprintf(log, "  mean weights on films: text %.2f image %.2f\n", a.Item(a.Mean(a.Select(out.Weights, 1, 0), false)), a.Item(a.Mean(a.Select(out.Weights, 1, 1), false)))
}

func (t *vqaTask) validateCough(a *tensor.Arena, log io.Writer) {
	labels := t.model.Config().Findings
	j := len(labels) - 1
	scores, truth := make([]float64, 0, len(t.data.valSounds)), make([]bool, 0, len(t.data.valSounds))
	for start := 0; start < len(t.data.valSounds); start += 32 {
		mark := a.Mark()
		var rows []int
		for _, c := range t.data.valSounds[start:min(start+32, len(t.data.valSounds))] {
			rows = append(rows, c.audio)
			truth = append(truth, c.cough)
		}
		out := t.model.Forward(a, fusion.Batch{Audio: t.data.audio.pack(a, nil, rows)})
		for i, p := range a.Float32s(a.Sigmoid(out.Logits)) {
			if i%len(labels) == j {
				scores = append(scores, float64(p))
			}
		}
		a.Release(mark)
	}
	labels[j].Threshold = youden(scores, truth)
	fmt.Fprintf(log, "  %-20s AUROC %.3f  threshold %.3f\n", labels[j].Name, AUROC(scores, truth), labels[j].Threshold)
}

// AUROC is the probability that a positive case scores higher than a negative one, ties counting half (Hanley and
// McNeil 1982). It is NaN if one of the classes is empty.
func AUROC(scores []float64, truth []bool) float64 {
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	sort.Slice(order, func(i, j int) bool { return scores[order[i]] < scores[order[j]] })
	ranks, positives := 0.0, 0
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && scores[order[j]] == scores[order[i]] {
			j++
		}
		for k := i; k < j; k++ {
			if truth[order[k]] {
				ranks += float64(i+j+1) / 2
				positives++
			}
		}
		i = j
	}
	negatives := len(scores) - positives
	if positives == 0 || negatives == 0 {
		return math.NaN()
	}
	return (ranks - float64(positives*(positives+1))/2) / float64(positives*negatives)
}

// youden returns the threshold with the largest sum of sensitivity and specificity (Youden 1950).
func youden(scores []float64, truth []bool) float64 {
	candidates := append([]float64(nil), scores...)
	sort.Float64s(candidates)
	best, at := math.Inf(-1), 0.5
	for _, c := range candidates {
		tp, fn, tn, fp := 0.0, 0.0, 0.0, 0.0
		for i, s := range scores {
			switch {
			case truth[i] && s >= c:
				tp++
			case truth[i]:
				fn++
			case s < c:
				tn++
			default:
				fp++
			}
		}
		if j := tp/math.Max(1, tp+fn) + tn/math.Max(1, tn+fp); j > best {
			best, at = j, c
		}
	}
	return at
}
