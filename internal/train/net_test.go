package train

import (
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"consilium/internal/tensor"
)

func TestDivideFreezesTheLowestLayers(t *testing.T) {
	err := do(t, func(a *tensor.Arena) error {
		p := tensor.Random(1)
		p.Get(a, "z", tensor.Constant(0), 50)
		p.Get(a, "a", tensor.Constant(0), 10, 3)
		p.Get(a, "m", tensor.Constant(0), 10)
		p.Get(a, "head", tensor.Constant(0), 10)
		for share, want := range map[float64][]string{0: nil, 0.4: nil, 0.5: {"z"}, 0.79: {"z"}, 0.8: {"z", "a"}, 0.99: {"z", "a", "m"}} {
			frozen, rest := divide(a, p, share)
			if len(frozen) != len(want) || !slices.Equal(frozen, want[:len(frozen)]) || len(frozen)+len(rest) != 4 {
				t.Errorf("%v frozen: %v and %v, want %v", share, frozen, rest, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// trained runs the tiny recipe and returns its start and its end.
func trained(t *testing.T, overrides ...string) (start, end map[string]tensor.Raw, losses []float64) {
	t.Helper()
	at := func(steps string) map[string]tensor.Raw {
		out := filepath.Join(t.TempDir(), "w")
		losses = nil
		env := Env{Out: out, Log: io.Discard, onStep: func(_ int, loss float64) { losses = append(losses, loss) }}
		if err := runTiny(t.Context(), tinyRecipe(t, append(overrides, steps)...), env, nil); err != nil {
			t.Fatal(err)
		}
		raw, _, err := tensor.ReadSafetensors(out)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	start = at("steps=1\nwarmup=1000000") // one step of a millionth of the rate
	return start, at("steps=240"), losses
}

func moved(start, end map[string]tensor.Raw) (names []string) {
	for name := range end {
		for i, v := range end[name].Values {
			if d := v - start[name].Values[i]; d > 1e-3 || d < -1e-3 {
				names = append(names, name)
				break
			}
		}
	}
	slices.Sort(names)
	return names
}

func mean(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

// TestFreeze freezes all but the last layers.
func TestFreeze(t *testing.T) {
	start, end, losses := trained(t, "freeze=0.8")
	want := []string{"last.bias", "last.weight", "mlp2.down.bias", "mlp2.down.weight", "mlp2.up.bias", "mlp2.up.weight"}
	if got := moved(start, end); !slices.Equal(got, want) {
		t.Errorf("%v moved, want %v", got, want)
	}
	if first, last := mean(losses[:24]), mean(losses[len(losses)-24:]); !(last < 0.8*first) {
		t.Errorf("the loss fell from %v to %v only", first, last)
	}
}

// TestLoRAMovesFrozenMatricesAlone adapts what is frozen: matrices move, within their rank, the rest below stays, and
// the file holds the merged weights under the net's own names.
func TestLoRAMovesFrozenMatricesAlone(t *testing.T) {
	start, end, losses := trained(t, "freeze=0.8", "lora_rank=2", "lora_alpha=4")
	want := []string{"last.bias", "last.weight", "mlp0.down.weight", "mlp0.up.weight", "mlp1.down.weight", "mlp1.up.weight",
		"mlp2.down.bias", "mlp2.down.weight", "mlp2.up.bias", "mlp2.up.weight", "first.weight"}
	slices.Sort(want)
	if got := moved(start, end); !slices.Equal(got, want) {
		t.Errorf("%v moved, want %v", got, want)
	}
	for name := range end {
		if strings.Contains(name, "lora") {
			t.Errorf("the file holds %s", name)
		}
	}
	if first, last := mean(losses[:24]), mean(losses[len(losses)-24:]); !(last < 0.6*first) {
		t.Errorf("the loss fell from %v to %v only", first, last)
	}
}
