package tensor

import (
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sugarme/gotch/libtch"

	"consilium/internal/batch"
)

func TestParseOptions(t *testing.T) {
	for _, c := range []struct{ device, precision, fails string }{
		{"", "", ""},
		{"cpu", "fp32", ""},
		{"cpu", "fp16", ""},
		{"cpu", "int8", `"int8"`},
		{"tpu", "fp16", `"tpu"`},
		{"cuda:99", "fp16", `"cuda:99"`},
	} {
		opt, err := ParseOptions(c.device, c.precision)
		if (err != nil) != (c.fails != "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%s in %s: %v, want %q", c.device, c.precision, err, c.fails)
		}
		if err == nil && (opt != Options{Device: CPU, Precision: Float}) {
			t.Errorf("%s in %s: %+v, want float32 on the CPU", c.device, c.precision, opt)
		}
	}
}

// The kernels are for the processor and for float32: nothing else may choose them.
func TestOnProcessor(t *testing.T) {
	for _, c := range []struct {
		opt      Options
		kernels  bool
		rounding string
	}{
		{Options{Device: CPU}, true, ""},
		{Options{Device: CPU, Precision: Float}, true, ""},
		{Options{Device: CPU, Precision: BFloat16}, false, "bfloat16"},
		{Options{Device: 0, Precision: Float}, false, ""},
		{Options{Device: 0, Precision: Half}, false, "float16"},
		{Options{Device: 1, Precision: BFloat16}, false, "bfloat16"},
	} {
		if c.opt.OnProcessor() != c.kernels || c.opt.Rounding() != c.rounding {
			t.Errorf("%+v: on kernels %v, rounded to %q", c.opt, c.opt.OnProcessor(), c.opt.Rounding())
		}
	}
}

func TestDigest(t *testing.T) {
	if Digest([]byte("ab"), []byte("c")) == Digest([]byte("a"), []byte("bc")) {
		t.Error("the digest does not tell one part from the next")
	}
}

func TestPrecision(t *testing.T) {
	const third = 1 / float32(3)
	for kind, want := range map[Kind]float32{0: third, Float: third, Half: 0.33325195, BFloat16: 0.33398438} {
		e := NewEngine(Options{Device: CPU, Threads: 1, Precision: kind})
		err := e.Do(t.Context(), func(a *Arena) error {
			p := FromRaw(map[string]Raw{"x": {Shape: []int64{1}, Values: []float32{third}}})
			defer p.Free(a)
			exact := a.FromFloat32([]float32{third}, 1)
			for name, x := range map[string]T{"parameter": p.Get(a, "x", nil, 1), "input": a.ToPrecision(exact)} {
				if got := a.Float32s(x)[0]; got != want {
					t.Errorf("%v: a third as %s is %v, want %v", kind, name, got, want)
				}
			}
			if got, file := a.Float32s(exact)[0], p.Floats(a, "x", 1)[0]; got != third || file != third {
				t.Errorf("%v: a third is %v as a tensor and %v in the file", kind, got, file)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		e.Close()
	}
}

func TestFitting(t *testing.T) {
	for _, c := range []struct {
		free, bytes int64
		most, want  int
	}{
		{1000, 100, 100, 7},
		{1000, 100, 5, 5},
		{0, 100, 5, 1},
		{100, 1000, 5, 1},
		{141 << 30, 1, math.MaxInt32, math.MaxInt32},
		{24 << 30, 64 << 10, 1 << 30, 275251},
	} {
		if got := fitting(c.free, c.bytes, c.most); got != c.want {
			t.Errorf("%d bytes free, %d a unit, at most %d: %d, want %d", c.free, c.bytes, c.most, got, c.want)
		}
	}
	e := newEngine(t, Options{})
	_ = e.Do(t.Context(), func(a *Arena) error {
		if got := a.MaxCost(1, 3, 7); got != 3 {
			t.Errorf("on the CPU %d, want 3", got)
		}
		return nil
	})
}

// A batch that asks the system for more memory than there are addresses runs in halves.
func TestOutOfMemory(t *testing.T) {
	e := newEngine(t, Options{})
	run := batch.Halving(ErrMemory, func(items []int) ([]batch.Result[float64], error) {
		results := make([]batch.Result[float64], len(items))
		return results, e.Do(t.Context(), func(a *Arena) error {
			if len(items) > 1 {
				a.Zeros(int64(len(items)), 1<<50)
			}
			for i, v := range items {
				results[i].Value = a.Item(a.Full(float64(v), 1))
			}
			return nil
		})
	})
	results, err := run([]int{1, 2, 3})
	if err != nil || len(results) != 3 || results[0].Value != 1 || results[2].Value != 3 {
		t.Errorf("%v, %v", results, err)
	}
	err = e.Do(t.Context(), func(a *Arena) error { a.Matmul(a.Ones(2, 3), a.Ones(2, 3)); return nil })
	if err == nil || errors.Is(err, ErrMemory) {
		t.Errorf("a wrong shape is %v", err)
	}
	for message, memory := range map[string]bool{
		"CUDA out of memory. Tried to allocate 20.00 MiB":                            true,
		"CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`": true,
		"CUDA error: an illegal memory access was encountered":                       false,
	} {
		if errors.Is(&OpError{Message: message}, ErrMemory) != memory {
			t.Errorf("%q is about memory: %v", message, !memory)
		}
	}
}

// Without a CUDA device an engine for one has an error for whoever uses it.
func TestNoCUDA(t *testing.T) {
	if libtch.AtcCudaIsAvailable() {
		t.Skip("there is a CUDA device")
	}
	e := NewEngine(Options{Device: 0, Threads: 1})
	defer e.Close()
	for range 2 {
		if err := e.Do(t.Context(), func(*Arena) error { return nil }); err == nil || !strings.Contains(err.Error(), "tensor operator stream") {
			t.Errorf("got %v", err)
		}
	}
	own := newEngine(t, Options{})
	if err := own.Do(t.Context(), func(a *Arena) error { a.freeMemory(); return nil }); err == nil || !strings.Contains(err.Error(), "free memory") {
		t.Errorf("got %v", err)
	}
}

// Two engines of a device send and fetch tensors of many sizes side by side; what comes back has been through an operator.
func TestTransfers(t *testing.T) {
	for _, device := range []string{"cpu", "cuda"} {
		t.Run(device, func(t *testing.T) {
			d, err := ParseDevice(device)
			if err != nil {
				t.Skip(err)
			}
			var engines sync.WaitGroup
			for n := range 2 {
				engines.Go(func() {
					e := NewEngine(Options{Device: d, Threads: 1})
					defer e.Close()
					for _, size := range []int{1, 1000, 0, 1 << 20, 3, 1 << 20} {
						values, want := make([]float32, size), make([]float32, size)
						for i := range values {
							values[i] = float32(i%1000 + n)
							want[i] = 2 * values[i]
						}
						err := e.Do(t.Context(), func(a *Arena) error {
							x := a.FromFloat32(values, int64(size))
							clear(values) // the tensor has a copy
							y := a.Add(x, x)
							if got := a.Float32s(y); !slices.Equal(got, want) {
								t.Errorf("%d values come back wrong", size)
							}
							if d != CPU && a.freeMemory() <= 0 {
								t.Error("no memory is free")
							}
							return nil
						})
						if err != nil {
							t.Error(err)
						}
					}
				})
			}
			engines.Wait()
		})
	}
}
