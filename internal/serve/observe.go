package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/felixge/httpsnoop"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/trace"
)

// Observer gives every request a trace, a log line and a place in the metrics, and turns a panic into an
// answer.
type Observer struct {
	// Registry holds the process's metrics; others may be registered with it.
	Registry *prometheus.Registry
	// Tracer makes the spans; spans made elsewhere belong to the same traces if they use it.
	Tracer *trace.TracerProvider

	service  string
	log      *slog.Logger
	failed   http.HandlerFunc
	inFlight prometheus.Gauge
	duration *prometheus.HistogramVec
}

// NewObserver returns the observer of the named service. failed writes the answer to a request whose handler
// panicked, in the service's own error format, with status 500.
func NewObserver(service string, log *slog.Logger, failed http.HandlerFunc) *Observer {
	o := &Observer{
		Registry: prometheus.NewRegistry(),
		Tracer:   trace.NewTracerProvider(),
		service:  service,
		log:      log,
		failed:   failed,
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "consilium_http_requests_in_flight",
			Help: "Requests that are being handled now.",
		}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "consilium_http_request_duration_seconds",
			Help:    "Time from a request's header to the end of its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"method", "route", "code"}),
	}
	o.Registry.MustRegister(o.inFlight, o.duration,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return o
}

// Metrics serves the metrics in Prometheus's text format.
func (o *Observer) Metrics() http.Handler {
	return promhttp.HandlerFor(o.Registry, promhttp.HandlerOpts{})
}

// Wrap returns next under observation. The trace of a W3C traceparent header is continued. The route label is
// the pattern that next leaves in the request: wrap an http.ServeMux, or install Wrap with chi's Router.Use.
func (o *Observer) Wrap(next http.Handler) http.Handler {
	return otelhttp.NewHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.observe(w, r, next)
	}), o.service, otelhttp.WithTracerProvider(o.Tracer), otelhttp.WithPropagators(propagation.TraceContext{}))
}

func (o *Observer) observe(w http.ResponseWriter, r *http.Request, next http.Handler) {
	start := time.Now()
	o.inFlight.Inc()
	status, written, aborted := 0, int64(0), true
	observed := httpsnoop.Wrap(w, httpsnoop.Hooks{
		WriteHeader: func(write httpsnoop.WriteHeaderFunc) httpsnoop.WriteHeaderFunc {
			return func(code int) {
				write(code)
				if status == 0 && (code >= 200 || code == http.StatusSwitchingProtocols) { // 1xx is followed by the real one
					status = code
				}
			}
		},
		Write: func(write httpsnoop.WriteFunc) httpsnoop.WriteFunc {
			return func(p []byte) (int, error) {
				if status == 0 {
					status = http.StatusOK
				}
				n, err := write(p)
				written += int64(n)
				return n, err
			}
		},
		ReadFrom: func(read httpsnoop.ReadFromFunc) httpsnoop.ReadFromFunc {
			return func(src io.Reader) (int64, error) {
				if status == 0 {
					status = http.StatusOK
				}
				n, err := read(src)
				written += n
				return n, err
			}
		},
	})
	defer func() {
		o.inFlight.Dec()
		if status == 0 {
			status = http.StatusOK
		}
		code, elapsed := strconv.Itoa(status), time.Since(start)
		if aborted {
			code = "aborted"
		}
		o.duration.WithLabelValues(methodOf(r), routeOf(r), code).Observe(elapsed.Seconds())
		o.log.LogAttrs(r.Context(), levelOf(r, status, aborted), "request",
			slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.String("code", code),
			slog.Int64("bytes", written), slog.Float64("seconds", elapsed.Seconds()))
	}()
	if o.handle(observed, r, next) {
		if status != 0 {
			// The answer's beginning has gone out: only breaking the connection tells the client that the rest is missing.
			panic(http.ErrAbortHandler)
		}
		o.failed(observed, r)
	}
	aborted = false
}

// handle calls next and reports whether it panicked; the panic goes to the log.
func (o *Observer) handle(w http.ResponseWriter, r *http.Request, next http.Handler) (panicked bool) {
	defer func() {
		reason := recover()
		if err, ok := reason.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(http.ErrAbortHandler)
		}
		if reason != nil {
			panicked = true
			o.log.ErrorContext(r.Context(), "handler panicked", "method", r.Method, "path", r.URL.Path,
				"reason", fmt.Sprint(reason), "stack", string(debug.Stack()))
		}
	}()
	next.ServeHTTP(w, r)
	return false
}

// methodOf returns the method as a label; whoever invents methods shall not invent time series.
func methodOf(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return r.Method
	}
	return "other"
}

func routeOf(r *http.Request) string {
	if r.Pattern == "" {
		return "unmatched"
	}
	if _, path, ok := strings.Cut(r.Pattern, " "); ok { // http.ServeMux's patterns begin with the method
		return path
	}
	return r.Pattern
}

// levelOf keeps the requests of probes and scrapers, a few every second for ever, out of the usual log.
func levelOf(r *http.Request, status int, aborted bool) slog.Level {
	switch {
	case status >= 500 || aborted:
		return slog.LevelWarn
	case status < 400:
		switch r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:] {
		case "live", "ready", "healthz", "readyz", "metrics":
			return slog.LevelDebug
		}
	}
	return slog.LevelInfo
}

// Close ends the tracer.
func (o *Observer) Close() error {
	if err := o.Tracer.Shutdown(context.Background()); err != nil {
		return fmt.Errorf("stop tracing: %w", err)
	}
	return nil
}
