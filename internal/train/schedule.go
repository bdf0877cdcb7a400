package train

import "math"

// Schedule is a learning rate that rises linearly over Warmup steps and falls as half a cosine to a hundredth of
// Peak at Total steps.
type Schedule struct {
	Peak          float64
	Warmup, Total int
}

// Rate returns the learning rate of step, counted from 0.
func (s Schedule) Rate(step int) float64 {
	if step < s.Warmup {
		return s.Peak * float64(step+1) / float64(s.Warmup)
	}
	done := float64(step-s.Warmup) / math.Max(1, float64(s.Total-s.Warmup))
	return s.Peak * (0.01 + 0.99*0.5*(1+math.Cos(math.Pi*math.Min(1, done))))
}
