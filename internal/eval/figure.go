// Package eval measures the trained models on test sets that no training has seen.
package eval

// Figure is one measured number beside its floor.
type Figure struct {
	Name   string  `json:"name"`   // the measurement, such as "easy-vqa"
	Metric string  `json:"metric"` // what was measured, such as "accuracy"
	Value  float64 `json:"value"`
	Floor  float64 `json:"floor"` // what the best answer that ignores the modality under test reaches
	// Low and High bound the 95 % bootstrap interval; both 0 if none was computed.
	Low     float64 `json:"low,omitempty"`
	High    float64 `json:"high,omitempty"`
	N       int     `json:"n"` // test cases
	Seconds float64 `json:"seconds"`
}
