package eval

import (
	"context"
	"fmt"
	"time"

	"consilium/internal/dataset"
	"consilium/internal/tensor"
	fusionweights "consilium/services/fusion/weights"
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
	figures, blind, err := radFloors(ctx, e, engine, all)
	if err != nil {
		return nil, err
	}
	net, err := newRadNet(ctx, engine, e.Models, fusionweights.VQARAD)
	if err != nil {
		return nil, err
	}
	defer net.free()
	test := all.where(func(q dataset.RadQuestion) bool { return q.Split == "test" })
	answers, err := net.answers(ctx, test)
	if err != nil {
		return nil, err
	}
	return timed(start, append(radFigures(test, answers, blind), figures...)), nil
}

// radFigures compares the net with the blind answers of the first of the floors' figures.
func radFigures(test blindSet, answers radAnswers, blind blindAnswers) []Figure {
	closedFloor, _ := test.accuracy(blind.closed)
	_, openFloor := test.accuracy(blind.open)
	figure := func(metric string, value, floor float64, n int) Figure {
		return Figure{Name: "vqa-rad", Metric: metric, Value: value, Floor: floor, N: n}
	}
	closed, open := test.accuracy(answers.shown)
	figures := []Figure{
		figure("closed-accuracy", closed.share(), closedFloor.share(), closed.n),
		figure("open-accuracy", open.share(), openFloor.share(), open.n),
	}
	for _, without := range []struct {
		metric  string
		answers []string
	}{{"closed-blank-image", answers.blank}, {"closed-shuffled-image", answers.shuffled}, {"closed-no-image", answers.none}} {
		t, _ := test.accuracy(without.answers)
		figures = append(figures, figure(without.metric, t.share(), closedFloor.share(), t.n))
	}
	low, high := gainInterval(test, answers.shown, blind.closed)
	return append(figures, figure("closed-gain-low", low, 0, closed.n), figure("closed-gain-high", high, 0, closed.n))
}

// radFloors are what can be answered without the picture, on both splits. A question-only figure is the larger of the
// nearest question's and the classifier's on the test itself: no method that is blind is done an injustice.
func radFloors(ctx context.Context, e Env, engine *tensor.Engine, all blindSet) ([]Figure, blindAnswers, error) {
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
			return nil, blindAnswers{}, err
		}
		closed, _ := val.accuracy(both[0])
		fmt.Fprintf(e.Out, "vqa-rad: question only, decay %g: %.4f of %d closed validation questions\n", d, closed.share(), closed.n)
		if closed.right > best.right || answers == nil {
			best, decay, answers = closed, d, both[1]
		}
	}
	figures, blind := blindFigures("", train, test, answers)
	leaking, err := classify(ctx, engine, official("train"), decay, official("test"))
	if err != nil {
		return nil, blindAnswers{}, err
	}
	more, _ := blindFigures("official-leaking-", official("train"), official("test"), leaking[0])
	return append(figures, more...), blind, nil
}

// blindAnswers are those of the better method, for the closed and for the open questions.
type blindAnswers struct{ closed, open []string }

// blindFigures compares the two ways to answer without the picture with the most frequent answer.
func blindFigures(prefix string, train, test blindSet, classified []string) ([]Figure, blindAnswers) {
	near := nearest(train, test)
	closed0, open0 := test.accuracy(majority(train, test))
	closed1, open1 := test.accuracy(near)
	closed2, open2 := test.accuracy(classified)
	closed, open, blind := closed1, open1, blindAnswers{near, near}
	if closed2.right > closed1.right {
		closed, blind.closed = closed2, classified
	}
	if open2.right > open1.right {
		open, blind.open = open2, classified
	}
	figure := func(metric string, t, floor tally) Figure {
		return Figure{Name: "vqa-rad", Metric: prefix + metric, Value: t.share(), Floor: floor.share(), N: t.n}
	}
	return []Figure{
		figure("closed-question-only", closed, closed0),
		figure("closed-nearest-question", closed1, closed0),
		figure("closed-question-classifier", closed2, closed0),
		figure("open-question-only", open, open0),
	}, blind
}
