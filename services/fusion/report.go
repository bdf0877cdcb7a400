package fusion

import (
	"slices"

	"consilium/internal/analysis"
	net "consilium/internal/model/fusion"
	"consilium/internal/tensor"
)

// report judges every finding whose modality is present, and says of those that are judged from the image where on it
// they were seen.
func (s *Service) report(a *tensor.Arena, r *analysis.FuseRequest) (net.Output, []analysis.Finding) {
	present := map[string]bool{"text": r.Text != nil, "image": r.Image != nil, "audio": r.Audio != nil}
	var out net.Output
	var activations []float32 // (F, G*G)
	if r.Image != nil {
		var maps tensor.T
		out, maps = s.model.Activations(a, s.batch(a, r))
		activations = a.Float32s(maps)
	} else {
		out = s.model.Forward(a, s.batch(a, r))
	}
	logits := a.Float64s(out.Logits)
	var findings []analysis.Finding
	for i, l := range s.config.Findings {
		if !present[l.Modality] {
			continue
		}
		p := l.Probability(logits[i])
		f := analysis.Finding{Label: l.Name, Probability: p, Threshold: l.Threshold, Present: p >= l.Threshold, Modality: analysis.Modality(l.Modality)}
		if f.Modality == analysis.Image {
			cells := r.Image.Rows * r.Image.Cols
			f.Activation = &analysis.Grid{Rows: r.Image.Rows, Cols: r.Image.Cols, Values: slices.Clone(activations[i*cells : (i+1)*cells])}
		}
		findings = append(findings, f)
	}
	return out, findings
}
