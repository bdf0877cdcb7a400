package unet

import (
	"fmt"
	"math"
	"strconv"

	"consilium/internal/tensor"
)

// eps is what EfficientNet's batch normalisation adds to the variance.
const eps = 1e-3

// FromEfficientNet returns the encoder's parameters as a PyTorch state dict of EfficientNet-Lite0 has them: with the
// batch normalisation folded in, and with a first convolution that sees a grey picture as it saw one whose three
// colours are the same.
func FromEfficientNet(dict map[string]tensor.Raw) (map[string]tensor.Raw, error) {
	out := map[string]tensor.Raw{}
	take := func(to, name, norm string, colours int) error {
		w, b, err := folded(dict, name, norm)
		if err != nil {
			return fmt.Errorf("take the encoder from EfficientNet-Lite0: %w", err)
		}
		if colours > 1 {
			w = summed(w, colours)
		}
		out["encoder."+to+".weight"], out["encoder."+to+".bias"] = w, b
		return nil
	}
	if err := take("stem", "_conv_stem", "_bn0", 3); err != nil {
		return nil, err
	}
	n := 0
	for _, s := range stages {
		for range s.repeats {
			from, to := "_blocks."+strconv.Itoa(n)+".", "blocks."+strconv.Itoa(n)+"."
			for _, c := range []struct{ to, name, norm string }{
				{"expand", "_expand_conv", "_bn0"}, {"depthwise", "_depthwise_conv", "_bn1"}, {"project", "_project_conv", "_bn2"},
			} {
				if c.to == "expand" && s.expand == 1 {
					continue
				}
				if err := take(to+c.to, from+c.name, from+c.norm, 1); err != nil {
					return nil, err
				}
			}
			n++
		}
	}
	return out, nil
}

// folded returns gamma (w x - mean) / sqrt(variance + eps) + beta as one weight and bias.
func folded(dict map[string]tensor.Raw, name, norm string) (weight, bias tensor.Raw, err error) {
	w, ok := dict[name+".weight"]
	if !ok || len(w.Shape) != 4 || w.Shape[0] == 0 {
		return weight, bias, fmt.Errorf("there is no convolution %s", name)
	}
	channels := int(w.Shape[0])
	var parts [4][]float32
	for i, part := range []string{"weight", "bias", "running_mean", "running_var"} {
		if parts[i] = dict[norm+"."+part].Values; len(parts[i]) != channels {
			return weight, bias, fmt.Errorf("%s.%s has %d values, want %d", norm, part, len(parts[i]), channels)
		}
	}
	weight = tensor.Raw{Shape: w.Shape, Values: make([]float32, len(w.Values))}
	bias = tensor.Raw{Shape: w.Shape[:1], Values: make([]float32, channels)}
	each := len(w.Values) / channels
	for c := range channels {
		scale := float64(parts[0][c]) / math.Sqrt(float64(parts[3][c])+eps)
		for i := c * each; i < (c+1)*each; i++ {
			weight.Values[i] = float32(float64(w.Values[i]) * scale)
		}
		bias.Values[c] = float32(float64(parts[1][c]) - float64(parts[2][c])*scale)
	}
	return weight, bias, nil
}

// summed adds the weights (out, colours, k, k) of the colours: (out, 1, k, k).
func summed(w tensor.Raw, colours int) tensor.Raw {
	out, area := int(w.Shape[0]), int(w.Shape[2]*w.Shape[3])
	s := tensor.Raw{Shape: []int64{w.Shape[0], 1, w.Shape[2], w.Shape[3]}, Values: make([]float32, out*area)}
	for i, v := range w.Values {
		s.Values[i/(colours*area)*area+i%area] += v
	}
	return s
}
