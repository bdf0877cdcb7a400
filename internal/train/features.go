package train

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/gob"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
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
	// Radiographs encodes the films that findings are judged from.
	Radiographs analysis.VisionEncoder
	Audio       analysis.AudioEncoder
}

// One returns the features of the single artefact that an encoder was given.
func One(f []*analysis.Features, err error) (*analysis.Features, error) {
	if err != nil {
		return nil, err
	}
	return f[0], nil
}

// encodeText, encodeImage, encodeRadiograph and encodeSound encode one artefact as the fusion will see it.
func (e Encoders) encodeText(ctx context.Context, b []byte) (*analysis.Features, error) {
	return One(e.Text.EncodeText(ctx, []string{string(b)}, false))
}

func (e Encoders) encodeImage(ctx context.Context, b []byte) (*analysis.Features, error) {
	return One(e.Vision.EncodeImage(ctx, [][]byte{b}))
}

func (e Encoders) encodeRadiograph(ctx context.Context, b []byte) (*analysis.Features, error) {
	return One(e.Radiographs.EncodeImage(ctx, [][]byte{b}))
}

func (e Encoders) encodeSound(ctx context.Context, b []byte) (*analysis.Features, error) {
	return One(e.Audio.EncodeAudio(ctx, [][]byte{b}, false))
}

// featureSet is the tokens of many artefacts of one modality, in half precision to fit the memory.
type featureSet struct {
	Dim  int
	Rows [][]uint16 // each a multiple of Dim long
}

// artefact is one thing to encode.
type artefact struct {
	key     [sha256.Size]byte // equal keys, equal contents
	content func() ([]byte, error)
}

// bytesArtefact is an artefact that is at hand.
func bytesArtefact(b []byte) artefact {
	return artefact{sha256.Sum256(b), func() ([]byte, error) { return b, nil }}
}

// fileArtefact is the content of a file.
func fileArtefact(path string) (artefact, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return artefact{}, err
	}
	return artefact{sha256.Sum256(b), func() ([]byte, error) { return os.ReadFile(path) }}, nil
}

// variedArtefact is what vary makes of a picture b with the generator that goes with this key. Making it takes longer than
// loading its features, so it is made only where they are missing. method names vary; it changes whenever vary does.
func variedArtefact(method string, b []byte, seed uint64, number int, vary func(b []byte, rng *rand.Rand) ([]byte, error)) artefact {
	key := sha256.Sum256(fmt.Appendf(nil, "%s seed %d number %d of %x", method, seed, number, sha256.Sum256(b)))
	return artefact{key, func() ([]byte, error) {
		return vary(b, rand.New(rand.NewPCG(binary.BigEndian.Uint64(key[:8]), binary.BigEndian.Uint64(key[8:16]))))
	}}
}

// encodeAll encodes artefacts one after the other. Encoding takes minutes and depends only on the encoder and the
// artefacts, so the result is kept below folder and found again by the digest of the encoder and the keys.
func encodeAll(ctx context.Context, out io.Writer, a *tensor.Engine, folder, unit string, artefacts []artefact,
	encode func(ctx context.Context, b []byte) (*analysis.Features, error)) (*featureSet, error) {
	encoded := func(i int) (*analysis.Features, error) {
		b, err := artefacts[i].content()
		if err != nil {
			return nil, fmt.Errorf("encode %s %d: %w", unit, i, err)
		}
		f, err := encode(ctx, b)
		if err != nil {
			return nil, fmt.Errorf("encode %s %d: %w", unit, i, err)
		}
		return f, nil
	}
	digest := sha256.New()
	for _, x := range artefacts {
		digest.Write(x.key[:])
	}
	first, err := encoded(0) // says which encoder it is
	if err != nil {
		return nil, err
	}
	io.WriteString(digest, first.Model)
	path := filepath.Join(folder, unit+"-"+hex.EncodeToString(digest.Sum(nil))[:16]+".gob")
	set := &featureSet{}
	if readGob(path, set) == nil && len(set.Rows) == len(artefacts) {
		fmt.Fprintf(out, "%s: %d from %s\n", unit, len(set.Rows), path)
		return set, nil
	}
	set = &featureSet{Dim: first.TokenDim}
	progress := NewProgress(out, unit, len(artefacts))
	for i := range artefacts {
		f, err := encoded(i)
		if err != nil {
			return nil, err
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

// join appends the rows of more and returns the index at which they begin.
func (s *featureSet) join(more *featureSet) (base int) {
	base = len(s.Rows)
	s.Dim, s.Rows = more.Dim, append(s.Rows, more.Rows...)
	return base
}

// packed is a batch of tokens in Go's memory, padded to the longest example.
type packed struct {
	values  []uint16  // (B, T, D) in half precision
	mask    []float32 // (B, T), 1 for a token that is shown
	b, t, d int
}

// gather joins, example by example, the rows with the indexes of each part, and pads the result into one batch; -1 is
// an absent artefact. drop, if not nil, says which tokens to hide besides.
func (s *featureSet) gather(drop func() bool, parts ...[]int) packed {
	p := packed{b: len(parts[0]), d: s.Dim}
	lengths := make([]int, p.b)
	for _, rows := range parts {
		for i, r := range rows {
			if r >= 0 {
				lengths[i] += len(s.Rows[r]) / s.Dim
				p.t = max(p.t, lengths[i])
			}
		}
	}
	p.values, p.mask = make([]uint16, p.b*p.t*p.d), make([]float32, p.b*p.t)
	for i, n := range lengths {
		at := i * p.t * p.d
		for _, rows := range parts {
			if r := rows[i]; r >= 0 {
				at += copy(p.values[at:], s.Rows[r])
			}
		}
		for j := range n {
			if j == 0 || drop == nil || !drop() { // one token always stays
				p.mask[i*p.t+j] = 1
			}
		}
	}
	return p
}

// tokens makes tensors of the batch; none if every artefact is absent.
func (p packed) tokens(a *tensor.Arena) fusion.Tokens {
	if p.t == 0 {
		return fusion.Tokens{}
	}
	b, t, d := int64(p.b), int64(p.t), int64(p.d)
	return fusion.Tokens{
		Values: a.ToKind(a.FromHalf(p.values, b, t, d), tensor.Float),
		Mask:   a.FromFloat32(p.mask, b, t),
	}
}

// pack is gather and tokens in one.
func (s *featureSet) pack(a *tensor.Arena, drop func() bool, parts ...[]int) fusion.Tokens {
	return s.gather(drop, parts...).tokens(a)
}
