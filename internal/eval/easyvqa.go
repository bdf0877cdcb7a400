package eval

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"time"

	"consilium/internal/analysis"
	"consilium/internal/dataset"
	"consilium/internal/train"
)

// easyVQA measures answers on the test questions: with the picture, with a blank one and with no picture at all.
func easyVQA(ctx context.Context, e Env) ([]Figure, error) {
	start := time.Now()
	known, err := dataset.ReadEasyVQA(e.EasyVQA, "train")
	if err != nil {
		return nil, err
	}
	folder := e.EasyVQA
	if e.EasyVQATest != "" {
		folder = e.EasyVQATest
	}
	test, err := dataset.ReadEasyVQA(folder, "test")
	if err != nil {
		return nil, err
	}
	blank, err := blankFeatures(ctx, e.Models.Vision)
	if err != nil {
		return nil, err
	}
	prior := questionPrior(known.Questions)
	floor, floorOpen := tally{}, tally{}
	seen, seenOpen, blankSeen, noImage := tally{}, tally{}, tally{}, tally{}
	var confidence []float64
	var right []bool
	questions := map[string]*analysis.Features{}
	images := map[int]*analysis.Features{}
	for i, q := range test.Questions {
		if questions[q.Text] == nil {
			f, err := train.One(e.Models.Text.EncodeText(ctx, []string{q.Text}, true))
			if err != nil {
				return nil, fmt.Errorf("encode %q: %w", q.Text, err)
			}
			questions[q.Text] = f
		}
		if images[q.Image] == nil {
			b, err := os.ReadFile(test.Images[q.Image])
			if err != nil {
				return nil, err
			}
			f, err := train.One(e.Models.Vision.EncodeImage(ctx, [][]byte{b}))
			if err != nil {
				return nil, fmt.Errorf("encode %s: %w", test.Images[q.Image], err)
			}
			images[q.Image] = f
		}
		answer := func(image *analysis.Features) (analysis.Candidate, error) {
			r, err := analysis.FuseOne(ctx, e.Models.Fuser, &analysis.FuseRequest{Task: analysis.Question, Question: questions[q.Text], Image: image, Candidates: 1})
			if err != nil {
				return analysis.Candidate{}, fmt.Errorf("answer question %d: %w", i, err)
			}
			return r.Answers[0], nil
		}
		open := q.Answer != "yes" && q.Answer != "no"
		got, err := answer(images[q.Image])
		if err != nil {
			return nil, err
		}
		seen.count(got.Text == q.Answer)
		confidence, right = append(confidence, got.Probability), append(right, got.Text == q.Answer)
		floor.count(prior[q.Text] == q.Answer)
		if open {
			seenOpen.count(got.Text == q.Answer)
			floorOpen.count(prior[q.Text] == q.Answer)
		}
		// What does not look at the picture depends on the question alone: a tenth of the cases tells enough.
		if i%10 == 0 {
			for image, t := range map[*analysis.Features]*tally{blank: &blankSeen, nil: &noImage} {
				got, err := answer(image)
				if err != nil {
					return nil, err
				}
				t.count(got.Text == q.Answer)
			}
		}
		if (i+1)%2000 == 0 {
			fmt.Fprintf(e.Out, "easy-vqa: %d/%d questions, %.0f/s\n", i+1, len(test.Questions), float64(i+1)/time.Since(start).Seconds())
		}
	}
	return timed(start, []Figure{
		{Name: "easy-vqa", Metric: "accuracy", Value: seen.share(), Floor: floor.share(), N: seen.n},
		{Name: "easy-vqa", Metric: "accuracy-not-yes-no", Value: seenOpen.share(), Floor: floorOpen.share(), N: seenOpen.n},
		{Name: "easy-vqa", Metric: "accuracy-blank-image", Value: blankSeen.share(), Floor: floor.share(), N: blankSeen.n},
		{Name: "easy-vqa", Metric: "ece", Value: calibrationError(confidence, right, 15), N: len(right)},
		{Name: "easy-vqa", Metric: "accuracy-no-image", Value: noImage.share(), Floor: floor.share(), N: noImage.n},
	}), nil
}

// questionPrior returns the most frequent training answer to each question, the best that can be done blindly.
func questionPrior(known []dataset.VQAQuestion) map[string]string {
	counts := map[string]map[string]int{}
	for _, q := range known {
		if counts[q.Text] == nil {
			counts[q.Text] = map[string]int{}
		}
		counts[q.Text][q.Answer]++
	}
	prior := map[string]string{}
	for text, answers := range counts {
		prior[text] = mostFrequent(answers)
	}
	return prior
}

// blankFeatures encodes a grey picture.
func blankFeatures(ctx context.Context, v analysis.VisionEncoder) (*analysis.Features, error) {
	img := image.NewGray(image.Rect(0, 0, 64, 64))
	for i := range img.Pix {
		img.Pix[i] = color.Gray{Y: 127}.Y
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return nil, err
	}
	f, err := train.One(v.EncodeImage(ctx, [][]byte{b.Bytes()}))
	if err != nil {
		return nil, fmt.Errorf("encode a blank picture: %w", err)
	}
	return f, nil
}
