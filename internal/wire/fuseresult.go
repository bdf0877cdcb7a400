package wire

import (
	"errors"
	"fmt"

	"consilium/internal/analysis"
)

// column makes one element of a tensor of each value.
func column[V, E any](values []V, element func(V) E) []E {
	elements := make([]E, len(values))
	for i, v := range values {
		elements[i] = element(v)
	}
	return elements
}

// packResult makes the outputs of one result.
func packResult(result *analysis.Result) ([]Tensor, error) {
	answers, findings, weights := result.Answers, result.Findings, result.Modalities
	outputs := []Tensor{
		byteStrings("answer", column(answers, func(a analysis.Candidate) []byte { return []byte(a.Text) })),
		floats("probability", column(answers, func(a analysis.Candidate) float32 { return float32(a.Probability) }), len(answers)),
		byteStrings("finding", column(findings, func(f analysis.Finding) []byte { return []byte(f.Label) })),
		floats("finding_probability", column(findings, func(f analysis.Finding) float32 { return float32(f.Probability) }), len(findings)),
		floats("finding_threshold", column(findings, func(f analysis.Finding) float32 { return float32(f.Threshold) }), len(findings)),
		bools("finding_present", column(findings, func(f analysis.Finding) bool { return f.Present })),
		byteStrings("finding_modality", column(findings, func(f analysis.Finding) []byte { return []byte(f.Modality) })),
		byteStrings("modality", column(weights, func(w analysis.ModalityWeight) []byte { return []byte(w.Modality) })),
		floats("weight", column(weights, func(w analysis.ModalityWeight) float32 { return float32(w.Weight) }), len(weights)),
		floats("entropy", column(weights, func(w analysis.ModalityWeight) float32 { return float32(w.Entropy) }), len(weights)),
	}
	if a := result.Attention; a != nil {
		if a.Rows < 1 || a.Cols < 1 || len(a.Values) != a.Rows*a.Cols {
			return nil, fmt.Errorf("the fusion made %d attention values for a grid of %d x %d", len(a.Values), a.Rows, a.Cols)
		}
		outputs = append(outputs, floats("attention", a.Values, a.Rows, a.Cols))
	}
	activations, err := packActivations(findings)
	if err != nil {
		return nil, err
	}
	return append(outputs, activations...), nil
}

// packActivations makes one tensor of the grids of the findings that are judged from the image, none if they have none.
func packActivations(findings []analysis.Finding) ([]Tensor, error) {
	var values []float32
	var first *analysis.Grid
	n, with := 0, 0
	for _, f := range findings {
		if f.Modality == analysis.Image {
			n++
		}
		g := f.Activation
		if g == nil {
			continue
		}
		if first == nil {
			first = g
		}
		if f.Modality != analysis.Image || g.Rows < 1 || g.Cols < 1 || len(g.Values) != g.Rows*g.Cols || g.Rows != first.Rows || g.Cols != first.Cols {
			return nil, fmt.Errorf("the fusion made %d activations of %q, judged from %s, for a grid of %d x %d", len(g.Values), f.Label, f.Modality, g.Rows, g.Cols)
		}
		values, with = append(values, g.Values...), with+1
	}
	switch with {
	case 0:
		return nil, nil
	case n:
		return []Tensor{floats("finding_activation", values, n, first.Rows, first.Cols)}, nil
	}
	return nil, fmt.Errorf("the fusion made activations of %d of the %d findings that it judged from the image", with, n)
}

// unpackActivations gives each finding that is judged from the image its grid.
func unpackActivations(t *Tensor, findings []analysis.Finding) error {
	if t == nil {
		return nil
	}
	n, rows, cols := t.Shape[0], t.Shape[1], t.Shape[2]
	at := 0
	for i := range findings {
		if findings[i].Modality != analysis.Image {
			continue
		}
		if at < n && rows > 0 && cols > 0 {
			findings[i].Activation = &analysis.Grid{Rows: rows, Cols: cols, Values: t.Floats[at*rows*cols : (at+1)*rows*cols : (at+1)*rows*cols]}
		}
		at++
	}
	if at != n || rows < 1 || cols < 1 {
		return &tensorError{t.Name, fmt.Errorf("has the shape %v for %d findings that were judged from the image", t.Shape, at)}
	}
	return nil
}

// unpackResult is the inverse of packResult; decode checked the tensors one by one.
func unpackResult(outputs []Tensor) (*analysis.Result, error) {
	get := func(name string) *Tensor { return find(outputs, name) }
	result := &analysis.Result{}
	for _, group := range [][]string{
		{"answer", "probability"},
		{"finding", "finding_probability", "finding_threshold", "finding_present", "finding_modality"},
		{"modality", "weight", "entropy"},
	} {
		for _, name := range group {
			if rows, want := get(name).Shape[0], get(group[0]).Shape[0]; rows != want {
				return nil, &tensorError{name, fmt.Errorf("has %d rows, want %d", rows, want)}
			}
		}
	}
	for i, text := range get("answer").Bytes {
		result.Answers = append(result.Answers, analysis.Candidate{Text: clip(string(text)), Probability: float64(get("probability").Floats[i])})
	}
	for i, label := range get("finding").Bytes {
		result.Findings = append(result.Findings, analysis.Finding{
			Label:       clip(string(label)),
			Probability: float64(get("finding_probability").Floats[i]),
			Threshold:   float64(get("finding_threshold").Floats[i]),
			Present:     get("finding_present").Bools[i],
			Modality:    analysis.Modality(get("finding_modality").Bytes[i]),
		})
	}
	for i, modality := range get("modality").Bytes {
		result.Modalities = append(result.Modalities, analysis.ModalityWeight{
			Modality: analysis.Modality(modality),
			Weight:   float64(get("weight").Floats[i]),
			Entropy:  float64(get("entropy").Floats[i]),
		})
	}
	if attention := get("attention"); attention != nil {
		result.Attention = &analysis.Grid{Rows: attention.Shape[0], Cols: attention.Shape[1], Values: attention.Floats}
	}
	if err := unpackActivations(get("finding_activation"), result.Findings); err != nil {
		return nil, err
	}
	return result, checkResult(result)
}

// checkResult returns an error if a result holds what no fusion may say.
func checkResult(result *analysis.Result) error {
	probability := func(what string, p float64) error {
		if p < 0 || p > 1 {
			return fmt.Errorf("%s is %v, want 0 to 1", what, p)
		}
		return nil
	}
	for _, a := range result.Answers {
		if err := probability("a probability", a.Probability); err != nil {
			return err
		}
	}
	for _, f := range result.Findings {
		if !f.Modality.Valid() {
			return fmt.Errorf("a finding has the unknown modality %q", clip(string(f.Modality)))
		}
		if f.Activation != nil {
			for _, v := range f.Activation.Values {
				if err := probability("an activation", float64(v)); err != nil {
					return err
				}
			}
		}
		if err := errors.Join(probability("a finding's probability", f.Probability), probability("a finding's threshold", f.Threshold)); err != nil {
			return err
		}
	}
	for _, w := range result.Modalities {
		if !w.Modality.Valid() {
			return fmt.Errorf("a weight has the unknown modality %q", clip(string(w.Modality)))
		}
		if err := errors.Join(probability("a weight", w.Weight), probability("an entropy", w.Entropy)); err != nil {
			return err
		}
	}
	if a := result.Attention; a != nil && len(a.Values) == 0 {
		return errors.New("the attention is empty")
	}
	return nil
}
