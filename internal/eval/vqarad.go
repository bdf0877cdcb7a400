package eval

import (
	"context"
	"fmt"
	"time"

	"consilium/internal/dataset"
	"consilium/internal/tensor"
)

// blindDecays are what the question-only classifier may pay for its weights; the validation images choose.
var blindDecays = []float64{1e-4, 1e-3, 3e-3, 1e-2}

// vqaRAD measures answers about radiological images on the split without shared images, and the floors on the official
// one as well, in which every test image is a training image too.
func vqaRAD(ctx context.Context, e Env) ([]Figure, error) {
	if e.Data == "" {
		return nil, &ErrNoData{"vqa-rad"}
	}
	start := time.Now()
	questions, err := dataset.ReadVQARAD(e.Data)
	if err != nil {
		return nil, err
	}
	all, err := encodeQuestions(ctx, e.Models.Text, questions)
	if err != nil {
		return nil, err
	}
	engine := tensor.NewEngine(tensor.Options{Device: tensor.CPU})
	defer engine.Close()
	figures, err := radFloors(ctx, e, engine, all)
	return timed(start, figures), err
}

// radFloors are what can be answered without the picture, on both splits. A question-only figure is the larger of the
// nearest question's and the classifier's on the test itself: no method that is blind is done an injustice.
func radFloors(ctx context.Context, e Env, engine *tensor.Engine, all blindSet) ([]Figure, error) {
	split := func(name string) blindSet {
		return all.where(func(q dataset.RadQuestion) bool { return q.Split == name })
	}
	official := func(name string) blindSet {
		return all.where(func(q dataset.RadQuestion) bool { return q.Official == name })
	}
	train, val, test := split("train"), split("val"), split("test")
	var best tally
	var decay float64
	var answers []string
	for _, d := range blindDecays {
		both, err := classify(ctx, engine, train, d, val, test)
		if err != nil {
			return nil, err
		}
		closed, _ := val.accuracy(both[0])
		fmt.Fprintf(e.Out, "vqa-rad: question only, decay %g: %.4f of %d closed validation questions\n", d, closed.share(), closed.n)
		if closed.right > best.right || answers == nil {
			best, decay, answers = closed, d, both[1]
		}
	}
	figures := blindFigures("", train, test, answers)
	leaking, err := classify(ctx, engine, official("train"), decay, official("test"))
	if err != nil {
		return nil, err
	}
	return append(figures, blindFigures("official-leaking-", official("train"), official("test"), leaking[0])...), nil
}

// blindFigures compares the two ways to answer without the picture with the most frequent answer.
func blindFigures(prefix string, train, test blindSet, classified []string) []Figure {
	closed0, open0 := test.accuracy(majority(train, test))
	closed1, open1 := test.accuracy(nearest(train, test))
	closed2, open2 := test.accuracy(classified)
	figure := func(metric string, t, floor tally) Figure {
		return Figure{Name: "vqa-rad", Metric: prefix + metric, Value: t.share(), Floor: floor.share(), N: t.n}
	}
	return []Figure{
		figure("closed-question-only", better(closed1, closed2), closed0),
		figure("closed-nearest-question", closed1, closed0),
		figure("closed-question-classifier", closed2, closed0),
		figure("open-question-only", better(open1, open2), open0),
	}
}

func better(x, y tally) tally {
	if y.right > x.right {
		return y
	}
	return x
}
