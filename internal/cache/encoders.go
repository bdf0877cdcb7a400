package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"consilium/internal/analysis"
)

// Digest returns the digest of the model that would answer now. While it is unknown nothing is looked up.
type Digest func(ctx context.Context) (string, error)

// TextEncoder returns next with its features remembered. Features are shared between callers, so nobody may
// change them; the same holds for the other decorators.
func (c *Cache) TextEncoder(next analysis.TextEncoder, digest Digest) analysis.TextEncoder {
	return textEncoder{c, next, digest}
}

// VisionEncoder returns next with its features remembered.
func (c *Cache) VisionEncoder(next analysis.VisionEncoder, digest Digest) analysis.VisionEncoder {
	return visionEncoder{c, next, digest}
}

// AudioEncoder returns next with its features remembered.
func (c *Cache) AudioEncoder(next analysis.AudioEncoder, digest Digest) analysis.AudioEncoder {
	return audioEncoder{c, next, digest}
}

type textEncoder struct {
	cache  *Cache
	next   analysis.TextEncoder
	digest Digest
}

func (e textEncoder) EncodeText(ctx context.Context, texts []string, strict bool) ([]*analysis.Features, error) {
	inputs := make([][]byte, len(texts))
	for i, text := range texts {
		inputs[i] = []byte(text)
	}
	return e.cache.encode(ctx, analysis.Text, e.digest, inputs, strict, func(inputs [][]byte) ([]*analysis.Features, error) {
		texts := make([]string, len(inputs))
		for i, input := range inputs {
			texts[i] = string(input)
		}
		return e.next.EncodeText(ctx, texts, strict)
	})
}

type visionEncoder struct {
	cache  *Cache
	next   analysis.VisionEncoder
	digest Digest
}

func (e visionEncoder) EncodeImage(ctx context.Context, images [][]byte) ([]*analysis.Features, error) {
	return e.cache.encode(ctx, analysis.Image, e.digest, images, false, func(images [][]byte) ([]*analysis.Features, error) {
		return e.next.EncodeImage(ctx, images)
	})
}

type audioEncoder struct {
	cache  *Cache
	next   analysis.AudioEncoder
	digest Digest
}

func (e audioEncoder) EncodeAudio(ctx context.Context, sounds [][]byte, strict bool) ([]*analysis.Features, error) {
	return e.cache.encode(ctx, analysis.Audio, e.digest, sounds, strict, func(sounds [][]byte) ([]*analysis.Features, error) {
		return e.next.EncodeAudio(ctx, sounds, strict)
	})
}

// encode returns the features of the inputs, in order: what is remembered, and what next makes of the rest in
// one call. Errors are next's.
func (c *Cache) encode(ctx context.Context, modality analysis.Modality, digest Digest, inputs [][]byte, strict bool,
	next func([][]byte) ([]*analysis.Features, error)) ([]*analysis.Features, error) {
	kind := string(modality)
	model, err := digest(ctx)
	if err != nil { // next will say what is wrong, or work
		c.count(kind, "bypass", len(inputs))
		return next(inputs)
	}
	sums, keys := make([]string, len(inputs)), make([]string, len(inputs))
	for i, input := range inputs {
		sum := sha256.Sum256(input)
		sums[i] = string(sum[:])
		keys[i] = key(kind, model, strconv.FormatBool(strict), sums[i])
	}
	features := make([]*analysis.Features, len(inputs))
	var missing []int
	values, asked := c.get(ctx, keys)
	for i, value := range values {
		f, err := decodeFeatures(value)
		if err == nil && f.Modality == modality && f.Model == model {
			f.Input = hex.EncodeToString([]byte(sums[i]))
			features[i] = f
		} else {
			missing = append(missing, i)
		}
	}
	c.count(kind, "hit", len(inputs)-len(missing))
	if len(missing) == 0 {
		return features, nil
	}
	outcome := "miss"
	if !asked {
		outcome = "bypass"
	}
	c.count(kind, outcome, len(missing))
	missingKeys, missingInputs := make([]string, len(missing)), make([][]byte, len(missing))
	for i, at := range missing {
		missingKeys[i], missingInputs[i] = keys[at], inputs[at]
	}
	made, err := once(ctx, c, strings.Join(missingKeys, " "), func() ([]*analysis.Features, error) {
		made, err := next(missingInputs)
		if err != nil || len(made) != len(missing) {
			return made, err
		}
		for i, f := range made {
			if f != nil && f.Check() == nil {
				f.Input = hex.EncodeToString([]byte(sums[missing[i]]))
				// Under the digest that made it: the model may have changed since we asked.
				c.set(key(kind, f.Model, strconv.FormatBool(strict), sums[missing[i]]), func() []byte { return encodeFeatures(f) }, f.Input)
			}
		}
		return made, nil
	})
	if err != nil || len(made) != len(missing) {
		return made, err
	}
	for i, at := range missing {
		features[at] = made[i]
	}
	return features, nil
}
