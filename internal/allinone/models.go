package allinone

import (
	"context"
	"net/http"

	"consilium/internal/wire"
	audioencoder "consilium/services/audio-encoder"
	"consilium/services/fusion"
	textencoder "consilium/services/text-encoder"
	visionencoder "consilium/services/vision-encoder"
)

// A model is one of the four services, run as its program runs it.
type model struct {
	name string
	// setting is where the gateway reads the service's address.
	setting string
	run     func(ctx context.Context, p wire.Process) error
}

var models = []model{
	{"text-encoder", "CONSILIUM_TEXT_ENCODER_URL", func(ctx context.Context, p wire.Process) error {
		var config textencoder.Config
		p.Own = &config
		return wire.Run(ctx, p, func(s wire.Settings) (*textencoder.Service, error) {
			config.Device, config.GPUPrecision = s.Device, s.GPUPrecision
			return textencoder.New(config)
		}, func(s *textencoder.Service, info wire.ModelInfo) http.Handler { return wire.NewTextServer(s, info) })
	}},
	{"vision-encoder", "CONSILIUM_VISION_ENCODER_URL", func(ctx context.Context, p wire.Process) error {
		var config visionencoder.Config
		p.Own = &config
		return wire.Run(ctx, p, func(s wire.Settings) (*visionencoder.Service, error) {
			config.Device, config.GPUPrecision = s.Device, s.GPUPrecision
			return visionencoder.New(config)
		}, func(s *visionencoder.Service, info wire.ModelInfo) http.Handler {
			models := wire.Beside(wire.NewVisionServer(s, info), wire.NewRadiographServer(s.Radiographs(), info.Of(s.Radiographs())),
				wire.NewSegmentationServer(s.Segmenter(), info.Of(s.Segmenter())))
			return wire.WithModels(models, s.Models(), info)
		})
	}},
	{"audio-encoder", "CONSILIUM_AUDIO_ENCODER_URL", func(ctx context.Context, p wire.Process) error {
		return wire.Run(ctx, p, func(s wire.Settings) (*audioencoder.Service, error) {
			return audioencoder.New(audioencoder.Config{Device: s.Device, GPUPrecision: s.GPUPrecision})
		}, func(s *audioencoder.Service, info wire.ModelInfo) http.Handler { return wire.NewAudioServer(s, info) })
	}},
	{"fusion", "CONSILIUM_FUSION_URL", func(ctx context.Context, p wire.Process) error {
		var config fusion.Config
		p.Own = &config
		return wire.Run(ctx, p, func(s wire.Settings) (*fusion.Service, error) {
			config.Device = s.Device
			return fusion.New(config)
		}, func(s *fusion.Service, info wire.ModelInfo) http.Handler {
			return wire.Beside(wire.NewFusionServer(s, info), wire.NewWriterServer(s.Writer(), info.Of(s.Writer())),
				wire.NewAlignServer(s.Aligner(), info.Of(s.Aligner())))
		})
	}},
}

// startModel starts one service on a free port of the loopback interface.
func (s *Stack) startModel(ctx context.Context, m model) error {
	defer s.step(m.name)()
	running, err := launch(ctx, m.name, func(ctx context.Context, stdout *addressLine) error {
		return m.run(ctx, wire.Process{
			Name: m.name, Listen: anyPort, Stdout: stdout, Stderr: s.log,
			Getenv: s.with(map[string]string{"CONSILIUM_LISTEN": anyPort}),
		})
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.models[m.name] = running
	s.mu.Unlock()
	s.watch(m.name, running.done)
	return nil
}

const anyPort = "127.0.0.1:0"

// with returns the settings of one part: what its place in the platform says, else what the user said.
func (s *Stack) with(own map[string]string) func(string) string {
	return func(name string) string {
		if value, ok := own[name]; ok {
			return value
		}
		return s.getenv(name)
	}
}
