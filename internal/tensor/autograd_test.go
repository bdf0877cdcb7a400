package tensor

import "testing"

// TestRecordingEndsWithItsFunction takes a gradient on an engine that records nothing, and looks whether it records
// nothing afterwards, also when an operator failed in between.
func TestRecordingEndsWithItsFunction(t *testing.T) {
	e := newEngine(t, Options{Threads: 1})
	err := e.Do(t.Context(), func(a *Arena) error {
		x := a.FromFloat32([]float32{1, 2}, 2)
		a.Recording(func() {
			a.RequireGrad(x)
			y := a.Square(x) // the gradient may be by what is no leaf
			g := a.Gradients(a.Sum(a.Square(y), false), []T{y, x})
			if by := a.Float32s(g[0]); by[0] != 2 || by[1] != 8 {
				t.Errorf("the gradient of y^2 by y is %v, want 2 and 8", by)
			}
			if by := a.Float32s(g[1]); by[0] != 4 || by[1] != 32 {
				t.Errorf("the gradient of x^4 by x is %v, want 4 and 32", by)
			}
		})
		if gradEnabled() {
			t.Error("the engine goes on recording")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Do(t.Context(), func(a *Arena) error {
		a.Recording(func() { a.Matmul(a.Ones(1, 2), a.Ones(3, 4)) })
		return nil
	}); err == nil {
		t.Error("a bad product passed")
	}
	if err := e.Do(t.Context(), func(*Arena) error {
		if gradEnabled() {
			t.Error("the engine goes on recording after a failure")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
