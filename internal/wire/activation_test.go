package wire

import (
	"slices"
	"strings"
	"testing"

	"consilium/internal/analysis"
)

func TestActivationsCross(t *testing.T) {
	grid := func(values ...float32) *analysis.Grid {
		return &analysis.Grid{Rows: 1, Cols: len(values), Values: values}
	}
	seen := func(g *analysis.Grid) analysis.Finding {
		return analysis.Finding{Label: "x", Modality: analysis.Image, Activation: g}
	}
	heard := analysis.Finding{Label: "y", Modality: analysis.Audio}
	findings := []analysis.Finding{seen(grid(0, 1)), heard, seen(grid(1, 0.5))}
	tensors, err := packActivations(findings)
	if err != nil || len(tensors) != 1 || !slices.Equal(tensors[0].Shape, []int{2, 1, 2}) {
		t.Fatalf("%+v, %v", tensors, err)
	}
	bare := []analysis.Finding{seen(nil), heard, seen(nil)}
	if err := unpackActivations(&tensors[0], bare); err != nil || !slices.Equal(bare[0].Activation.Values, []float32{0, 1}) ||
		bare[1].Activation != nil || !slices.Equal(bare[2].Activation.Values, []float32{1, 0.5}) || bare[2].Activation.Cols != 2 {
		t.Errorf("%+v, %v", bare, err)
	}
	for name, bad := range map[string][]analysis.Finding{
		"one of two":      {seen(grid(0, 1)), seen(nil)},
		"different sizes": {seen(grid(0, 1)), seen(grid(0, 1, 0))},
		"of a sound":      {{Modality: analysis.Audio, Activation: grid(1)}},
		"no cells":        {seen(&analysis.Grid{})},
		"too few values":  {seen(&analysis.Grid{Rows: 2, Cols: 2, Values: []float32{1}})},
	} {
		if tensors, err := packActivations(bad); err == nil {
			t.Errorf("%s: packed %+v", name, tensors)
		}
	}
	if tensors, err := packActivations([]analysis.Finding{heard, seen(nil)}); err != nil || tensors != nil {
		t.Errorf("no activations: %+v, %v", tensors, err)
	}
	for name, bad := range map[string]Tensor{
		"one too few":  floats("finding_activation", []float32{1, 0}, 1, 1, 2),
		"one too many": floats("finding_activation", make([]float32, 6), 3, 1, 2),
		"no rows":      floats("finding_activation", nil, 2, 0, 2),
	} {
		err := unpackActivations(&bad, []analysis.Finding{seen(nil), heard, seen(nil)})
		if err == nil || !strings.Contains(err.Error(), "finding_activation") && !strings.Contains(err.Error(), "shape") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := checkResult(&analysis.Result{Findings: []analysis.Finding{seen(grid(0, 1.5))}}); err == nil {
		t.Error("an activation of 1.5 passes")
	}
}
