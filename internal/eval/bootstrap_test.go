package eval

import (
	"math"
	"testing"
)

func TestAUROCInterval(t *testing.T) {
	var scores []float64
	var truth []bool
	for i := range 200 {
		scores, truth = append(scores, float64(i%50)), append(truth, i%50 > 20+i%7)
	}
	f := auroc("x", "y", scores, truth, 0.5)
	if !(f.Low < f.Value && f.Value < f.High) || f.High-f.Low > 0.1 || f.N != 200 {
		t.Errorf("%+v", f)
	}
	if again := auroc("x", "y", scores, truth, 0.5); again != f {
		t.Errorf("the same cases gave %+v and %+v", f, again)
	}
	if one := auroc("x", "y", []float64{1, 2}, []bool{true, true}, 0.5); !math.IsNaN(one.Value) || one.interval() != "" {
		t.Errorf("one class: %+v", one)
	}
}

func TestCalibrationError(t *testing.T) {
	for name, c := range map[string]struct {
		p    []float64
		t    []bool
		want float64
	}{
		"certain and right": {[]float64{1, 1, 0, 0}, []bool{true, true, false, false}, 0},
		"certain and wrong": {[]float64{1, 1}, []bool{false, false}, 1},
		"half":              {[]float64{0.5, 0.5}, []bool{true, false}, 0},
		"none":              {nil, nil, 0},
	} {
		if got := calibrationError(c.p, c.t, 10); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
