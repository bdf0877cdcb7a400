package analysis

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
	if c.Precision != "int8" || c.Samples < 1 || !(c.LeastCosine >= -1 && c.LeastCosine <= c.MeanCosine && c.MeanCosine <= 1) {
		return Errorf(BadUpstream, "a calibration in %.20q on %d samples with cosines of %v and %v", c.Precision, c.Samples, c.MeanCosine, c.LeastCosine)
	}
	return nil
}
