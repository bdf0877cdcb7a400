package sandbox

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"syscall"

	"consilium/internal/analysis"
	"consilium/internal/model/efficientnet"
	"consilium/internal/tensor"
)

// Argument, as the only one, starts a program that calls Enter as the process of a model.
const Argument = "run-model"

// The child's files beside its standard input, which brings frames.
const (
	weightsFile = 3
	answersFile = 4
)

// entered says that Enter was called: a program that does not would, as a child, do whatever it does otherwise.
var entered atomic.Bool

// Enter runs the process of a model and ends it, if the program was started as one; else it returns at once. The main
// of a program that runs models, or its TestMain, calls it before anything else.
func Enter() {
	if len(os.Args) != 2 || os.Args[1] != Argument {
		entered.Store(true)
		return
	}
	answers := os.NewFile(answersFile, "answers")
	if err := child(os.NewFile(weightsFile, "weights"), bufio.NewReader(os.Stdin), answers); err != nil {
		_ = writeFrame(answers, frameFailed, []byte(err.Error())) // whoever started it by hand reads the standard error
		fmt.Fprintf(os.Stderr, "%s: %v\n", Argument, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// child gives up what it does not need, loads one model and answers frames until its input ends.
func child(weights *os.File, in *bufio.Reader, answers io.Writer) error {
	if err := closeInherited(answersFile + 1); err != nil {
		return err
	}
	if err := limitResources(); err != nil {
		return err
	}
	kind, raw, err := readFrame(in, 4096)
	if err != nil || kind != frameSpec {
		return fmt.Errorf("read the spec: kind %q: %w", kind, err)
	}
	var spec Spec
	if err := json.Unmarshal(raw, &spec); err != nil {
		return fmt.Errorf("read the spec: %w", err)
	}
	if err := spec.check(); err != nil {
		return err
	}
	data, err := mapFile(weights)
	if err != nil {
		return fmt.Errorf("map the weights: %w", err)
	}
	engine := tensor.NewEngine(tensor.Options{Device: tensor.CPU, Threads: 1})
	if err := engine.Do(context.Background(), warm); err != nil {
		return fmt.Errorf("warm the tensor library: %w", err)
	}
	if err := confine(); err != nil {
		return err
	}
	m := &model{spec: spec}
	err = engine.Do(context.Background(), func(a *tensor.Arena) error {
		if err := m.load(a, data); err != nil {
			return err
		}
		return m.prove(a)
	})
	if err != nil {
		return writeComplaint(answers, err)
	}
	if err := syscall.Munmap(data); err != nil {
		return fmt.Errorf("let go of the weights: %w", err)
	}
	debug.FreeOSMemory() // what unpacking took
	if err := writeFrame(answers, frameReady, nil); err != nil {
		return err
	}
	return m.serve(engine, in, answers)
}

func writeComplaint(w io.Writer, err error) error {
	body, e := json.Marshal(complaintOf(explain(err)))
	if e != nil {
		return e
	}
	return writeFrame(w, frameRefused, body)
}

func mapFile(f *os.File) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() == 0 {
		return nil, errors.New("the file is empty")
	}
	data, err := syscall.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_PRIVATE)
	return data, errors.Join(err, f.Close())
}

// warm has libtorch do once what it does lazily, such as looking at the processor or for randomness, while it may.
func warm(a *tensor.Arena) error {
	a.ManualSeed(1)
	a.Float32s(a.Dropout(a.Rand(16), 0.5))
	x := a.Ones(1, 4, 16, 16)
	y := a.Conv2d(x, a.Ones(4, 4, 3, 3), a.Ones(4), 1, 1, 1)
	a.Float32s(a.Matmul(a.Ones(32, 32), a.Ones(32, 32)))
	a.Float32s(y)
	return nil
}

// model is what the child runs: a script or a net with a head.
type model struct {
	spec   Spec
	script *tensor.Script

	net        *efficientnet.Model
	head, bias tensor.T // (labels, 1280), (labels)
}

func (m *model) load(a *tensor.Arena, data []byte) error {
	if m.spec.Format == analysis.Safetensors {
		return m.loadNet(a, data)
	}
	archive, err := repack(data)
	if err != nil {
		return err
	}
	script := a.LoadScript(archive)
	kinds, arguments := script.Operators(a)
	want := 1
	if m.spec.Text > 0 {
		want = 2
	}
	if arguments != want {
		e := analysis.Invalid("card.modalities", "the module's forward does not take what the card says that it reads")
		e.Limit, e.Value = fmt.Sprintf("%d arguments", want), fmt.Sprintf("%d arguments", arguments)
		return e
	}
	if err := checkOperators(kinds); err != nil {
		return err
	}
	m.script = script
	return nil
}

func (m *model) loadNet(a *tensor.Arena, data []byte) error {
	raw, _, err := tensor.DecodeSafetensors(data)
	if err != nil {
		return refused("the file is no safetensors file: %v", err)
	}
	for _, name := range []string{"_fc.weight", "_fc.bias"} {
		head, ok := raw[name]
		if !ok {
			return refused("the weights hold no tensor %q, the head of %s", name, analysis.EfficientNetLite0)
		}
		if len(head.Shape) == 0 || head.Shape[0] != int64(m.spec.Labels) {
			e := analysis.Invalid("card.labels", "the head of the weights, %q, has another number of labels than the card", name)
			e.Limit, e.Value = fmt.Sprintf("%d labels", m.spec.Labels), fmt.Sprintf("the shape %v", head.Shape)
			return e
		}
	}
	for name, t := range raw {
		if i := slices.IndexFunc(t.Values, func(v float32) bool { return !finite(v) }); i >= 0 {
			return refused("the tensor %q holds %v at position %d", shown(name), t.Values[i], i)
		}
	}
	params := tensor.FromRaw(raw)
	m.net = efficientnet.New(a, params)
	m.head = params.Get(a, "_fc.weight", nil, int64(m.spec.Labels), efficientnet.Dim)
	m.bias = params.Get(a, "_fc.bias", nil, int64(m.spec.Labels))
	return nil
}

// forward returns the logits, one for each label, of a picture (C, H, W) that is followed by its text.
func (m *model) forward(a *tensor.Arena, input []float32) ([]float32, error) {
	s := m.spec
	picture := s.inputs() - s.Text
	inputs := []tensor.T{a.FromFloat32(input[:picture], 1, int64(s.Channels), int64(s.Height), int64(s.Width))}
	if s.Text > 0 {
		inputs = append(inputs, a.FromFloat32(input[picture:], 1, int64(s.Text)))
	}
	var out tensor.T
	if m.script != nil {
		out = m.script.Forward(a, inputs...)
	} else {
		features, _ := m.net.Forward(a, inputs[0])
		out = a.Linear(features, m.head, m.bias)
	}
	if kind := a.KindOf(out); kind != tensor.Float {
		return nil, refused("the model returns %s, want float32", kind)
	}
	if shape := a.Shape(out); !slices.Equal(shape, []int64{1, int64(s.Labels)}) {
		e := analysis.Invalid("card.labels", "the model does not return one logit for each label of the card")
		e.Limit, e.Value = fmt.Sprintf("the shape [1 %d]", s.Labels), fmt.Sprintf("the shape %v", shape[:min(len(shape), 8)])
		return nil, e
	}
	logits := a.Float32s(out)
	if i := slices.IndexFunc(logits, func(v float32) bool { return !finite(v) }); i >= 0 {
		e := refused("the model returns a logit that is not finite")
		e.Value = fmt.Sprintf("%v for label %d", logits[i], i)
		return nil, e
	}
	return logits, nil
}

// steady is how far two answers to the same input may lie apart.
const steady = 1e-4

// prove runs the model twice on a pattern of its own.
func (m *model) prove(a *tensor.Arena) error {
	input := make([]float32, m.spec.inputs())
	for i := range input {
		input[i] = float32(math.Sin(float64(i)*0.37) + 0.5*math.Sin(float64(i)*0.011))
	}
	if text := input[len(input)-m.spec.Text:]; len(text) > 0 { // a note's vector has length 1
		for i := range text {
			text[i] /= float32(math.Sqrt(float64(len(text))))
		}
	}
	first, err := m.forward(a, input)
	if err != nil {
		return err
	}
	second, err := m.forward(a, input)
	if err != nil {
		return err
	}
	for i := range first {
		if d := math.Abs(float64(first[i] - second[i])); d > steady*(1+math.Abs(float64(first[i]))) {
			e := refused("the model answers the same input in two ways: it draws random numbers or changes itself")
			e.Value = fmt.Sprintf("%v and %v for label %d", first[i], second[i], i)
			return e
		}
	}
	return nil
}

// serve answers inputs until there are no more.
func (m *model) serve(engine *tensor.Engine, in *bufio.Reader, answers io.Writer) error {
	for {
		kind, raw, err := readFrame(in, 4*m.spec.inputs())
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil || kind != frameInput || len(raw) != 4*m.spec.inputs() {
			return fmt.Errorf("read an input: kind %q of %d bytes: %w", kind, len(raw), err)
		}
		var logits []float32
		err = engine.Do(context.Background(), func(a *tensor.Arena) (err error) {
			logits, err = m.forward(a, unpackFloats(raw))
			return err
		})
		if err != nil {
			err = writeComplaint(answers, err)
		} else {
			err = writeFrame(answers, frameLogits, packFloats(logits))
		}
		if err != nil {
			return err
		}
	}
}

// explain says what an operator's failure means to who brought the model.
func explain(err error) error {
	var e *tensor.OpError
	if !errors.As(err, &e) {
		return err
	}
	switch e.Op {
	case "load script":
		return refused("the archive cannot be loaded: %s", e.Message)
	case "inspect script":
		return refused("the module has no forward that can be inspected: %s", e.Message)
	case "run script":
		return refused("the forward pass fails: %s", e.Message)
	case "load":
		return refused("the weights do not fit %s: %s", analysis.EfficientNetLite0, e.Message)
	}
	return refused("the forward pass fails: operator %s: %s", e.Op, e.Message)
}

func finite(v float32) bool { return !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) }
