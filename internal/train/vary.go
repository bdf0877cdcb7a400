package train

import (
	"bytes"
	"image"
	"image/png"
	"math"
	"math/rand/v2"

	"github.com/disintegration/imaging"

	"consilium/internal/dataset/triples"
	"consilium/internal/media"
)

// variedSide is the longer side of a picture that is varied: the network sees 224 pixels of what is left of it.
const variedSide = 288

// varyFilm returns the film cropped by up to a sixth, turned by up to 10 degrees, lighter or darker, with more or less
// contrast, and perhaps mirrored, as a PNG.
func varyFilm(b []byte, rng *rand.Rand) ([]byte, error) {
	decoded, err := imaging.Decode(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	uniform := func(most float64) float64 { return most * (2*rng.Float64() - 1) }
	img := imaging.Fit(imaging.Grayscale(decoded), variedSide, variedSide, imaging.Linear)
	img = imaging.Rotate(img, uniform(10), image.Black)
	size := img.Bounds().Size()
	w, h := size.X-rng.IntN(size.X/6+1), size.Y-rng.IntN(size.Y/6+1)
	x, y := rng.IntN(size.X-w+1), rng.IntN(size.Y-h+1)
	img = imaging.Crop(img, image.Rect(x, y, x+w, y+h))
	img = imaging.AdjustGamma(img, math.Exp(uniform(0.4)))
	img = imaging.AdjustContrast(img, uniform(25))
	img = imaging.AdjustBrightness(img, uniform(8))
	if rng.IntN(2) == 0 {
		img = imaging.FlipH(img)
	}
	grey := image.NewGray(img.Bounds())
	for i := range grey.Pix {
		grey.Pix[i] = img.Pix[4*i]
	}
	var out bytes.Buffer
	err = (&png.Encoder{CompressionLevel: png.NoCompression}).Encode(&out, grey)
	return out.Bytes(), err
}

// varySound returns the sound as another device might have recorded it, as a WAV: faster or slower, with echoes, another
// colour and noise.
func varySound(b []byte, rng *rand.Rand) ([]byte, error) {
	sound, err := media.DecodeWAV(b, true)
	if err != nil {
		return nil, err
	}
	return triples.Recording{Samples: elsewhere(rng, sound.Samples)}.WAV(), nil
}

// elsewhere returns what another device would have recorded, with its highest peak at nine tenths.
func elsewhere(rng *rand.Rand, samples []float32) []float32 {
	uniform := func(low, high float64) float64 { return low + (high-low)*rng.Float64() }
	// multiples of 400 Hz keep the resampler's filter bank small
	samples = media.Resample(samples, 400*(17+rng.IntN(7)), media.SoundRate) // 0.85 to 1.15 times as fast
	y := make([]float64, len(samples))
	for i, v := range samples {
		y[i] = float64(v)
	}
	if rng.IntN(3) == 0 {
		echo(rng, y)
	}
	colour(y, uniform(-0.6, 0.6))
	addNoise(rng, y, len(y), uniform(10, 45), uniform(0, 0.95))
	peak := 1e-9
	for _, v := range y {
		peak = math.Max(peak, math.Abs(v))
	}
	out := make([]float32, len(y))
	for i, v := range y {
		out[i] = float32(0.9 * v / peak)
	}
	return out
}
