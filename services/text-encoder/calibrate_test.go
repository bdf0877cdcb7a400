package textencoder

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"consilium/internal/model/minilm"
)

// TestCalibrationOfThePlan: what is embedded holds its own bounds, knows every layer and computes in 8 bits only such.
func TestCalibrationOfThePlan(t *testing.T) {
	var c Calibration
	if err := json.Unmarshal(int8Plan, &c); err != nil {
		t.Fatal(err)
	}
	if !c.holds() {
		t.Errorf("the bounds do not hold: %+v", c)
	}
	if want := int(minilm.L6.Layers) * len(minilm.Linears); len(c.Harm) != want {
		t.Errorf("%d layers were tried, want %d", len(c.Harm), want)
	}
	for _, layer := range c.Layers {
		if _, tried := c.Harm[layer]; !tried {
			t.Errorf("there is no layer %s", layer)
		}
	}
}

func TestHolds(t *testing.T) {
	for _, k := range []struct {
		same, mean, least float64
		want              bool
	}{
		{0.98, 0.99, 0.97, true}, {0.977, 1, 1, true}, {0.975, 1, 1, false}, {1, 0.98, 1, false}, {1, 1, 0.96, false},
	} {
		c := Calibration{Texts: 1000, SameNearest: k.same, MeanCosine: k.mean, LeastCosine: k.least}
		if got := c.holds(); got != k.want {
			t.Errorf("%+v holds: %v", k, got)
		}
	}
}

// TestCompare: the share with the same nearest vector, and the cosines.
func TestCompare(t *testing.T) {
	whole := [][]float32{{1, 0}, {0.9, 0.1}, {0, 1}, {0.1, 0.9}}
	short := slices.Clone(whole)
	short[1] = []float32{0.2, 0.8} // now nearest to the last
	c := &calibrator{whole: [][][]float32{whole}}
	same, mean, least := c.compare([][][]float32{short}, true)
	if got := fmt.Sprintf("%.2f %.3f %.3f", same, mean, least); got != "0.75 0.837 0.348" {
		t.Errorf("found %s", got)
	}
}
