package smollm_test

import (
	"testing"

	"consilium/internal/gguf"
	"consilium/internal/model/smollm"
	"consilium/internal/tensor"
	"consilium/internal/weights"
)

// BenchmarkGenerate writes 128 tokens greedily, with the cache and without it, on one thread.
func BenchmarkGenerate(b *testing.B) {
	path, err := weights.Path("smollm2.gguf")
	if err != nil {
		b.Skip(err)
	}
	f, err := gguf.Read(path)
	if err != nil {
		b.Fatal(err)
	}
	c, err := smollm.ReadConfig(f)
	if err != nil {
		b.Fatal(err)
	}
	raw, err := smollm.Weights(f)
	if err != nil {
		b.Fatal(err)
	}
	const tokens = 128
	do(b, false, func(a *tensor.Arena) {
		p := tensor.FromRaw(raw)
		defer p.Free(a)
		net := smollm.New(a, p, c)
		next := func(hidden tensor.T) int64 {
			return a.Int64s(a.Argmax(net.Logits(a, a.Select(hidden, 1, a.Size(hidden, 1)-1)), -1))[0]
		}
		b.Run("cache", func(b *testing.B) {
			for b.Loop() {
				mark := a.Mark()
				cache := &smollm.Cache{}
				id := int64(1)
				for range tokens {
					step := a.Mark()
					id = next(net.Forward(a, net.Embed(a, []int64{id}, 1, 1), cache))
					a.Release(step, cache.Tensors()...)
				}
				a.Release(mark)
			}
			b.ReportMetric(float64(tokens*b.N)/b.Elapsed().Seconds(), "tokens/s")
		})
		b.Run("whole", func(b *testing.B) {
			for b.Loop() {
				ids := []int64{1}
				for range tokens {
					mark := a.Mark()
					ids = append(ids, next(net.Forward(a, net.Embed(a, ids, 1, int64(len(ids))), nil)))
					a.Release(mark)
				}
			}
			b.ReportMetric(float64(tokens*b.N)/b.Elapsed().Seconds(), "tokens/s")
		})
	})
}
