package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"consilium/internal/analysis"
)

// maxNotes bounds the notes of one artefact.
const maxNotes = 64

// packFeatures makes the outputs that r wants of the features of want artefacts, at least one.
func packFeatures(r *request, c *contract, features []*analysis.Features, want int) ([]Tensor, error) {
	if len(features) != want {
		return nil, fmt.Errorf("the %s made %d features of %d inputs", c.part, len(features), want)
	}
	longest := 0
	for i, f := range features {
		if f.Modality != c.modality {
			return nil, fmt.Errorf("the %s made %s features", c.part, f.Modality)
		}
		if err := f.Check(); err != nil {
			return nil, err
		}
		if len(f.Vector) != len(features[0].Vector) || f.TokenDim != features[0].TokenDim {
			return nil, fmt.Errorf("features 0 and %d have vectors of different sizes", i)
		}
		longest = max(longest, f.TokenCount)
	}
	var outputs []Tensor
	for _, spec := range c.outputs {
		if !r.wants(spec.Name) {
			continue
		}
		t, err := packOutput(spec.Name, features, longest)
		if err != nil {
			return nil, err
		}
		outputs = append(outputs, t)
	}
	return outputs, nil
}

// packOutput makes the named output of features, whose tokens are padded with zeros to longest.
func packOutput(name string, features []*analysis.Features, longest int) (Tensor, error) {
	n, dim, tokenDim := len(features), len(features[0].Vector), features[0].TokenDim
	switch name {
	case "embedding":
		if n == 1 {
			return floats(name, features[0].Vector, 1, dim), nil
		}
		values := make([]float32, 0, n*dim)
		for _, f := range features {
			values = append(values, f.Vector...)
		}
		return floats(name, values, n, dim), nil
	case "tokens":
		if n == 1 {
			return floats(name, features[0].Tokens, 1, longest, tokenDim), nil
		}
		values := make([]float32, n*longest*tokenDim)
		for i, f := range features {
			copy(values[i*longest*tokenDim:], f.Tokens)
		}
		return floats(name, values, n, longest, tokenDim), nil
	case "lengths":
		return ints(name, column(features, func(f *analysis.Features) int64 { return int64(f.TokenCount) }), n), nil
	case "grid":
		values := make([]int64, 0, 2*n)
		for _, f := range features {
			values = append(values, int64(f.Rows), int64(f.Cols))
		}
		return ints(name, values, n, 2), nil
	case "seconds":
		return floats(name, column(features, func(f *analysis.Features) float32 { return float32(f.Seconds) }), n), nil
	case "notes":
		values := make([][]byte, n)
		for i, f := range features {
			text, err := json.Marshal(orEmpty(f.Notes))
			if err != nil {
				return Tensor{}, fmt.Errorf("write the notes: %w", err)
			}
			values[i] = text
		}
		return byteStrings(name, values), nil
	}
	return Tensor{}, fmt.Errorf("no output %s can be made of features", name)
}

// encode has items encoded in one request.
func (c *client) encode(ctx context.Context, items [][]byte, p parameters) ([]*analysis.Features, error) {
	if len(items) == 0 {
		return nil, nil
	}
	outputs, digest, err := c.infer(ctx, p, []Tensor{byteStrings(c.inputs[0].Name, items)})
	if err != nil {
		return nil, err
	}
	features, err := c.unpackFeatures(outputs, len(items))
	if err != nil {
		c.remember("")
		return nil, c.broken(err)
	}
	for _, f := range features {
		f.Model = digest
	}
	return features, nil
}

// unpackFeatures is the inverse of packFeatures. It trusts nothing about the outputs but what decode checked.
func (c *client) unpackFeatures(outputs []Tensor, n int) ([]*analysis.Features, error) {
	for _, t := range outputs {
		if t.Shape[0] != n {
			return nil, &tensorError{t.Name, fmt.Errorf("has %d rows, want %d", t.Shape[0], n)}
		}
	}
	embedding, tokens := find(outputs, "embedding"), find(outputs, "tokens")
	lengths, grid, seconds := find(outputs, "lengths"), find(outputs, "grid"), find(outputs, "seconds")
	notes := find(outputs, "notes")
	dim, longest, tokenDim := embedding.Shape[1], tokens.Shape[1], tokens.Shape[2]
	features := make([]*analysis.Features, n)
	for i := range features {
		length := longest
		if lengths != nil {
			if v := lengths.Ints[i]; v < 1 || v > int64(longest) {
				return nil, &tensorError{"lengths", fmt.Errorf("is %d at position %d, want 1 to %d", v, i, longest)}
			}
			length = int(lengths.Ints[i])
		}
		start := i * longest * tokenDim
		end := start + length*tokenDim
		f := &analysis.Features{
			Modality:   c.modality,
			Vector:     embedding.Floats[i*dim : (i+1)*dim : (i+1)*dim],
			Tokens:     tokens.Floats[start:end:end],
			TokenCount: length,
			TokenDim:   tokenDim,
		}
		if grid != nil {
			rows, cols := grid.Ints[2*i], grid.Ints[2*i+1]
			if rows < 1 || cols < 1 || rows > int64(length) || cols > int64(length) {
				return nil, &tensorError{"grid", fmt.Errorf("is %d x %d for %d tokens", rows, cols, length)}
			}
			f.Rows, f.Cols = int(rows), int(cols)
		}
		if seconds != nil {
			f.Seconds = float64(seconds.Floats[i])
			if err := seconds.checkFinite(); err != nil || f.Seconds < 0 {
				return nil, &tensorError{"seconds", fmt.Errorf("is %v at position %d", f.Seconds, i)}
			}
		}
		var err error
		if f.Notes, err = readNotes(notes.Bytes[i], c.modality); err != nil {
			return nil, &tensorError{"notes", err}
		}
		if err := f.Check(); err != nil {
			return nil, err
		}
		features[i] = f
	}
	return features, nil
}

// readNotes reads the notes of one artefact.
func readNotes(text []byte, modality analysis.Modality) ([]analysis.Note, error) {
	if len(text) > maxHeaderBytes {
		return nil, errors.New("the notes are too long")
	}
	if err := checkJSON(text); err != nil {
		return nil, err
	}
	var notes []analysis.Note
	if err := json.Unmarshal(text, &notes); err != nil {
		return nil, fmt.Errorf("parse the notes: %w", err)
	}
	if len(notes) > maxNotes {
		return nil, fmt.Errorf("%d notes, want at most %d", len(notes), maxNotes)
	}
	if len(notes) == 0 {
		return nil, nil
	}
	for i := range notes {
		notes[i].Modality, notes[i].Kind, notes[i].Detail = modality, clip(notes[i].Kind), clip(notes[i].Detail)
	}
	return notes, nil
}
