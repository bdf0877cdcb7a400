package textmetric

// Counts are what an F1 is made of.
type Counts struct{ TruePositive, FalsePositive, FalseNegative int }

// Add counts one decision.
func (c *Counts) Add(written, reference bool) {
	switch {
	case written && reference:
		c.TruePositive++
	case written:
		c.FalsePositive++
	case reference:
		c.FalseNegative++
	}
}

// F1 is the harmonic mean of precision and recall, 0 if nothing was found and nothing was there.
func (c Counts) F1() float64 {
	if c.TruePositive == 0 {
		return 0
	}
	return 2 * float64(c.TruePositive) / float64(2*c.TruePositive+c.FalsePositive+c.FalseNegative)
}

// LabelF1 returns the F1 over all decisions together (micro) and the mean of the F1 of each label that the references
// have (macro). Each case is the set of labels that are positive.
func LabelF1(written, reference []map[string]bool, labels []string) (micro, macro float64) {
	var all Counts
	there := 0
	for _, l := range labels {
		var one Counts
		for i := range reference {
			one.Add(written[i][l], reference[i][l])
			all.Add(written[i][l], reference[i][l])
		}
		if one.TruePositive+one.FalseNegative > 0 {
			macro += one.F1()
			there++
		}
	}
	return all.F1(), macro / float64(max(1, there))
}
