package kernels

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestRead(t *testing.T) {
	const dim, heads, head, step, apart = 64, 2, 32, 70, 130
	teams(t, func(t *testing.T, team *Team) {
		rng := rand.New(rand.NewPCG(8, 0))
		readings := []Reading{
			{Query: 0, Queries: 13, Memory: 3, Count: 61, Out: 2, Bias: -1, Weights: -1},
			{Query: 13, Queries: 1, Memory: 0, Count: 1, Out: 0, Bias: 5, Weights: 0},
			{Query: 4, Queries: 8, Memory: 10, Count: 48, Out: 15, Bias: 7, BiasStep: 48, Weights: 2},
			{Query: 0, Queries: 3, Memory: 0, Count: 17, Out: 23, Bias: 1, Weights: -1},
		}
		q, memory := random(rng, 14*step), random(rng, 64*apart)
		bias, weights, y := random(rng, 7+2*48), make([]float32, 2+heads*8*48), make([]float32, 26*dim)
		for i := range q[:step] {
			q[i] *= 100 // a softmax of one
		}
		wantWeights, want := make([]float64, len(weights)), make([]float64, len(y))
		for _, r := range readings {
			for h := range heads {
				for i := range int(r.Queries) {
					logits, most, total := make([]float64, r.Count), math.Inf(-1), 0.0
					for j := range logits {
						for k := range head {
							logits[j] += float64(q[(int(r.Query)+i)*step+h*head+k]) * float64(memory[(int(r.Memory)+j)*apart+h*head+k])
						}
						logits[j] /= math.Sqrt(head)
						if r.Bias >= 0 {
							logits[j] += float64(bias[int(r.Bias)+h*int(r.BiasStep)+j])
						}
						most = max(most, logits[j])
					}
					for j, v := range logits {
						logits[j] = math.Exp(v - most)
						total += logits[j]
					}
					for j, v := range logits {
						if r.Weights >= 0 {
							wantWeights[int(r.Weights)+(h*int(r.Queries)+i)*int(r.Count)+j] = v / total
						}
						for k := range head {
							want[(int(r.Out)+i)*dim+h*head+k] += v / total * float64(memory[(int(r.Memory)+j)*apart+dim+h*head+k])
						}
					}
				}
			}
		}
		team.Read(readings, dim, heads, Rows{q, step}, Rows{memory, apart}, bias, y, weights)
		near(t, "what is read", y, want, 4e-6)
		near(t, "the weights", weights, wantWeights, 4e-6)
	})
}

func TestReadRefuses(t *testing.T) {
	team := NewTeam(1, Plain)
	defer team.Free()
	good := Reading{Queries: 2, Count: 3, Bias: -1, Weights: -1}
	calls := map[string]func(){}
	for name, change := range map[string]func(r *Reading){
		"queries": func(r *Reading) { r.Query = 1 },
		"memory":  func(r *Reading) { r.Memory = 1 },
		"nothing": func(r *Reading) { r.Count = 0 },
		"out":     func(r *Reading) { r.Out = 1 },
		"bias":    func(r *Reading) { r.Bias = 1 },
		"weights": func(r *Reading) { r.Weights = 1 },
	} {
		calls[name] = func() {
			r := good
			change(&r)
			team.Read([]Reading{r}, 32, 1, Rows{make([]float32, 64), 32}, Rows{make([]float32, 192), 64}, make([]float32, 3), make([]float32, 64), make([]float32, 6))
		}
	}
	panics(t, calls)
}
