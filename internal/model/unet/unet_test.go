package unet

import (
	"hash/crc32"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"consilium/internal/tensor"
	"consilium/internal/weights"
)

var small = Config{Classes: []string{"a", "b"}, Side: 64, Widths: []int64{32, 24, 16, 8}}

func do(t *testing.T, fn func(a *tensor.Arena)) error {
	t.Helper()
	e := tensor.NewEngine(tensor.Options{Device: tensor.CPU, Threads: 1, Grad: true})
	defer e.Close()
	return e.Do(t.Context(), func(a *tensor.Arena) error {
		fn(a)
		return nil
	})
}

// formula is that of testdata/make_golden.py.
func formula(name string, n int64) []float64 {
	seed := uint64(crc32.ChecksumIEEE([]byte(name))) * 40503
	out := make([]float64, n)
	for i := range out {
		out[i] = float64((uint64(i)*2654435761+seed)%(1<<32))/(1<<31) - 1
	}
	return out
}

// formulaParams gives every parameter that the net asks for the value of the formula.
func formulaParams(a *tensor.Arena, c Config) *tensor.Params {
	asked := tensor.Random(1)
	New(a, asked, c)
	raw := map[string]tensor.Raw{}
	for name, v := range asked.Values(a) {
		scale, centre := 0.1, 0.0
		switch {
		case len(v.Shape) == 4:
			scale = math.Sqrt(2 / float64(v.Shape[1]*v.Shape[2]*v.Shape[3]))
		case strings.HasSuffix(name, "norm.weight"):
			centre = 1
		}
		for i, f := range formula(name, int64(len(v.Values))) {
			v.Values[i] = float32(centre + scale*f)
		}
		raw[name] = v
	}
	asked.Free(a)
	return tensor.FromRaw(raw)
}

func TestForwardEqualsPyTorch(t *testing.T) {
	golden, _, err := tensor.ReadSafetensors(filepath.Join("testdata", "golden.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	want := golden["logits"]
	err = do(t, func(a *tensor.Arena) {
		p := formulaParams(a, small)
		defer p.Free(a)
		m := New(a, p, small)
		n, height, width := want.Shape[0], want.Shape[2], want.Shape[3]
		picture := make([]float32, n*height*width)
		for i, f := range formula("picture", int64(len(picture))) {
			picture[i] = float32(0.5 + 0.5*f)
		}
		x := a.FromFloat32(picture, n, 1, height, width)
		var got []float32
		a.NoGrad(func() { got = a.Float32s(m.Forward(a, x)) })
		if len(got) != len(want.Values) {
			t.Fatalf("%d logits, want %d", len(got), len(want.Values))
		}
		worst := 0.0
		for i := range got {
			worst = max(worst, math.Abs(float64(got[i]-want.Values[i])))
		}
		if !(worst <= 1e-4) {
			t.Errorf("the logits differ by %.2g, want at most 1e-4", worst)
		}
		t.Logf("greatest difference %.2g", worst)

		// A picture's logits depend on no other picture of the batch, on no exposure and on no contrast.
		a.NoGrad(func() {
			second := a.AddScalar(a.MulScalar(a.Narrow(x, 0, 1, 1), 0.4), 0.3)
			alone := a.Float32s(m.Forward(a, second))
			for i, v := range alone {
				if d := math.Abs(float64(v - got[len(alone)+i])); !(d <= 5e-2) { // the 1/255 beside the deviation weighs more now
					t.Fatalf("logit %d is %v alone and %v in the batch", i, v, got[len(alone)+i])
				}
			}
			if once := a.Float32s(Logits(a, x, m)[0]); once[0] != got[0] || once[len(once)-1] != got[len(got)-1] {
				t.Errorf("a net that knows no mirror images looks twice")
			}
			twice := small
			twice.Mirrored = true
			m := New(a, p, twice)
			both, flipped := a.Float32s(Logits(a, x, m)[0]), a.Float32s(a.Flip(Logits(a, a.Flip(x, 3), m, m)[1], 3))
			for i := range both {
				if math.Abs(float64(both[i]-flipped[i])) > 1e-5 {
					t.Fatalf("logit %d is %v, and %v of the mirror image", i, both[i], flipped[i])
				}
			}
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestGradientsEqualPyTorch compares gradients of parameters of every kind with those of PyTorch in double precision, and
// one with the slope between two forward passes.
func TestGradientsEqualPyTorch(t *testing.T) {
	golden, _, err := tensor.ReadSafetensors(filepath.Join("testdata", "golden.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	err = do(t, func(a *tensor.Arena) {
		p := formulaParams(a, small)
		defer p.Free(a)
		m := New(a, p, small)
		shape := golden["logits"].Shape
		from := func(name string, scale, centre float64, shape ...int64) tensor.T {
			values := make([]float32, shape[0]*shape[1]*shape[2]*shape[3])
			for i, f := range formula(name, int64(len(values))) {
				values[i] = float32(centre + scale*f)
			}
			return a.FromFloat32(values, shape...)
		}
		x, w := from("picture", 0.5, 0.5, shape[0], 1, shape[2], shape[3]), from("loss", 1, 0, shape...)
		loss := func() tensor.T { return a.Mean(a.Mul(m.Forward(a, x), w), false) }
		var names []string
		var params []tensor.T
		for name := range golden {
			if name, ok := strings.CutPrefix(name, "gradient."); ok {
				a.RequireGrad(p.Tensor(name))
				names, params = append(names, name), append(params, p.Tensor(name))
			}
		}
		if len(names) != 10 {
			t.Fatalf("%d gradients in the golden", len(names))
		}
		grads := a.Gradients(loss(), params)
		for i, name := range names {
			want, got := golden["gradient."+name].Values, a.Float32s(grads[i])
			diff, scale := 0.0, 0.0
			for j, v := range want {
				diff, scale = max(diff, math.Abs(float64(got[j]-v))), max(scale, math.Abs(float64(v)))
			}
			if !(diff <= 1e-3*scale) {
				t.Errorf("%s: the gradient differs by %.2g of at most %.2g", name, diff, scale)
			}
			if name != "decoder.3.second.weight" {
				continue
			}
			norm := math.Sqrt(a.Item(a.Sum(a.Square(grads[i]), false)))
			const length = 3e-3
			a.NoGrad(func() {
				was, step := a.MulScalar(params[i], 1), a.MulScalar(grads[i], length/norm)
				a.Copy(params[i], a.Add(was, step))
				up := a.Item(loss())
				a.Copy(params[i], a.Sub(was, step))
				if slope := (up - a.Item(loss())) / (2 * length); !(math.Abs(slope-norm) <= 0.03*norm) {
					t.Errorf("%s: the slope along the gradient is %.5g, its norm %.5g", name, slope, norm)
				}
				a.Copy(params[i], was)
			})
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestWhatDoesNotFitIsRefused(t *testing.T) {
	for name, shape := range map[string][]int64{
		"colours": {1, 3, 64, 64}, "odd side": {1, 1, 64, 40}, "too small": {1, 1, 0, 32}, "no batch": {1, 64, 64},
	} {
		err := do(t, func(a *tensor.Arena) {
			p := tensor.Random(1)
			defer p.Free(a)
			New(a, p, small).Forward(a, a.Zeros(shape...))
		})
		if err == nil || !strings.Contains(err.Error(), "multiples of 32") {
			t.Errorf("%s: %v", name, err)
		}
	}
	err := do(t, func(a *tensor.Arena) {
		p := tensor.FromRaw(map[string]tensor.Raw{"encoder.stem.weight": {Shape: []int64{32, 1, 3, 3}, Values: make([]float32, 288)}})
		defer p.Free(a)
		New(a, p, small)
	})
	if err == nil || !strings.Contains(err.Error(), "encoder.stem.bias") {
		t.Errorf("weights without a bias: %v", err)
	}
	for _, config := range []string{"", "{", `{"classes":[],"side":64,"widths":[8,8,8,8]}`, `{"classes":["a"],"side":60,"widths":[8,8,8,8]}`,
		`{"classes":["a"],"side":64,"widths":[8,8,8]}`, `{"classes":["a"],"side":64,"widths":[8,8,8,0]}`, `{"classes":["a"],"side":-64,"widths":[8,8,8,12]}`} {
		if c, err := ParseConfig(map[string]string{"config": config}); err == nil {
			t.Errorf("the config %q is %+v", config, c)
		}
	}
	if c, err := ParseConfig(small.Metadata()); err != nil || c.Side != 64 || len(c.Classes) != 2 {
		t.Errorf("a config became %+v: %v", c, err)
	}
}

func TestFromEfficientNet(t *testing.T) {
	path, err := weights.Path("efficientnet-lite0.pth")
	if err != nil {
		t.Skip(err)
	}
	dict, err := tensor.ReadPTH(path)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := FromEfficientNet(dict)
	if err != nil {
		t.Fatal(err)
	}
	err = do(t, func(a *tensor.Arena) {
		p := tensor.RandomFrom(1, raw)
		defer p.Free(a)
		New(a, p, small)
		for _, name := range p.Names() { // the net asks for all that was taken, by the same shape
			if _, ok := raw[name]; ok != strings.HasPrefix(name, "encoder.") {
				t.Errorf("%s: taken %v", name, ok)
			}
		}

		// The first convolution and its normalisation of a picture whose three colours are one.
		grey := a.Rand(1, 1, 8, 8)
		get := func(name string) tensor.T { return a.FromFloat32(dict[name].Values, dict[name].Shape...) }
		want := a.Float32s(a.BatchNorm(a.Conv2d(a.Cat(1, grey, grey, grey), get("_conv_stem.weight"), tensor.T{}, 2, 1, 1),
			get("_bn0.weight"), get("_bn0.bias"), get("_bn0.running_mean"), get("_bn0.running_var"), 1e-3))
		got := a.Float32s(a.Conv2d(grey, p.Tensor("encoder.stem.weight"), p.Tensor("encoder.stem.bias"), 2, 1, 1))
		for i := range want {
			if math.Abs(float64(got[i]-want[i])) > 1e-4 {
				t.Fatalf("value %d of the first layer is %v, want %v", i, got[i], want[i])
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	delete(dict, "_blocks.5._bn1.running_var")
	if _, err := FromEfficientNet(dict); err == nil || !strings.Contains(err.Error(), "_blocks.5._bn1.running_var") {
		t.Errorf("a dict without a variance: %v", err)
	}
}
