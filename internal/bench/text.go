package bench

import (
	"context"
	"fmt"
	"os/exec"
	"syscall"

	"consilium/internal/analysis"
)

// Seeds of the texts: those that the 8-bit forms are calibrated on are none that is timed.
const (
	timedSeed uint64 = iota + 1
	calibrationSeed
	httpSeed
)

// Sizes of the cases of fixed length.
var (
	textLengths = []int{16, 64, 256}
	textBatches = []int{1, 8, 32}
)

// Mixed lengths: one iteration is mixedTexts texts in calls of mixedBatch.
const (
	mixedTexts = 256
	mixedBatch = 32
)

// textCases are the cases of texts.
func textCases(c *corpus, work func(tokens int) float64) []*Case {
	var cases []*Case
	for _, length := range textLengths {
		for _, size := range textBatches {
			cases = append(cases, &Case{
				Name: fmt.Sprintf("text-%d-%d", length, size), About: fmt.Sprintf("%d tokens, %d a call", length, size),
				Items: size, Work: float64(size) * work(length), Texts: [][]string{c.texts(timedSeed, size, length)},
			})
		}
	}
	texts := c.mixed(timedSeed, mixedTexts)
	mixed := &Case{
		Name: "text-mixed", About: fmt.Sprintf("%d texts of %d to %d tokens, %d a call", mixedTexts, shortest, longest, mixedBatch),
		Items: len(texts), Texts: calls(texts, mixedBatch),
	}
	for _, text := range texts {
		mixed.Work += work(c.tokens(text))
	}
	return append(cases, mixed)
}

// ourTexts is a text service.
func ourTexts(name string, class Class, encoder analysis.TextEncoder) entrant {
	return entrant{class: class, ours: true, Contender: &own{name: name, begin: func(c *Case) func(context.Context) ([][]float32, error) {
		return func(ctx context.Context) (all [][]float32, err error) {
			for _, call := range c.Texts {
				features, err := encoder.EncodeText(ctx, call, false)
				if err != nil {
					return nil, err
				}
				all = append(all, vectors(features)...)
			}
			return all, nil
		}
	}}}
}

// text times texts.
func (b *bench) text(ctx context.Context) error {
	stock, closeStock, err := b.engines(ctx, "text", "torch", "onnxruntime", "openvino", "onnxruntime-int8", "openvino-int8")
	if err != nil {
		return err
	}
	defer closeStock()
	tuned, closeTuned, err := b.engines(ctx, "text", "openvino-tuned", "openvino-tuned-int8")
	if err != nil {
		return err
	}
	defer closeTuned()
	single, closeSingle, err := b.hugot(ctx)
	if err != nil {
		return err
	}
	defer closeSingle()
	for _, c := range textCases(b.corpus, b.TextWork) {
		entrants := append([]entrant{ourTexts("consilium", FP32, b.Text), ourTexts("consilium, 8 bit", Int8, b.TextInt8)}, stock...)
		if c.Items == 1 {
			entrants = append(entrants, single...)
		}
		mixed := c.Name == "text-mixed"
		if mixed {
			entrants = append(entrants, tuned...)
		}
		rows, others, err := b.measure(ctx, c, entrants)
		if err != nil {
			return err
		}
		b.add(classes(c, rows, others)...)
		if c.Items == 1 {
			if err := b.beside(ctx, c, entrants[:len(entrants)-len(single)]); err != nil {
				return err
			}
		}
		if mixed {
			const about = "the same, against OpenVINO with 2 streams and sub-batches of similar length"
			b.add(ratio(c.Name+"-fp32-tuned", about, FP32, true, rows, others), ratio(c.Name+"-int8-tuned", about, Int8, true, rows, others))
		}
	}
	return nil
}

// beside times a case again while another process keeps a processor busy, as it does where several services share a machine.
func (b *bench) beside(ctx context.Context, c *Case, entrants []entrant) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// It ends by itself as well, should nobody be left to end it.
	neighbour := exec.CommandContext(ctx, "timeout", "120", "sh", "-c", "while :; do :; done")
	neighbour.Cancel = func() error { return neighbour.Process.Signal(syscall.SIGTERM) }
	if err := neighbour.Start(); err != nil {
		return fmt.Errorf("start a busy process: %w", err)
	}
	defer func() {
		cancel()
		_ = neighbour.Wait() // it was told to end
	}()
	also := *c
	also.Name, also.About = c.Name+"-beside", c.About+", beside another process that keeps a processor busy"
	rows, others, err := b.measure(ctx, &also, entrants)
	if err != nil {
		return err
	}
	b.add(classes(&also, rows, others)...)
	return nil
}
