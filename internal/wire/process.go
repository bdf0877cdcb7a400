package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"time"

	"consilium/internal/analysis"
	"consilium/internal/serve"
)

// Settings are what a process that serves one model can be told.
type Settings struct {
	serve.Config
	// Device runs the model: cpu, cuda or cuda:N.
	Device string `env:"DEVICE" envDefault:"cpu"`
	// GPUPrecision is what encoders and segmentation compute in on a CUDA device: fp32, bf16 or fp16.
	GPUPrecision string `env:"GPU_PRECISION" envDefault:"fp16"`
}

var (
	deviceName    = regexp.MustCompile(`^(cpu|cuda(:[0-9]{1,2})?)$`)
	precisionName = regexp.MustCompile(`^(fp32|bf16|fp16)$`)
)

// Validate returns every mistake of the settings that parsing cannot see.
func (s *Settings) Validate() error {
	err := s.Config.Validate()
	if !deviceName.MatchString(s.Device) {
		err = errors.Join(err, fmt.Errorf("%sDEVICE: want cpu, cuda or cuda:N, found %q", serve.Prefix, s.Device))
	}
	if !precisionName.MatchString(s.GPUPrecision) {
		err = errors.Join(err, fmt.Errorf("%sGPU_PRECISION: want fp32, bf16 or fp16, found %q", serve.Prefix, s.GPUPrecision))
	}
	return err
}

// Model is an implementation of one of package analysis's interfaces.
type Model interface {
	// Digest returns the digest of the weights.
	Digest() string
	// Probe compares a real forward pass with a stored result.
	Probe(ctx context.Context) error
}

// calibrated is a Model that may compute in fewer bits; nil says that it does not.
type calibrated interface {
	Calibration() *analysis.Calibration
}

// infoOf describes a model.
func infoOf(model Model, log *slog.Logger) ModelInfo {
	info := ModelInfo{Digest: model.Digest(), Probe: model.Probe, Log: log}
	if c, ok := model.(calibrated); ok {
		info.Calibration = c.Calibration()
	}
	return info
}

// Service is a model with its life.
type Service interface {
	Model
	// Close frees the model; calls in progress end first.
	Close() error
}

// Process is a program that serves one model, as its main sees it.
type Process struct {
	Name   string
	Listen string // the address when no setting says otherwise
	Args   []string
	Getenv func(string) string
	Stdout io.Writer // gets the address as one line, for whoever starts the process with port 0
	Stderr io.Writer // gets the log
	// Own points to settings of this program alone, which are read before the model is opened; nil for none.
	Own any
}

// Run is the body of the programs that serve one model: it reads the settings, opens the service, has it pass its
// probe, and serves the handler that goes with it, and /metrics, until ctx ends.
func Run[S Service](ctx context.Context, p Process, open func(Settings) (S, error), handler func(S, ModelInfo) http.Handler) (err error) {
	if len(p.Args) > 0 {
		return fmt.Errorf("want no arguments, found %q: the settings are environment variables", p.Args)
	}
	settings := Settings{Config: serve.Config{Listen: p.Listen}}
	err = serve.Load(p.Getenv, &settings)
	if p.Own != nil {
		err = errors.Join(err, serve.Load(p.Getenv, p.Own))
	}
	if err != nil {
		return err
	}
	log := serve.NewLogger(p.Stderr, settings.Config, p.Name)
	start := time.Now()
	service, err := open(settings)
	if err != nil {
		return fmt.Errorf("open the model: %w", err)
	}
	defer func() {
		if e := service.Close(); e != nil {
			err = errors.Join(err, fmt.Errorf("close the model: %w", e))
		}
	}()
	if err := service.Probe(ctx); err != nil {
		return fmt.Errorf("probe the model: %w", err)
	}
	log.Info("model is ready", "digest", service.Digest(), "device", settings.Device, "seconds", time.Since(start).Seconds())

	observer := serve.NewObserver(p.Name, log, func(w http.ResponseWriter, _ *http.Request) {
		writeFault(w, analysis.Errorf(analysis.Internal, "the %s failed", p.Name))
	})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", observer.Metrics())
	mux.Handle("/", handler(service, infoOf(service, log)))
	err = serve.Run(ctx, settings.Config, observer.Wrap(mux), log, func(address net.Addr) {
		fmt.Fprintf(p.Stdout, "http://%s\n", address)
	})
	return errors.Join(err, observer.Close())
}
