package fusion

import (
	"consilium/internal/analysis"
	net "consilium/internal/model/fusion"
)

// findings judges every finding whose modality is present, and says of those that are judged from the image where on it
// they were seen.
func (s *Service) findings(r *analysis.FuseRequest, read *net.Result) (findings []analysis.Finding) {
	present := map[string]bool{"text": r.Text != nil, "image": r.Image != nil, "audio": r.Audio != nil}
	for i, l := range s.config.Findings {
		if !present[l.Modality] {
			continue
		}
		p := l.Probability(float64(read.Logits[i]))
		f := analysis.Finding{Label: l.Name, Probability: p, Threshold: l.Threshold, Present: p >= l.Threshold, Modality: analysis.Modality(l.Modality)}
		if f.Modality == analysis.Image {
			cells := r.Image.Rows * r.Image.Cols
			f.Activation = &analysis.Grid{Rows: r.Image.Rows, Cols: r.Image.Cols, Values: read.Maps[i*cells : (i+1)*cells : (i+1)*cells]}
		}
		findings = append(findings, f)
	}
	return findings
}
