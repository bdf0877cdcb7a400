package eval

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"time"

	"consilium/internal/analysis"
	"consilium/internal/dataset"
	"consilium/internal/train"
)

// imagePrecision compares the image encoders in 8 bits with themselves in float32, and what the platform answers by each.
func imagePrecision(ctx context.Context, e Env) ([]Figure, error) {
	if e.Data == "" {
		return nil, &ErrNoData{"image-int8"}
	}
	if e.Models.VisionInt8 == nil {
		return nil, errors.New("this processor has no 8-bit form of the image encoders")
	}
	start := time.Now()
	pictures, films, err := testPictures(e.Data, e.EasyVQA)
	if err != nil {
		return nil, err
	}
	var figures []Figure
	for _, c := range []struct {
		name         string
		whole, short analysis.VisionEncoder
		pictures     [][]byte
	}{{"", e.Models.Vision, e.Models.VisionInt8, append(pictures, films...)}, {"radiograph-", e.Models.Radiographs, e.Models.RadiographsInt8, films}} {
		made, err := nearness(ctx, c.whole, c.short, c.pictures)
		if err != nil {
			return nil, err
		}
		for _, f := range made {
			f.Metric = c.name + f.Metric
			figures = append(figures, f)
		}
	}
	answers, err := answersByPrecision(ctx, e)
	if err != nil {
		return nil, err
	}
	findings, err := findingsByPrecision(ctx, e)
	if err != nil {
		return nil, err
	}
	return timed(start, append(append(figures, answers...), findings...)), nil
}

// nearness compares the vectors of two encoders.
func nearness(ctx context.Context, whole, short analysis.VisionEncoder, pictures [][]byte) ([]Figure, error) {
	var vectors [2][][]float32
	for i, encoder := range []analysis.VisionEncoder{whole, short} {
		for _, picture := range pictures {
			f, err := train.One(encoder.EncodeImage(ctx, [][]byte{picture}))
			if err != nil {
				return nil, err
			}
			vectors[i] = append(vectors[i], unit(f.Vector))
		}
	}
	least, cosines, same := 1.0, mean{}, tally{}
	for i, v := range vectors[0] {
		c := inner(v, vectors[1][i])
		least = min(least, c)
		cosines.add(c)
		same.count(nearestVector(vectors[0], i) == nearestVector(vectors[1], i))
	}
	figure := func(metric string, value, floor float64) Figure {
		return Figure{Name: "image-int8", Metric: metric, Value: value, Floor: floor, N: len(pictures)}
	}
	return []Figure{figure("mean-cosine", cosines.value(), 0.98), figure("least-cosine", least, 0.95), figure("same-nearest", same.share(), 1/float64(len(pictures)-1))}, nil
}

// unit returns x at length 1.
func unit(x []float32) []float32 {
	length, out := math.Sqrt(inner(x, x)), make([]float32, len(x))
	for i, v := range x {
		out[i] = float32(float64(v) / length)
	}
	return out
}

// answersByPrecision answers some of easy-VQA's test questions by the features of 8 bits, and of float32.
func answersByPrecision(ctx context.Context, e Env) ([]Figure, error) {
	test, err := dataset.ReadEasyVQA(e.EasyVQA, "test")
	if err != nil {
		return nil, err
	}
	var right [2]tally
	const every = 10
	for i := 0; i < len(test.Questions); i += every {
		q := test.Questions[i]
		question, err := train.One(e.Models.Text.EncodeText(ctx, []string{q.Text}, true))
		if err != nil {
			return nil, err
		}
		picture, err := os.ReadFile(test.Images[q.Image])
		if err != nil {
			return nil, err
		}
		for j, encoder := range []analysis.VisionEncoder{e.Models.Vision, e.Models.VisionInt8} {
			image, err := train.One(encoder.EncodeImage(ctx, [][]byte{picture}))
			if err != nil {
				return nil, err
			}
			r, err := analysis.FuseOne(ctx, e.Models.Fuser, &analysis.FuseRequest{Task: analysis.Question, Question: question, Image: image, Candidates: 1})
			if err != nil {
				return nil, fmt.Errorf("answer question %d: %w", i, err)
			}
			right[j].count(r.Answers[0].Text == q.Answer)
		}
	}
	return []Figure{{Name: "image-int8", Metric: "easy-vqa-accuracy", Value: right[1].share(), Floor: right[0].share(), N: right[1].n}}, nil
}

// findingsByPrecision judges the test films by the features of 8 bits; the floor is what float32 reaches.
func findingsByPrecision(ctx context.Context, e Env) ([]Figure, error) {
	short := e
	short.Models.Radiographs = e.Models.RadiographsInt8
	var by [2][]Figure
	for i, env := range []Env{e, short} {
		var err error
		if by[i], err = chest(ctx, env); err != nil {
			return nil, err
		}
	}
	for i, f := range by[1] {
		if f.Metric == "auroc-pneumonia-image" {
			f.Name, f.Floor = "image-int8", by[0][i].Value
			return []Figure{f}, nil
		}
	}
	return nil, errors.New("measure image-int8: the fusion does not judge radiographs alone")
}

// Sizes of the sets of pictures.
const (
	calibrationPictures = 64
	measuredPictures    = 100
)

// CalibrationPictures returns pictures of any kind and chest radiographs, as files, none of a test split.
func CalibrationPictures(data, easyVQA string) (pictures, films [][]byte, err error) {
	return picturesOf(data, easyVQA, "train", calibrationPictures)
}

// testPictures returns pictures of any kind and chest radiographs of the test splits.
func testPictures(data, easyVQA string) (pictures, films [][]byte, err error) {
	return picturesOf(data, easyVQA, "test", measuredPictures)
}

// picturesOf returns at most n pictures of shapes and n radiological ones of a split, and n chest radiographs, spread over what there is.
func picturesOf(data, easyVQA, split string, n int) (pictures, films [][]byte, err error) {
	shapes, err := dataset.ReadEasyVQA(easyVQA, split)
	if err != nil {
		return nil, nil, err
	}
	questions, err := dataset.ReadVQARAD(data)
	if err != nil {
		return nil, nil, err
	}
	chest, err := dataset.ReadChest(data)
	if err != nil {
		return nil, nil, err
	}
	var radiological, radiographs []string
	for _, q := range questions {
		if q.Split == split {
			radiological = append(radiological, q.Image)
		}
	}
	for _, film := range chest[split] {
		radiographs = append(radiographs, film.Path)
	}
	for _, paths := range [][]string{slices.Collect(maps.Values(shapes.Images)), radiological} {
		read, err := readSome(paths, n)
		if err != nil {
			return nil, nil, err
		}
		pictures = append(pictures, read...)
	}
	films, err = readSome(radiographs, n)
	return pictures, films, err
}

// readSome reads at most n of the files, spread over them in the order of their names.
func readSome(paths []string, n int) (files [][]byte, err error) {
	paths = slices.Compact(slices.Sorted(slices.Values(paths)))
	n = min(n, len(paths))
	for i := range n {
		file, err := os.ReadFile(paths[i*len(paths)/n])
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}
