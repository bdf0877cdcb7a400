package tensor

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
)

func newEngine(t *testing.T, opt Options) *Engine {
	t.Helper()
	opt.Device = CPU
	e := NewEngine(opt)
	t.Cleanup(e.Close)
	return e
}

// resident returns the process's resident memory in bytes.
func resident(t *testing.T) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("resident memory is read from /proc, which this system lacks")
	}
	pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

func TestMemoryStaysFlat(t *testing.T) {
	e := newEngine(t, Options{Threads: 1})
	ops := func(n int) {
		err := e.Do(t.Context(), func(a *Arena) error {
			x := a.FromFloat32(make([]float32, 16), 4, 4)
			mark := a.Mark()
			for range n / 6 {
				y := a.Relu(a.Add(x, x))
				y = a.MulScalar(a.Gelu(y), 2)
				a.Reshape(a.Transpose(y, 0, 1), 16)
				a.Release(mark)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	ops(300_000) // the allocators' pools and Go's heap reach their size
	before := resident(t)
	ops(300_000)
	if grown := resident(t) - before; grown > 2<<20 {
		t.Errorf("300,000 operators left %d bytes of resident memory, want at most %d", grown, 2<<20)
	}
}

func TestOperatorErrorIsReturned(t *testing.T) {
	e := newEngine(t, Options{Threads: 1})
	for name, fn := range map[string]func(a *Arena){
		"matmul":      func(a *Arena) { a.Matmul(a.Zeros(2, 3), a.Zeros(2, 3)) },
		"reshape":     func(a *Arena) { a.Reshape(a.Zeros(2, 3), 7) },
		"from":        func(a *Arena) { a.FromFloat32([]float32{1}, 2) },
		"size":        func(a *Arena) { a.Size(a.Zeros(2), 1) },
		"attention":   func(a *Arena) { a.Attention(a.Zeros(1, 1), a.Zeros(1, 1), a.Zeros(1, 1), T{}) },
		"load":        func(a *Arena) { FromRaw(map[string]Raw{}).Sub("layer").Get(a, "weight", nil, 2) },
		"index out":   func(a *Arena) { a.Embedding(a.Zeros(2, 2), a.FromInt64([]int64{5}, 1)) },
		"huge tensor": func(a *Arena) { a.Zeros(1<<40, 1<<20) },
	} {
		t.Run(name, func(t *testing.T) {
			err := e.Do(t.Context(), func(a *Arena) error { fn(a); return nil })
			var op *OpError
			if !errors.As(err, &op) {
				t.Fatalf("got %v, want an operator's error", err)
			}
			if strings.Contains(op.Message, "\n") {
				t.Errorf("the message holds a backtrace: %s", op.Message)
			}
		})
	}
	err := e.Do(t.Context(), func(*Arena) error { panic("a bug") })
	if err == nil || !strings.Contains(err.Error(), "a bug") {
		t.Errorf("a panic gave %v", err)
	}
	if err := e.Do(t.Context(), func(a *Arena) error { a.Zeros(1); return nil }); err != nil {
		t.Errorf("the engine did not outlive the errors: %v", err)
	}
}

func TestDoFromManyGoroutines(t *testing.T) {
	e := newEngine(t, Options{Threads: 1})
	var wg sync.WaitGroup
	for g := range 64 {
		wg.Go(func() {
			for i := range 50 {
				err := e.Do(t.Context(), func(a *Arena) error {
					if i%10 == 3 { // an error of one caller must not reach another
						a.Matmul(a.Zeros(1, 2), a.Zeros(3, 4))
					}
					x := a.FromFloat32([]float32{float32(g), float32(i)}, 2)
					if got := a.Item(a.Sum(x, false)); got != float64(g+i) {
						t.Errorf("goroutine %d: sum %v, want %d", g, got, g+i)
					}
					return nil
				})
				if (err != nil) != (i%10 == 3) {
					t.Errorf("goroutine %d call %d: error %v", g, i, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestDoAfterCloseAndCancel(t *testing.T) {
	e := NewEngine(Options{Device: CPU, Threads: 1})
	ctx, cancel := context.WithCancel(t.Context())
	entered, leave := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := e.Do(context.Background(), func(*Arena) error { close(entered); <-leave; return nil }); err != nil {
			t.Error(err)
		}
	})
	<-entered
	cancel()
	if err := e.Do(ctx, func(*Arena) error { t.Error("ran after cancel"); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	close(leave)
	wg.Wait()
	for range 20 { // the engine is idle now
		if err := e.Do(ctx, func(*Arena) error { t.Error("ran after cancel"); return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("idle: got %v, want context.Canceled", err)
		}
	}
	e.Close()
	e.Close()
	if err := e.Do(t.Context(), func(*Arena) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

// TestGradients compares backward passes with central differences, each under a gradient that arrives transposed,
// because libtorch 2.1.2 has a kernel that misreads such a gradient.
func TestGradients(t *testing.T) {
	e := newEngine(t, Options{Threads: 1, Grad: true})
	start := []float32{0.3, -0.7, 1.1, 0.2, -1.4, 0.9}
	weights := []float32{0.5, -1, 2, 1.5, 0.25, -0.75}
	for name, f := range map[string]func(a *Arena, x T) T{
		"gelu tanh": func(a *Arena, x T) T { return a.GeluTanh(x) },
		"tanh":      func(a *Arena, x T) T { return a.Tanh(x) },
		"sigmoid":   func(a *Arena, x T) T { return a.Sigmoid(x) },
		"silu":      func(a *Arena, x T) T { return a.Silu(x) },
		"softmax":   func(a *Arena, x T) T { return a.Softmax(x, 1) },
		"layer norm": func(a *Arena, x T) T {
			return a.LayerNorm(x, a.FromFloat32([]float32{1, 2, 3}, 3), a.Zeros(3), 1e-5)
		},
	} {
		t.Run(name, func(t *testing.T) {
			loss := func(a *Arena, x T) T {
				w := a.Transpose(a.FromFloat32(weights, 3, 2), 0, 1)
				return a.Sum(a.Mul(f(a, x), w), false)
			}
			err := e.Do(t.Context(), func(a *Arena) error {
				x := a.FromFloat32(start, 2, 3)
				a.RequireGrad(x)
				got := a.Float32s(a.Gradients(loss(a, x), []T{x})[0])
				for i := range start {
					at := func(d float32) float64 {
						v := append([]float32(nil), start...)
						v[i] += d
						return a.Item(a.Detach(loss(a, a.FromFloat32(v, 2, 3))))
					}
					want := (at(1e-2) - at(-1e-2)) / 2e-2
					if math.Abs(float64(got[i])-want) > 2e-3 {
						t.Errorf("gradient %d is %v, central difference %v", i, got[i], want)
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestGradientOfUnusedParameter(t *testing.T) {
	e := newEngine(t, Options{Threads: 1, Grad: true})
	err := e.Do(t.Context(), func(a *Arena) error {
		x, unused := a.Ones(2), a.Ones(2)
		a.RequireGrad(x)
		a.RequireGrad(unused)
		g := a.Gradients(a.Sum(a.Square(x), false), []T{x, unused})
		if !g[0].Defined() || g[1].Defined() {
			t.Errorf("defined: %v %v, want true false", g[0].Defined(), g[1].Defined())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSafetensorsRoundTrip(t *testing.T) {
	e := newEngine(t, Options{Threads: 1})
	path := filepath.Join(t.TempDir(), "w.safetensors")
	err := e.Do(t.Context(), func(a *Arena) error {
		p := Random(1)
		p.Sub("layer").Get(a, "weight", Fan(4), 3, 4)
		p.Get(a, "bias", Constant(0.5), 3)
		if err := WriteSafetensors(path, p.Half(a), map[string]string{"recipe": "test"}); err != nil {
			return err
		}
		raw, metadata, err := ReadSafetensors(path)
		if err != nil {
			return err
		}
		if metadata["recipe"] != "test" {
			t.Errorf("metadata %v", metadata)
		}
		want, got := p.Values(a), FromRaw(raw)
		w := a.Float32s(got.Get(a, "layer.weight", nil, 3, 4))
		for i, v := range want["layer.weight"].Values {
			if math.Abs(float64(v-w[i])) > 1e-3*math.Abs(float64(v))+1e-7 {
				t.Errorf("weight %d is %v, wrote %v", i, w[i], v)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestDecodeSafetensorsRefuses(t *testing.T) {
	file := func(header string) []byte {
		b := make([]byte, 8, 8+len(header))
		b[0] = byte(len(header))
		return append(b, header...)
	}
	for name, data := range map[string][]byte{
		"empty":         nil,
		"header beyond": {255, 255, 255, 255, 255, 255, 255, 255},
		"not JSON":      file("{"),
		"range beyond":  file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`),
		"overflow":      file(`{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}`),
		"negative":      file(`{"a":{"dtype":"F16","shape":[-1],"data_offsets":[0,0]}}`),
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := DecodeSafetensors(data); err == nil {
				t.Error("decoded")
			}
		})
	}
}

func TestHalfToFloat(t *testing.T) {
	e := newEngine(t, Options{Threads: 1})
	bits := make([]uint16, 1<<16)
	for i := range bits {
		bits[i] = uint16(i)
	}
	err := e.Do(t.Context(), func(a *Arena) error {
		want := a.Float32s(a.FromHalf(bits, int64(len(bits))))
		for i, b := range bits {
			got := halfToFloat(b)
			if got != want[i] && !(math.IsNaN(float64(got)) && math.IsNaN(float64(want[i]))) {
				t.Fatalf("half %04x is %v, libtorch says %v", b, got, want[i])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestParseDevice(t *testing.T) {
	for in, ok := range map[string]bool{"": true, "cpu": true, "tpu": false, "cuda:x": false, "cuda:-1": false} {
		if _, err := ParseDevice(in); (err == nil) != ok {
			t.Errorf("ParseDevice(%q): %v", in, err)
		}
	}
}

func TestDoOutlivesTheEndOfItsGoroutine(t *testing.T) {
	e := NewEngine(Options{Device: CPU, Threads: 1})
	for range 2 {
		if err := e.Do(t.Context(), func(*Arena) error { runtime.Goexit(); return nil }); !errors.Is(err, ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
	}
	e.Close()
}
