package unet

import (
	"fmt"

	"consilium/internal/model/efficientnet"
	"consilium/internal/tensor"
)

// FromEfficientNet returns the encoder's parameters as a PyTorch state dict of EfficientNet-Lite0 has them: with the
// batch normalisation folded in, and with a first convolution that sees a grey picture as it saw one whose three
// colours are the same.
func FromEfficientNet(dict map[string]tensor.Raw) (map[string]tensor.Raw, error) {
	folded, err := efficientnet.Folded(dict)
	if err != nil {
		return nil, fmt.Errorf("take the encoder: %w", err)
	}
	const stem, colours = "stem.weight", 3
	folded[stem] = summed(folded[stem], colours)
	out := map[string]tensor.Raw{}
	for name, v := range folded {
		out["encoder."+name] = v
	}
	return out, nil
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
