package gateway

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"

	"github.com/redis/go-redis/v9"

	"consilium/internal/analysis"
	"consilium/internal/blob"
	"consilium/internal/cache"
	"consilium/internal/pipeline"
	"consilium/internal/postgres"
	"consilium/internal/serve"
	"consilium/internal/wire"
)

// Run is the body of the program: it reads the settings, migrates the database, and serves until ctx ends. The
// address goes to stdout as one line, http://host:port, when connections are accepted; the log goes to stderr. With the argument
// key it does something with keys instead.
func Run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	if len(args) > 0 && args[0] == "key" {
		return runKey(ctx, args[1:], getenv, stdout, stderr)
	}
	getenv, err := withFlags(args, getenv, stderr)
	if err != nil {
		return err
	}
	config, err := LoadConfig(getenv)
	if err != nil {
		return err
	}
	log := serve.NewLogger(stderr, config.Config, "gateway")
	observer := NewObserver(log)
	deps, closeDeps, err := Build(ctx, config, log, observer)
	if err != nil {
		return err
	}
	defer closeDeps()
	handler, err := New(deps)
	if err != nil {
		return err
	}
	err = serve.Run(ctx, config.Config, handler, log, func(address net.Addr) {
		fmt.Fprintf(stdout, "http://%s\n", address)
	})
	return errors.Join(err, observer.Close())
}

// withFlags returns the settings with those that arguments give in their place.
func withFlags(args []string, getenv func(string) string, stderr io.Writer) (func(string) string, error) {
	flags := flag.NewFlagSet("gateway", flag.ContinueOnError)
	flags.SetOutput(stderr)
	workers := flags.String("workers", "", "in place of "+serve.Prefix+"WORKERS: how many items of jobs to work on at once, 0 for none")
	if err := flags.Parse(args); err != nil {
		return nil, fmt.Errorf("read the arguments: %w", err)
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("want no arguments but flags, found %q: the settings are environment variables", flags.Args())
	}
	return func(name string) string {
		if name == serve.Prefix+"WORKERS" && *workers != "" {
			return *workers
		}
		return getenv(name)
	}, nil
}

// Build connects a gateway to the servers that config names and brings the database up to date. The models may
// come up later; GET /readyz tells.
func Build(ctx context.Context, config Config, log *slog.Logger, observer *serve.Observer) (deps Deps, closeDeps func(), err error) {
	var closers []func()
	closeAll := func() {
		for i := range closers {
			closers[len(closers)-1-i]()
		}
	}
	defer func() {
		if err != nil {
			closeAll()
		}
	}()
	deps = Deps{Limits: DefaultLimits, ReviewBelow: config.ReviewBelow, Bands: config.FindingBands, Log: log, Observer: observer}
	deps.Limits.RequestTime = config.RequestTimeout

	if err := postgres.Migrate(ctx, config.PostgresURL); err != nil {
		return deps, nil, err
	}
	blobs, err := blob.Open(config.BlobDir, max(deps.Limits.ImageBytes, deps.Limits.AudioBytes))
	if err != nil {
		return deps, nil, err
	}
	store, err := postgres.Open(ctx, config.PostgresURL, blobs)
	if err != nil {
		return deps, nil, err
	}
	closers = append(closers, store.Close)
	if err := store.ReclaimAbandoned(ctx); err != nil {
		return deps, nil, err
	}
	deps.Store, deps.Reports, deps.Instances, deps.Jobs, deps.Exporter, deps.Scratch = store, store, store, store, store, blobs.Scratch
	if config.DICOMDeidentify {
		if deps.DICOMSecret, err = store.Secret(ctx, "dicom_uid"); err != nil {
			return deps, nil, err
		}
	}
	if config.APIKeys {
		deps.Key = store.Key
		log.Info("a request needs a key, which names its tenant")
	} else {
		log.Info("no request needs a key: everything is of one tenant", "setting", serve.Prefix+"API_KEYS")
	}
	if deps.CursorSecret, err = store.Secret(ctx, "cursor"); err != nil {
		return deps, nil, err
	}
	deps.Parts = append(deps.Parts, Part{Name: "postgres", Required: true, Ready: store.Ready})

	var client *redis.Client
	if config.RedisURL != "" {
		if client, err = cache.Connect(config.RedisURL); err != nil {
			return deps, nil, fmt.Errorf("%sREDIS_URL: %w", serve.Prefix, err)
		}
		closers = append(closers, func() {
			if err := client.Close(); err != nil {
				log.Warn("close Redis", "error", err.Error())
			}
		})
	}
	memory := cache.New(client, cache.DefaultOptions, log, observer.Registry)
	closers = append(closers, memory.Flush)
	if client != nil {
		deps.Parts = append(deps.Parts, Part{Name: "redis", Ready: memory.Ready})
	}

	forgetter := &Forgetter{Store: store, Cache: memory}
	deps.Forget = forgetter.Forget
	closers = append(closers, inBackground(ctx, func(ctx context.Context) { forgetter.Run(ctx, log) }))

	graph, closeGraph, err := buildKnowledge(ctx, config, store, memory, log)
	if err != nil {
		return deps, nil, err
	}
	closers = append(closers, closeGraph)
	deps.Knowledge = graph
	if config.Neo4jURL != "" {
		deps.Parts = append(deps.Parts, Part{Name: "neo4j", Ready: graph.Ready})
	}

	options := wire.ClientOptions{Timeout: config.RequestTimeout, Transport: wire.NewTransport()}
	text, textErr := wire.NewTextEncoder(config.TextEncoderURL, options)
	vision, visionErr := wire.NewVisionEncoder(config.VisionEncoderURL, options)
	radiographs, radiographErr := wire.NewRadiographEncoder(config.VisionEncoderURL, options)
	audio, audioErr := wire.NewAudioEncoder(config.AudioEncoderURL, options)
	fusion, fusionErr := wire.NewFuser(config.FusionURL, options)
	writer, writerErr := wire.NewWriter(config.FusionURL, options)
	aligner, alignerErr := wire.NewAligner(config.FusionURL, options)
	segmenter, segmenterErr := wire.NewSegmenter(config.VisionEncoderURL, options)
	runner, runnerErr := wire.NewModelRunner(config.VisionEncoderURL, options)
	if err := errors.Join(textErr, visionErr, radiographErr, audioErr, fusionErr, segmenterErr, writerErr, alignerErr, runnerErr); err != nil {
		return deps, nil, err
	}
	deps.Parts = append(deps.Parts,
		Part{Name: "text-encoder", Role: string(analysis.Text), Licence: "Apache-2.0", Required: true, Ready: text.Ready, Digest: text.Digest, Calibration: text.Calibration},
		Part{Name: "vision-encoder", Role: string(analysis.Image), Licence: "Apache-2.0", Ready: vision.Ready, Digest: vision.Digest, Calibration: vision.Calibration},
		Part{Name: "radiograph-encoder", Role: "radiograph", Licence: "Apache-2.0 (training data of the NIH Clinical Center)", Ready: radiographs.Ready, Digest: radiographs.Digest, Calibration: radiographs.Calibration},
		Part{Name: "audio-encoder", Role: string(analysis.Audio), Licence: "CC-BY-SA-4.0 (training data)", Ready: audio.Ready, Digest: audio.Digest},
		Part{Name: "fusion", Role: "fusion", Licence: "CC-BY-SA-4.0 (training data), research only", Required: true, Ready: fusion.Ready, Digest: fusion.Digest},
		Part{Name: "segmentation", Role: "segmentation", Licence: "CC-BY-NC-SA-4.0 (training data), research only", Ready: segmenter.Ready, Digest: segmenter.Digest},
		Part{Name: "report-writer", Role: "writer", Licence: "CC-BY-NC-SA-4.0 (training data), research only", Ready: writer.Ready, Digest: writer.Digest},
	)
	path := &pipeline.Pipeline{
		Text:        memory.TextEncoder(text, text.Digest),
		Vision:      memory.VisionEncoder(vision, vision.Digest),
		Radiographs: memory.VisionEncoder(radiographs, radiographs.Digest),
		Audio:       memory.AudioEncoder(audio, audio.Digest),
		Fusion:      memory.Fuser(fusion, fusion.Digest),
		// Not remembered: a report is written once, and keeps its masks.
		Segmenter: segmenter,
		Writer:    writer,
		// A stalled encoder leaves half of the request's time for the answer without it.
		EncoderTime: config.RequestTimeout / 2,
	}
	deps.Analyzer, deps.Embedder = path, path
	digests := map[analysis.Modality]Digest{analysis.Text: text.Digest, analysis.Image: vision.Digest, analysis.Audio: audio.Digest}
	deps.Answers = memory.Answers(digests, fusion.Digest)
	deps.Judge = &pipeline.Judge{Text: path.Text, Models: store, Runner: runner}
	deps.Space = &Space{
		Vectors: store, Contents: store, Embedder: path, Aligner: aligner, AlignerDigest: aligner.Digest,
		Digests: digests,
	}
	closers = append(closers, inBackground(ctx, func(ctx context.Context) { deps.Space.Run(ctx, log) }))
	if config.Workers > 0 {
		workers, err := store.StartWorkers(ctx, config.PostgresURL, postgres.WorkerOptions{
			Count: config.Workers, ItemTime: config.JobItemTimeout, DrainTime: config.DrainTimeout, Perform: NewPerform(deps), Log: log,
		})
		if err != nil {
			return deps, nil, err
		}
		closers = append(closers, func() {
			if err := workers.Close(); err != nil {
				log.Warn("stop the workers", "error", err.Error())
			}
		})
	}
	return deps, closeAll, nil
}

// inBackground runs f until the function that it returns is called, which waits for its end.
func inBackground(ctx context.Context, f func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}
