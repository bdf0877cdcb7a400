package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/felixge/httpsnoop"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/semaphore"

	"consilium"
	"consilium/gateway/api"
	"consilium/internal/analysis"
	"consilium/internal/cache"
	"consilium/internal/jobs"
	"consilium/internal/knowledge"
	"consilium/internal/media"
	"consilium/internal/pipeline"
	"consilium/internal/serve"
)

// Deps is what the gateway stands on, and the only difference between production and one machine.
type Deps struct {
	Store analysis.Store
	// Reports keeps what people do with the reports of Store.
	Reports analysis.ReportStore
	// Instances keeps what came as DICOM beside the studies of Store.
	Instances analysis.InstanceStore
	// DICOMSecret maps the UIDs of DICOM; nil stores DICOM as it comes, with the patient's identity.
	DICOMSecret []byte
	// CursorSecret seals the cursors of lists; processes that share it take each other's.
	CursorSecret []byte
	// Key returns the key that a request sent, nil if it is none; nil where nobody needs a key and there is one tenant.
	Key func(ctx context.Context, secret string) (*analysis.Key, error)
	// Exporter gives a tenant everything that is stored of it.
	Exporter analysis.Exporter
	// Space is where studies are searched by what they hold.
	Space *Space
	// Forget makes the cache forget what was deleted; nil where nothing is remembered.
	Forget func(ctx context.Context) error
	// Scratch makes a file that is gone when it is closed.
	Scratch  func() (*os.File, error)
	Analyzer analysis.Analyzer
	// Answers remembers what Analyzer answered; nil remembers nothing.
	Answers  *cache.Answers
	Embedder Embedder
	// Judge holds and runs the models that users bring.
	Judge *pipeline.Judge
	// Knowledge is the knowledge graph.
	Knowledge *knowledge.Graph
	Jobs      jobs.Store
	// Parts are what readiness and the list of models are made of.
	Parts  []Part
	Limits Limits
	// ReviewBelow is the confidence below which an answer needs review if the request says nothing else.
	ReviewBelow float64
	// Bands sort the findings of a report by their probability.
	Bands analysis.Bands
	Log   *slog.Logger
	// Observer gives each request a trace, a log line and metrics; nil for the one that NewObserver makes.
	Observer *serve.Observer
}

// Embedder turns inputs of any modality into features, in order.
type Embedder interface {
	Embed(ctx context.Context, inputs []pipeline.Input) ([]*analysis.Features, error)
}

// Part is a process that the gateway needs.
type Part struct {
	Name string
	// Role is text, image, radiograph, audio or fusion for what holds a model, "" for what does not.
	Role string
	// Licence is that of the model.
	Licence string
	// Required says that no analysis is possible without it.
	Required bool
	Ready    func(ctx context.Context) error
	// Digest returns the digest of the part's model; nil if it has none.
	Digest func(ctx context.Context) (string, error)
	// Calibration returns that of the part's model, nil in float32; nil for a model that knows no other precision.
	Calibration func(ctx context.Context) (*analysis.Calibration, error)
}

// server implements the operations of openapi.yaml.
type server struct {
	Deps
	spec     *openapi3.T
	routes   chi.Router
	inFlight *semaphore.Weighted
	// modelUploads holds a token for each model that is being brought.
	modelUploads chan struct{}
	imports      chan struct{}       // holds a token for each import
	jobStreams   chan struct{}       // a token for each stream of events
	exports      chan struct{}       // and for each export
	drawing      *semaphore.Weighted // memory of pictures that are decoded to be drawn on
	docs         *page
	recent       cache.Recent[[]analysis.Artefact] // what studies hold, by tenant and study
}

var _ api.StrictServerInterface = (*server)(nil)

// New returns the handler of every route.
func New(deps Deps) (http.Handler, error) {
	if len(deps.CursorSecret) == 0 {
		return nil, errors.New("seal the cursors of lists: there is no secret")
	}
	if deps.Observer == nil {
		deps.Observer = NewObserver(deps.Log)
	}
	spec, err := openapi3.NewLoader().LoadFromData(consilium.OpenAPI)
	if err != nil {
		return nil, fmt.Errorf("read openapi.yaml: %w", err)
	}
	docs, err := newPage(spec)
	if err != nil {
		return nil, fmt.Errorf("render openapi.yaml: %w", err)
	}
	s := &server{Deps: deps, spec: spec, routes: chi.NewRouter(), inFlight: semaphore.NewWeighted(deps.Limits.InFlightBytes),
		drawing: semaphore.NewWeighted(media.MaxImageMemory), docs: docs, modelUploads: make(chan struct{}, maxModelUploads), imports: make(chan struct{}, maxImports), exports: make(chan struct{}, maxExports),
		jobStreams: make(chan struct{}, maxJobStreams)}

	r := s.routes
	r.Use(s.Observer.Wrap, s.prepare, middleware.GetHead)
	r.NotFound(s.unknownRoute)
	r.MethodNotAllowed(s.unknownMethod)

	op := api.ServerInterfaceWrapper{
		Handler: api.NewStrictHandlerWithOptions(s, nil, api.StrictHTTPServerOptions{
			RequestErrorHandlerFunc: s.unreadable, ResponseErrorHandlerFunc: s.fail,
		}),
		HandlerMiddlewares: []api.MiddlewareFunc{s.check},
		ErrorHandlerFunc:   s.badParameter,
	}
	r.Post("/v1/studies", op.CreateStudy)
	r.Get("/v1/studies", op.ListStudies)
	r.Post("/v1/studies:import", op.ImportStudies)
	r.Post("/v1/studies:imported", op.FindImported)
	r.Get("/v1/studies/{study_id}", op.GetStudy)
	r.Delete("/v1/studies/{study_id}", op.DeleteStudy)
	r.Get("/v1/studies/{study_id}/artefacts/{artefact_id}", op.GetArtefact)
	r.Post("/v1/studies/{study_id}/questions", s.deferrable(op.AskStudy))
	r.Get("/v1/studies/{study_id}/questions", op.ListAnswers)
	s.reports(r, &op)
	r.Get("/v1/reports/{report_id}/masks.png", op.GetReportMasks)
	r.Get("/v1/reports/{report_id}/attention.png", op.GetReportAttention)
	r.Get("/v1/reports/{report_id}/findings/{label}/activation.png", op.GetFindingActivation)
	r.Post("/v1/vqa", op.Vqa)
	r.Post("/v1/embeddings", op.CreateEmbeddings)
	r.Post("/v1/jobs", op.CreateJob)
	r.Get("/v1/jobs", op.ListJobs)
	r.Get("/v1/jobs/{job_id}", op.GetJob)
	r.Get("/v1/jobs/{job_id}/items", op.ListJobItems)
	r.Get("/v1/jobs/{job_id}/results", s.negotiated(op.GetJobResults, resultForms))
	r.Get("/v1/jobs/{job_id}/events", op.StreamJobEvents)
	r.Post("/v1/jobs/{job_id}/pause", op.PauseJob)
	r.Post("/v1/jobs/{job_id}/resume", op.ResumeJob)
	r.Post("/v1/jobs/{job_id}/cancel", op.CancelJob)
	r.Post("/v1/jobs/{job_id}/retry", op.RetryJob)
	s.dicomWeb(r)
	r.Get("/v1/models", op.ListModels)
	r.Post("/v1/models", op.CreateModel)
	r.Get("/v1/models/{model}", op.GetModel)
	r.Delete("/v1/models/{model}", op.DeleteModel)
	r.Get("/v1/models/{model}/versions/{version}", op.GetModelVersion)
	r.Delete("/v1/models/{model}/versions/{version}", op.DeleteModelVersion)
	r.Post("/v1/models/{model}/versions/{version}/load", op.LoadModelVersion)
	r.Post("/v1/models/{model}/versions/{version}/unload", op.UnloadModelVersion)
	r.Get("/v1/knowledge/terms", op.FindTerms)
	r.Get("/v1/knowledge/terms/{term_id}", op.GetTerm)
	r.Get("/v1/knowledge/terms/{term_id}/neighbours", op.GetNeighbours)
	r.Get("/v1/knowledge/terms/{term_id}/ancestors", op.GetAncestors)
	r.Get("/v1/knowledge/terms/{term_id}/descendants", op.GetDescendants)
	r.Get("/v1/knowledge/paths", op.FindPath)
	r.Get("/v1/knowledge/facts", op.ListFacts)
	r.Post("/v1/knowledge/facts", op.AddFact)
	r.Get("/v1/knowledge/facts/{fact_id}", op.GetFact)
	r.Delete("/v1/knowledge/facts/{fact_id}", op.DeleteFact)
	r.Get("/v1/knowledge/versions", op.ListGraphVersions)
	r.Post("/v1/search", op.Search)
	r.Get("/v1/studies/{study_id}/similar", op.FindSimilar)
	r.Get("/v1/export", op.ExportAll)
	r.Post("/v1/restore", op.RestoreExport)
	r.Get("/v1/tenant", op.GetTenant)
	r.Delete("/v1/tenant", op.DeleteTenant)
	r.Get("/v1/limits", op.GetLimits)
	r.Get("/healthz", op.GetHealth)
	r.Get("/readyz", op.GetReadiness)
	r.Get("/metrics", op.GetMetrics)
	r.Get("/openapi.yaml", op.GetOpenAPI)
	r.Get("/docs", op.GetDocs)
	return r, nil
}

// NewObserver returns the observer of a gateway: a panic becomes a problem.
func NewObserver(log *slog.Logger) *serve.Observer {
	return serve.NewObserver("gateway", log, func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, r, errors.New("the handler panicked"))
	})
}

// errTimeout is the cause of the end of a request that took too long.
var errTimeout = errors.New("the request's time is over")

// prepare gives each request its tenant, its time limit and its clocks, and each answer the headers that all
// answers have.
func (s *server) prepare(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeoutCause(r.Context(), s.Limits.RequestTime, errTimeout)
		defer cancel()
		ctx, timing := pipeline.WithTiming(ctx)
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Trace-Id", traceID(ctx))
		h.Set("Link", `</openapi.yaml>; rel="describedby"; type="application/openapi+yaml"`)
		w = httpsnoop.Wrap(w, httpsnoop.Hooks{WriteHeader: func(write httpsnoop.WriteHeaderFunc) httpsnoop.WriteHeaderFunc {
			return func(code int) {
				if stages := timing.Stages(); len(stages) > 0 {
					h.Set("Server-Timing", serverTiming(stages))
				}
				write(code)
			}
		}})
		prepared := r.WithContext(ctx)
		defer hideUIDs(prepared) // whose URL is that of r
		ctx, err := s.withTenant(prepared)
		if err != nil {
			s.fail(w, prepared, err)
			return
		}
		prepared = prepared.WithContext(ctx)
		next.ServeHTTP(w, prepared)
		r.Pattern = prepared.Pattern // the observer outside names the route by it
	})
}

// serverTiming writes stages as the header of W3C Server Timing does, in milliseconds.
func serverTiming(stages []analysis.Stage) string {
	metrics := make([]string, len(stages))
	for i, stage := range stages {
		metrics[i] = fmt.Sprintf("%s;dur=%.3f", stage.Name, stage.Seconds*float64(time.Second/time.Millisecond))
	}
	return strings.Join(metrics, ", ")
}

// traceID returns the W3C trace id of the request, which Observer.Wrap always sets.
func traceID(ctx context.Context) string {
	return trace.SpanContextFromContext(ctx).TraceID().String()
}
