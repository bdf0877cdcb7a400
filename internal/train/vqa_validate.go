package train

import (
	"fmt"
	"io"
	"math"
	"slices"
	"sort"

	"consilium/internal/analysis"
	"consilium/internal/model/fusion"
	"consilium/internal/tensor"
)

// Validate prints how good the net is on what it was not trained on, and calibrates it there: the temperature of the
// answers on questions about held-out pictures, the probabilities and thresholds of the findings on validation films
// and sounds. It returns the accuracy of the answers.
func (t *vqaTask) Validate(a *tensor.Arena, out io.Writer) float64 {
	accuracy := t.validateQuestions(a, out)
	t.config.Findings = slices.Clone(t.config.Findings)
	t.validateFilms(a, out)
	t.validateCough(a, out)
	if t.triples != nil {
		t.triples.validate(a, t.model, t.data, t.questionBatch, out)
	}
	return accuracy
}

func (t *vqaTask) validateQuestions(a *tensor.Arena, out io.Writer) float64 {
	var logits [][]float64
	var answers []int
	right := 0
	for chunk := range slices.Chunk(t.data.val, 128) {
		mark := a.Mark()
		in, _ := t.questionBatch(chunk).tensors(a)
		for i, row := range rows(a, t.model.Forward(a, in).Logits) {
			logits, answers = append(logits, row), append(answers, chunk[i].answer)
			if slices.Index(row, slices.Max(row)) == chunk[i].answer {
				right++
			}
		}
		a.Release(mark)
	}
	t.config.Temperature = temperature(logits, answers)
	accuracy := float64(right) / float64(len(answers))
	fmt.Fprintf(out, "validation: %.4f of %d questions, temperature %.2f\n", accuracy, len(answers), t.config.Temperature)
	return accuracy
}

// rows copies x (N, L) out row by row.
func rows(a *tensor.Arena, x tensor.T) [][]float64 {
	return slices.Collect(slices.Chunk(a.Float64s(x), int(a.Size(x, 1))))
}

func (t *vqaTask) validateFilms(a *tensor.Arena, out io.Writer) {
	labels := t.config.Findings
	mark := a.Mark()
	defer a.Release(mark)
	images, records := make([]int, len(t.data.valFilms)), make([]int, len(t.data.valFilms))
	for i, x := range t.data.valFilms {
		images[i], records[i] = x.images[0], x.records[0]
	}
	image := t.data.radiograph.pack(a, nil, images)
	alone := rows(a, t.model.Forward(a, fusion.Batch{Image: image}).Logits)
	fused := rows(a, t.model.Forward(a, fusion.Batch{Image: image, Text: t.data.text.pack(a, nil, records)}).Logits)
	var judged []*fusion.Label
	var probabilities [][]float64 // label by label
	var carried [][]bool
	for j := range labels {
		if labels[j].Modality != string(analysis.Image) {
			continue
		}
		// Calibrated on films with and without their record: a caller may send either.
		var scores [2][]float64
		var truth []bool
		for i, x := range t.data.valFilms {
			scores[0], scores[1] = append(scores[0], alone[i][j]), append(scores[1], fused[i][j])
			truth = append(truth, x.labels[j] == 1)
		}
		judged, carried = append(judged, &labels[j]), append(carried, slices.Concat(truth, truth))
		probabilities = append(probabilities, calibrate(&labels[j], slices.Concat(scores[0], scores[1]), carried[len(carried)-1]))
		fmt.Fprintf(out, "  %-20s AUROC %.3f, with the record %.3f  scale %.2f shift %.2f\n",
			labels[j].Name, AUROC(scores[0], truth), AUROC(scores[1], truth), labels[j].Scale, labels[j].Shift)
	}
	for i, at := range thresholds(probabilities, carried) {
		judged[i].Threshold = at
		fmt.Fprintf(out, "  %-20s threshold %.2f\n", judged[i].Name, at)
	}
}

func (t *vqaTask) validateCough(a *tensor.Arena, out io.Writer) {
	label := &t.config.Findings[len(t.config.Findings)-1]
	var scores []float64
	var truth []bool
	for chunk := range slices.Chunk(t.data.valSounds, 32) {
		mark := a.Mark()
		var sounds []int
		for _, c := range chunk {
			sounds, truth = append(sounds, c.audio), append(truth, c.cough)
		}
		for _, row := range rows(a, t.model.Forward(a, fusion.Batch{Audio: t.data.audio.pack(a, nil, sounds)}).Logits) {
			scores = append(scores, row[len(row)-1])
		}
		a.Release(mark)
	}
	label.Threshold = bestF1(calibrate(label, scores, truth), truth)
	fmt.Fprintf(out, "  %-20s AUROC %.3f  scale %.2f shift %.2f threshold %.3f\n", label.Name, AUROC(scores, truth), label.Scale, label.Shift, label.Threshold)
}

// calibrate sets what turns the label's logits into probabilities, and returns these.
func calibrate(label *fusion.Label, logits []float64, truth []bool) []float64 {
	label.Scale, label.Shift = platt(logits, truth)
	probabilities := make([]float64, len(logits))
	for i, x := range logits {
		probabilities[i] = label.Probability(x)
	}
	return probabilities
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
