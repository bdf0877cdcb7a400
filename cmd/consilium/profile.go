package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"consilium/internal/analysis"
	"consilium/internal/pipeline"
	"consilium/internal/profile"
	"consilium/internal/serve"
	"consilium/internal/tensor"
	"consilium/internal/wire"
	audioencoder "consilium/services/audio-encoder"
	"consilium/services/fusion"
	textencoder "consilium/services/text-encoder"
	visionencoder "consilium/services/vision-encoder"
)

var profileCommand = command{
	name: "profile", arguments: "MODEL --input FILE,… [--json]", summary: "time the layers of a model: " + strings.Join(subjectNames(), ", "),
	run: func(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
		flags := flag.NewFlagSet("consilium profile", flag.ContinueOnError)
		flags.SetOutput(stderr)
		files := flags.String("input", "", "`files`, divided by commas, of one call: .txt, .wav, else pictures")
		asJSON := flags.Bool("json", false, "print an object")
		if len(args) == 0 || flags.Parse(args[1:]) != nil || flags.NArg() > 0 || *files == "" {
			return errUsage
		}
		open := subject(args[0])
		if open == nil {
			return fmt.Errorf("profile %q: no such model; there are %s", args[0], strings.Join(subjectNames(), ", "))
		}
		in, err := readInputs(strings.Split(*files, ","))
		if err != nil {
			return err
		}
		place := wire.Settings{Config: serve.Config{Listen: "127.0.0.1:0"}}
		if err := serve.Load(getenv, &place); err != nil {
			return err
		}
		device, err := tensor.ParseDevice(place.Device)
		if err != nil {
			return err
		}
		peak, err := peak(ctx, device)
		if err != nil {
			return err
		}
		p, err := profiled(ctx, open, place, getenv, in)
		if err != nil {
			return fmt.Errorf("profile %s: %w", args[0], err)
		}
		p.finish(args[0], peak)
		if *asJSON {
			return json.NewEncoder(stdout).Encode(p)
		}
		return p.table(stdout)
	},
}

// inputs are what one call of a model gets.
type inputs struct {
	texts            []string
	pictures, sounds [][]byte
}

func readInputs(paths []string) (in inputs, err error) {
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return in, err
		}
		switch strings.ToLower(filepath.Ext(path)) {
		case ".txt":
			in.texts = append(in.texts, string(content))
		case ".wav":
			in.sounds = append(in.sounds, content)
		default:
			in.pictures = append(in.pictures, content)
		}
	}
	return in, nil
}

// request is that of one analysis of the inputs, of each kind the first.
func (in inputs) request(task analysis.Task) *analysis.Request {
	r := &analysis.Request{Task: task}
	if len(in.texts) > 0 && task == analysis.Question {
		r.Question = in.texts[0]
	} else if len(in.texts) > 0 {
		r.Text = in.texts[0]
	}
	if len(in.pictures) > 0 {
		r.Image = in.pictures[0]
	}
	if len(in.sounds) > 0 {
		r.Audio = in.sounds[0]
	}
	return r
}

// opening starts a model, as its program does, and returns what calls it once.
type opening func(ctx context.Context, place wire.Settings, getenv func(string) string, in inputs) (call func(context.Context) error, closeIt func(), err error)

// subjects are the models.
var subjects = []struct {
	name string
	open opening
}{
	{"text", openText},
	{"vision", openVision(func(s *visionencoder.Service, ctx context.Context, in inputs) error {
		_, err := s.EncodeImage(ctx, in.pictures)
		return err
	})},
	{"radiograph", openVision(func(s *visionencoder.Service, ctx context.Context, in inputs) error {
		_, err := s.Radiographs().EncodeImage(ctx, in.pictures)
		return err
	})},
	{"segmentation", openVision(func(s *visionencoder.Service, ctx context.Context, in inputs) error {
		_, err := s.Segmenter().Segment(ctx, in.pictures)
		return err
	})},
	{"audio", openAudio},
	{"fusion", openFusion},
	{"report-writer", openWriter},
}

func subject(name string) opening {
	for _, s := range subjects {
		if s.name == name {
			return s.open
		}
	}
	return nil
}

func subjectNames() (names []string) {
	for _, s := range subjects {
		names = append(names, s.name)
	}
	return names
}

func openText(_ context.Context, place wire.Settings, getenv func(string) string, in inputs) (func(context.Context) error, func(), error) {
	var config textencoder.Config
	if err := serve.Load(getenv, &config); err != nil {
		return nil, nil, err
	}
	config.Device, config.GPUPrecision = place.Device, place.GPUPrecision
	s, err := textencoder.New(config)
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context) error {
		_, err := s.EncodeText(ctx, in.texts, false)
		return err
	}, func() { s.Close() }, nil
}

func openVision(encode func(*visionencoder.Service, context.Context, inputs) error) opening {
	return func(_ context.Context, place wire.Settings, getenv func(string) string, in inputs) (func(context.Context) error, func(), error) {
		var config visionencoder.Config
		if err := serve.Load(getenv, &config); err != nil {
			return nil, nil, err
		}
		config.Device, config.GPUPrecision = place.Device, place.GPUPrecision
		s, err := visionencoder.New(config)
		if err != nil {
			return nil, nil, err
		}
		return func(ctx context.Context) error { return encode(s, ctx, in) }, func() { s.Close() }, nil
	}
}

func openAudio(_ context.Context, place wire.Settings, _ func(string) string, in inputs) (func(context.Context) error, func(), error) {
	s, err := audioencoder.New(audioencoder.Config{Device: place.Device, GPUPrecision: place.GPUPrecision})
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context) error {
		_, err := s.EncodeAudio(ctx, in.sounds, false)
		return err
	}, func() { s.Close() }, nil
}

// parts starts all models and returns the pipeline of them.
func parts(place wire.Settings, getenv func(string) string) (*pipeline.Pipeline, *fusion.Service, func(), error) {
	var config fusion.Config
	if err := serve.Load(getenv, &config); err != nil {
		return nil, nil, nil, err
	}
	m, closeAll, err := models(place.Device, config)
	if err != nil {
		return nil, nil, nil, err
	}
	service := m.Fuser.(*fusion.Service)
	return &pipeline.Pipeline{Text: m.Text, Vision: m.Vision, Radiographs: m.Radiographs, Audio: m.Audio, Fusion: service}, service, closeAll, nil
}

// openFusion puts a question, or without a text asks for the findings.
func openFusion(ctx context.Context, place wire.Settings, getenv func(string) string, in inputs) (func(context.Context) error, func(), error) {
	p, service, closeAll, err := parts(place, getenv)
	if err != nil {
		return nil, nil, err
	}
	task := analysis.Question
	if len(in.texts) == 0 {
		task = analysis.Report
	}
	asked := &fusions{Fuser: service}
	p.Fusion = asked
	if _, err := p.Analyze(ctx, in.request(task)); err != nil {
		closeAll()
		return nil, nil, err
	}
	return func(ctx context.Context) error {
		_, err := analysis.FuseOne(ctx, service, asked.first)
		return err
	}, closeAll, nil
}

// fusions remembers the first request; those after it ask what the answer relies on.
type fusions struct {
	analysis.Fuser
	first *analysis.FuseRequest
}

// Fuse implements analysis.Fuser.
func (f *fusions) Fuse(ctx context.Context, requests []*analysis.FuseRequest) ([]*analysis.Result, error) {
	if f.first == nil {
		f.first = requests[0]
	}
	return f.Fuser.Fuse(ctx, requests)
}

// openWriter writes all sentences of the report on a picture.
func openWriter(ctx context.Context, place wire.Settings, getenv func(string) string, in inputs) (func(context.Context) error, func(), error) {
	p, service, closeAll, err := parts(place, getenv)
	if err != nil {
		return nil, nil, err
	}
	asked := &sentences{SentenceWriter: service.Writer()}
	p.Writer = asked
	if _, err := p.Analyze(ctx, in.request(analysis.Report)); err != nil {
		closeAll()
		return nil, nil, err
	}
	if len(asked.requests) == 0 {
		closeAll()
		return nil, nil, errors.New("nothing is written of these inputs; a report needs a picture")
	}
	return func(ctx context.Context) error {
		for _, r := range asked.requests {
			if _, err := asked.SentenceWriter.WriteSentence(ctx, r); err != nil {
				return err
			}
		}
		return nil
	}, closeAll, nil
}

// sentences remembers what is to be written.
type sentences struct {
	analysis.SentenceWriter
	requests []*analysis.SentenceRequest
}

// WriteSentence implements analysis.SentenceWriter.
func (s *sentences) WriteSentence(ctx context.Context, r *analysis.SentenceRequest) (*analysis.Drafts, error) {
	s.requests = append(s.requests, r)
	return s.SentenceWriter.WriteSentence(ctx, r)
}

// modelProfile is what the layers of a model cost in one pass, the mean of all passes.
type modelProfile struct {
	Model   string  `json:"model"`
	Passes  int     `json:"passes"`
	Seconds float64 `json:"seconds"`
	// Peak is what a product of fp32 matrices reaches on all processors, or on the CUDA device, in floating-point operations a
	// second.
	Peak   float64        `json:"peak_flops"`
	Layers []profileLayer `json:"layers"`
	// Elsewhere is what no layer took: decoding, copying, waiting.
	Elsewhere float64 `json:"elsewhere_seconds"`
}

// profileLayer is a layer in one pass.
type profileLayer struct {
	Name         string  `json:"name,omitempty"` // of its weights
	Kernel       string  `json:"kernel"`
	Calls        float64 `json:"calls"`
	Seconds      float64 `json:"seconds"`
	MultiplyAdds float64 `json:"multiply_adds"`
	Share        float64 `json:"share"`      // of the pass
	OfPeak       float64 `json:"peak_share"` // of the operations that the peak would have done meanwhile
}

// profileFor is how long passes are repeated.
const profileFor = 2 * time.Second

// profiled runs the model once to warm it, and then for a while.
func profiled(ctx context.Context, open opening, place wire.Settings, getenv func(string) string, in inputs) (*modelProfile, error) {
	recording := profile.Start() // before the weights get their names
	defer recording.Stop()
	call, closeIt, err := open(ctx, place, getenv, in)
	if err != nil {
		return nil, err
	}
	defer closeIt()
	if err := call(ctx); err != nil {
		return nil, err
	}
	recording.Reset()
	p := &modelProfile{}
	start := time.Now()
	for p.Passes == 0 || time.Since(start) < profileFor {
		if err := call(ctx); err != nil {
			return nil, err
		}
		p.Passes++
	}
	p.Seconds = time.Since(start).Seconds() / float64(p.Passes)
	for _, l := range recording.Layers() {
		n := float64(p.Passes)
		p.Layers = append(p.Layers, profileLayer{
			Name: l.Name, Kernel: l.Kernel, Calls: float64(l.Calls) / n, Seconds: l.Seconds / n, MultiplyAdds: l.MultiplyAdds / n,
		})
	}
	return p, nil
}

// finish computes the shares.
func (p *modelProfile) finish(model string, peak float64) {
	p.Model, p.Peak, p.Elsewhere = model, peak, p.Seconds
	for i := range p.Layers {
		l := &p.Layers[i]
		l.Share, l.OfPeak = l.Seconds/p.Seconds, 2*l.MultiplyAdds/l.Seconds/peak
		p.Elsewhere -= l.Seconds
	}
	p.Elsewhere = max(0, p.Elsewhere) // layers may have run side by side
}

// table writes the layers, the costliest first.
func (p *modelProfile) table(w io.Writer) error {
	fmt.Fprintf(w, "%s: %.2f ms a pass, the mean of %d; fp32 products of matrices reach %.0f GFLOP/s\n", p.Model, 1000*p.Seconds, p.Passes, p.Peak/1e9)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "ms\tshare\tcalls\tMMAC\tof peak\t  layer")
	row := func(seconds float64, calls string, work, ofPeak float64, name string) {
		mmac, share := "", ""
		if work > 0 {
			mmac, share = fmt.Sprintf("%.3f", work/1e6), fmt.Sprintf("%.1f %%", 100*ofPeak)
		}
		fmt.Fprintf(t, "%.3f\t%.1f %%\t%s\t%s\t%s\t  %s\n", 1000*seconds, 100*seconds/p.Seconds, calls, mmac, share, name)
	}
	var seconds, work float64
	for _, l := range p.Layers {
		row(l.Seconds, fmt.Sprintf("%.4g", l.Calls), l.MultiplyAdds, l.OfPeak, strings.TrimSpace(l.Kernel+" "+l.Name))
		seconds, work = seconds+l.Seconds, work+l.MultiplyAdds
	}
	row(seconds, "", work, 2*work/seconds/p.Peak, "all layers")
	row(p.Elsewhere, "", 0, 0, "elsewhere: decoding, copying, waiting")
	return t.Flush()
}
