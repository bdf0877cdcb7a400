package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
)

var quiet = slog.New(slog.DiscardHandler)

func config() Config {
	return Config{Listen: "127.0.0.1:0", ReadTimeout: time.Minute, WriteTimeout: time.Minute, DrainTimeout: time.Minute}
}

// run starts Run and returns the server's address, the order to stop, and what Run returned.
func run(t *testing.T, config Config, handler http.Handler) (address string, stop context.CancelFunc, done <-chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	addresses, ended := make(chan net.Addr, 1), make(chan error, 1)
	go func() { ended <- Run(ctx, config, handler, quiet, func(a net.Addr) { addresses <- a }) }()
	t.Cleanup(cancel)
	select {
	case a := <-addresses:
		return a.String(), cancel, ended
	case err := <-ended:
		t.Fatalf("Run ended at once: %v", err)
	}
	return "", nil, nil
}

// fetch returns the status and the body, or the error in its place.
func fetch(t *testing.T, url string, header ...string) (int, string) {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return 0, err.Error()
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return response.StatusCode, err.Error()
	}
	return response.StatusCode, string(body)
}

func TestRunFinishesRequestsInFlight(t *testing.T) {
	started, proceed := make(chan struct{}), make(chan struct{})
	address, stop, done := run(t, config(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(started)
		<-proceed
		fmt.Fprint(w, "finished ", r.Context().Err())
	}))
	answer := make(chan string, 1)
	go func() { _, body := fetch(t, "http://"+address); answer <- body }()
	<-started
	stop()
	for { // until the listener is closed
		connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
		if err != nil {
			break
		}
		connection.Close()
	}
	close(proceed)
	if got := <-answer; got != "finished <nil>" {
		t.Errorf("the request in flight got %q", got)
	}
	if err := <-done; err != nil {
		t.Errorf("Run returned %v", err)
	}
}

func TestRunGivesUpDraining(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	impatient := config()
	impatient.DrainTimeout = time.Millisecond
	address, stop, done := run(t, impatient, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(started); <-release }))
	go fetch(t, "http://"+address)
	<-started
	stop()
	if err := <-done; err == nil || !strings.Contains(err.Error(), "drain requests within 1ms") {
		t.Errorf("Run returned %v, want an error about draining", err)
	}
}

func TestRunNamesTheSettingOfABadAddress(t *testing.T) {
	taken := config()
	address, _, _ := run(t, taken, http.NotFoundHandler())
	taken.Listen = address
	if err := Run(t.Context(), taken, http.NotFoundHandler(), quiet, nil); err == nil || !strings.Contains(err.Error(), "CONSILIUM_LISTEN") {
		t.Errorf("Run on a taken port returned %v, want an error that names CONSILIUM_LISTEN", err)
	}
}

// A client that never finishes its request is hung up on.
func TestSlowClientsAreClosed(t *testing.T) {
	hasty := config()
	hasty.ReadTimeout = 10 * time.Millisecond
	address, _, _ := run(t, hasty, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	for name, beginning := range map[string]string{"header": "GET / HT", "body": "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12"} {
		connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		if _, err := io.WriteString(connection, beginning); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(connection); err != nil { // ends only when the server hangs up
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHugeHeadersAreRefused(t *testing.T) {
	address, _, _ := run(t, config(), http.NotFoundHandler())
	if status, _ := fetch(t, "http://"+address, "X-Long", strings.Repeat("x", 2*maxHeaderBytes)); status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("got status %d, want 431", status)
	}
}

// lines is a log that is read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// observed serves routes of an http.ServeMux under observation.
func observed(t *testing.T) (url string, log *lines, o *Observer) {
	t.Helper()
	log = new(lines)
	logger := NewLogger(log, Config{LogLevel: slog.LevelDebug, LogFormat: "json"}, "test")
	o = NewObserver("test", logger, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "we are sorry", http.StatusInternalServerError)
	})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /things/{id}", func(_ http.ResponseWriter, r *http.Request) { logger.InfoContext(r.Context(), "handling") })
	mux.HandleFunc("GET /panic", func(http.ResponseWriter, *http.Request) { panic("secret reason") })
	mux.HandleFunc("GET /half", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", 1<<16))
		panic("in the middle")
	})
	mux.HandleFunc("GET /stream", func(w http.ResponseWriter, _ *http.Request) {
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Errorf("an observed answer cannot be flushed: %v", err)
		}
	})
	mux.Handle("GET /metrics", o.Metrics())
	address, stop, done := run(t, config(), o.Wrap(mux))
	t.Cleanup(func() {
		stop()
		<-done
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	})
	return "http://" + address, log, o
}

func TestTraceReachesTheLog(t *testing.T) {
	url, log, _ := observed(t)
	const trace = "0102030405060708090a0b0c0d0e0f10"
	fetch(t, url+"/things/7", "traceparent", "00-"+trace+"-0102030405060708-01")
	fetch(t, url+"/things/8") // gets a trace of its own
	ids := map[string]bool{}
	for line := range strings.Lines(log.String()) {
		var record struct {
			Msg     string
			TraceID string `json:"trace_id"`
		}
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		if record.Msg == "handling" {
			ids[record.TraceID] = true
		}
	}
	if len(ids) != 2 || !ids[trace] || ids[""] || ids[strings.Repeat("0", 32)] {
		t.Errorf("trace ids are %v, want %s and another one", ids, trace)
	}
}

func TestPanicsAreAnswered(t *testing.T) {
	url, log, _ := observed(t)
	if status, body := fetch(t, url+"/panic"); status != 500 || body != "we are sorry\n" {
		t.Errorf("got %d %q, want 500 and the service's own words", status, body)
	}
	if !strings.Contains(log.String(), "secret reason") || !strings.Contains(log.String(), "run_test.go") {
		t.Errorf("the log lacks the panic's reason or stack:\n%s", log)
	}
	if _, body := fetch(t, url+"/half"); !strings.Contains(body, "EOF") {
		t.Errorf("an answer that broke off looks whole: %.80q", body)
	}
	if status, _ := fetch(t, url+"/things/1"); status != 200 {
		t.Errorf("after a panic got status %d, want 200", status)
	}
}

func TestMetrics(t *testing.T) {
	url, _, _ := observed(t)
	for _, path := range []string{"/things/1", "/things/2", "/panic", "/half", "/nowhere", "/stream"} {
		fetch(t, url+path)
	}
	_, metrics := fetch(t, url+"/metrics")
	for _, want := range []string{
		`consilium_http_request_duration_seconds_count{code="200",method="GET",route="/things/{id}"} 2`,
		`consilium_http_request_duration_seconds_count{code="500",method="GET",route="/panic"} 1`,
		`consilium_http_request_duration_seconds_count{code="aborted",method="GET",route="/half"} 1`,
		`consilium_http_request_duration_seconds_count{code="404",method="GET",route="unmatched"} 1`,
		`consilium_http_request_duration_seconds_count{code="200",method="GET",route="/stream"} 1`,
		"consilium_http_requests_in_flight 1",
		"go_goroutines", "process_resident_memory_bytes",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
}

// Installed with Use, the observer sees chi's patterns.
func TestRoutesOfChi(t *testing.T) {
	o := NewObserver("test", quiet, nil)
	router := chi.NewRouter()
	router.Use(o.Wrap)
	router.Get("/v1/studies/{id}", func(http.ResponseWriter, *http.Request) {})
	router.Method(http.MethodGet, "/metrics", o.Metrics())
	address, _, _ := run(t, config(), router)
	fetch(t, "http://"+address+"/v1/studies/7")
	if _, metrics := fetch(t, "http://"+address+"/metrics"); !strings.Contains(metrics, `route="/v1/studies/{id}"`) {
		t.Errorf("the metrics lack chi's route:\n%s", metrics)
	}
}
