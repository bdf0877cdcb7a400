package eval

import (
	"math/rand/v2"
	"testing"

	"consilium/internal/train"
)

func TestLogisticFindsADirection(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	draw := func(n int) (cases []labelled) {
		for range n {
			v := make([]float32, 8)
			for i := range v {
				v[i] = float32(5 + rng.NormFloat64())
			}
			cases = append(cases, labelled{vector: v, positive: float64(v[3]-v[5])+0.3*rng.NormFloat64() > 0})
		}
		return cases
	}
	l := fitLogistic(draw(400), 0.01)
	if got := train.AUROC(l.scores(draw(400))); got < 0.97 {
		t.Errorf("AUROC %v, want at least 0.97", got)
	}
}
