package analysis

import "math"

// Note says what was done to an artefact before it was encoded, so that the answer can say so:
// a text cut at 256 tokens, a sound resampled from 44,100 Hz, a picture turned by its EXIF orientation.
type Note struct {
	Modality Modality `json:"modality"`
	Kind     string   `json:"kind"` // truncated, resampled, resized, rotated, converted, windowed, inverted, frame, mixed_down, cut, padded
	Detail   string   `json:"detail"`
}

// Features is what an encoder makes of one artefact.
type Features struct {
	Modality Modality
	// Vector is the pooled embedding, (Dim).
	Vector []float32
	// Tokens is the sequence of token embeddings, row-major (TokenCount, TokenDim). For an image the tokens
	// are the cells of a grid, row by row; for a sound they follow time.
	Tokens     []float32
	TokenCount int
	TokenDim   int
	// Rows and Cols are the shape of an image's grid, zero for other modalities.
	Rows, Cols int
	// Seconds is the length of a sound, zero for other modalities.
	Seconds float64
	Notes   []Note
	// Input is the SHA-256 of what was encoded, in lower-case hex; "" if nobody noted it.
	Input string
	// Model is the digest of the weights that made the features.
	Model string
}

// Check returns an error if the features contradict themselves or hold a value that is not finite.
// Whoever receives features from another process calls it before anything is stored.
func (f *Features) Check() error {
	if !f.Modality.Valid() {
		return Errorf(BadUpstream, "features have the unknown modality %q", f.Modality)
	}
	if len(f.Vector) == 0 {
		return Errorf(BadUpstream, "%s features have no vector", f.Modality)
	}
	if f.TokenCount <= 0 || f.TokenDim <= 0 || len(f.Tokens) != f.TokenCount*f.TokenDim {
		return Errorf(BadUpstream, "%s features hold %d token values, want %d x %d", f.Modality, len(f.Tokens), f.TokenCount, f.TokenDim)
	}
	if f.Modality == Image && f.Rows*f.Cols != f.TokenCount {
		return Errorf(BadUpstream, "image features have a %d x %d grid but %d tokens", f.Rows, f.Cols, f.TokenCount)
	}
	for _, values := range [][]float32{f.Vector, f.Tokens} {
		if at := Infinite(values); at >= 0 {
			return Errorf(BadUpstream, "%s features hold %v at position %d", f.Modality, values[at], at)
		}
	}
	return nil
}

// Infinite returns the position of the first value that is not finite, -1 if there is none. What passes from process to process is checked
// on both sides, tens of thousands of values each time, so they are read as bits, eight at a time: an exponent of ones is not finite, and
// one more carries into the place of the sign.
func Infinite(values []float32) int {
	const sign, one, eight = 1 << 31, 1 << 23, 8
	carry := func(v float32) uint32 { return math.Float32bits(v)&^sign + one }
	at := 0
	for ; at+eight <= len(values); at += eight {
		v := values[at : at+eight : at+eight]
		if (carry(v[0])|carry(v[1])|carry(v[2])|carry(v[3])|carry(v[4])|carry(v[5])|carry(v[6])|carry(v[7]))&sign != 0 {
			break
		}
	}
	for ; at < len(values); at++ {
		if carry(values[at])&sign != 0 {
			return at
		}
	}
	return -1
}
