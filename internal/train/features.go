package train

import (
	"context"
	"crypto/sha256"
	"encoding/gob"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"consilium/internal/analysis"
	"consilium/internal/model/fusion"
	"consilium/internal/tensor"
)

// Encoders are the frozen encoders that a fusion is trained on.
type Encoders struct {
	Text   analysis.TextEncoder
	Vision analysis.VisionEncoder
	Audio  analysis.AudioEncoder
}

// featureSet is the tokens of many artefacts of one modality, in half precision to fit the memory.
type featureSet struct {
	Dim  int
	Rows [][]uint16 // each a multiple of Dim long
}

// encodeAll encodes n artefacts one after the other. Encoding takes minutes and depends only on the encoder and the
// bytes, so the result is kept below folder and found again by the digest of both.
func encodeAll(ctx context.Context, out io.Writer, a *tensor.Engine, folder, unit string, n int,
	content func(i int) ([]byte, error), encode func(ctx context.Context, b []byte) (*analysis.Features, error)) (*featureSet, error) {
	contents, digest := make([][]byte, n), sha256.New()
	for i := range contents {
		b, err := content(i)
		if err != nil {
			return nil, fmt.Errorf("encode %s %d: %w", unit, i, err)
		}
		contents[i] = b
		sum := sha256.Sum256(b)
		digest.Write(sum[:])
	}
	first, err := encode(ctx, contents[0])
	if err != nil {
		return nil, fmt.Errorf("encode %s 0: %w", unit, err)
	}
	io.WriteString(digest, first.Model)
	path := filepath.Join(folder, unit+"-"+hex.EncodeToString(digest.Sum(nil))[:16]+".gob")
	set := &featureSet{}
	if readGob(path, set) == nil && len(set.Rows) == n {
		fmt.Fprintf(out, "%s: %d from %s\n", unit, n, path)
		return set, nil
	}
	set = &featureSet{Dim: first.TokenDim}
	progress := NewProgress(out, unit, n)
	for i, b := range contents {
		f, err := encode(ctx, b)
		if err != nil {
			return nil, fmt.Errorf("encode %s %d: %w", unit, i, err)
		}
		var row []uint16
		if err := a.Do(ctx, func(a *tensor.Arena) error {
			row = a.Halfs(a.FromFloat32(f.Tokens, int64(len(f.Tokens))))
			return nil
		}); err != nil {
			return nil, err
		}
		set.Rows = append(set.Rows, row)
		progress.Report(i+1, "encoded")
	}
	return set, writeGob(path, set)
}

func readGob(path string, v any) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return gob.NewDecoder(f).Decode(v)
}

func writeGob(path string, v any) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "features.*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := gob.NewEncoder(f).Encode(v); err != nil {
		f.Close()
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// pack joins, example by example, the rows with the indexes of each part, and pads the result into one batch; -1 is an
// absent artefact. drop, if not nil, says which tokens to hide besides. If every artefact is absent the result holds
// no tensors.
func (s *featureSet) pack(a *tensor.Arena, drop func() bool, parts ...[]int) fusion.Tokens {
	examples := make([][]uint16, len(parts[0]))
	longest := 0
	for _, rows := range parts {
		for i, r := range rows {
			if r >= 0 {
				examples[i] = append(examples[i], s.Rows[r]...)
				longest = max(longest, len(examples[i])/s.Dim)
			}
		}
	}
	if longest == 0 {
		return fusion.Tokens{}
	}
	values := make([]uint16, len(examples)*longest*s.Dim)
	mask := make([]float32, len(examples)*longest)
	for i, e := range examples {
		copy(values[i*longest*s.Dim:], e)
		for j := range len(e) / s.Dim {
			if j == 0 || drop == nil || !drop() { // one token always stays
				mask[i*longest+j] = 1
			}
		}
	}
	b, t, d := int64(len(examples)), int64(longest), int64(s.Dim)
	return fusion.Tokens{
		Values: a.ToKind(a.FromHalf(values, b, t, d), tensor.Float),
		Mask:   a.FromFloat32(mask, b, t),
	}
}
