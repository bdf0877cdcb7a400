package analysis

import "fmt"

// Precision is what an encoder computes in on the processor.
type Precision string

// The precisions. The empty one is FP32.
const (
	FP32 Precision = "fp32"
	// Int8 is 8 bits where the encoder has them, as it describes itself. It runs on the processor only.
	Int8 Precision = "int8"
)

// UnmarshalText reads a setting.
func (p *Precision) UnmarshalText(text []byte) error {
	switch found := Precision(text); found {
	case FP32, Int8:
		*p = found
		return nil
	default:
		return fmt.Errorf("want %s or %s, found %q", FP32, Int8, found)
	}
}

// Calibration is how near a model that computes in fewer bits is to itself in float32, on what it was calibrated on.
type Calibration struct {
	Precision string `json:"precision"` // int8
	Samples   int    `json:"samples"`   // texts or pictures
	// MeanCosine and LeastCosine are those of its vectors to the ones in float32.
	MeanCosine  float64 `json:"mean_cosine"`
	LeastCosine float64 `json:"least_cosine"`
}

// Check returns a BadUpstream error if c is none.
func (c *Calibration) Check() error {
	if c.Precision != string(Int8) || c.Samples < 1 || !(c.LeastCosine >= -1 && c.LeastCosine <= c.MeanCosine && c.MeanCosine <= 1) {
		return Errorf(BadUpstream, "a calibration in %.20q on %d samples with cosines of %v and %v", c.Precision, c.Samples, c.MeanCosine, c.LeastCosine)
	}
	return nil
}
