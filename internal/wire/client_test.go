package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"consilium/internal/analysis"
)

// answerOf returns the body and header length of the true answer to one text, after change.
func answerOf(t *testing.T, change func(m *message, outputs []Tensor)) ([]byte, int) {
	t.Helper()
	features, err := reference{}.EncodeText(t.Context(), []string{"x"}, false)
	if err != nil {
		t.Fatal(err)
	}
	outputs, err := packFeatures(&request{}, textContract, features, 1)
	if err != nil {
		t.Fatal(err)
	}
	m := &message{Model: TextModel, Version: referenceDigest}
	all := func(string) bool { return true }
	if m.Outputs, err = headersOf(outputs, all); err != nil {
		t.Fatal(err)
	}
	change(m, outputs)
	parts, headerLength, err := assemble(m, outputs, all)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Join(parts, nil), headerLength
}

// lying is a server that answers every request with the true answer to one text, after change.
func lying(t *testing.T, change func(m *message, outputs []Tensor)) http.HandlerFunc {
	body, headerLength := answerOf(t, change)
	return func(w http.ResponseWriter, _ *http.Request) { writeAnswer(w, [][]byte{body}, headerLength) }
}

// One by one, what an encoder that lies, is broken or is none at all can answer; nothing of it gets through.
func TestBadAnswers(t *testing.T) {
	plain := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	nothing := func(*message, []Tensor) {}
	whole, headerLength := answerOf(t, nothing)
	for name, test := range map[string]struct {
		serve http.HandlerFunc
		code  analysis.Code
	}{
		"the truth":       {lying(t, nothing), ""},
		"NaN":             {lying(t, func(_ *message, o []Tensor) { o[0].Floats[5] = float32(math.NaN()) }), analysis.BadUpstream},
		"infinite tokens": {lying(t, func(_ *message, o []Tensor) { o[1].Floats[5] = float32(math.Inf(1)) }), analysis.BadUpstream},
		"vector too short": {lying(t, func(m *message, o []Tensor) {
			o[0].Floats = o[0].Floats[:383]
			m.Outputs[0].Shape[1], m.Outputs[0].Parameters["binary_data_size"] = 383, 4*383
		}), analysis.BadUpstream},
		"data too short":     {lying(t, func(m *message, _ []Tensor) { m.Outputs[0].Parameters["binary_data_size"] = 4 }), analysis.BadUpstream},
		"length of tokens 0": {lying(t, func(_ *message, o []Tensor) { o[2].Ints[0] = 0 }), analysis.BadUpstream},
		"length past tokens": {lying(t, func(_ *message, o []Tensor) { o[2].Ints[0] = 1 << 40 }), analysis.BadUpstream},
		"two rows": {lying(t, func(m *message, o []Tensor) {
			m.Outputs[2].Shape[0] = 2
			o[2].Ints = []int64{1, 1}
			m.Outputs[2].Parameters["binary_data_size"] = 16
		}), analysis.BadUpstream},
		"notes no JSON":     {lying(t, func(_ *message, o []Tensor) { o[3].Bytes[0] = []byte("{}") }), analysis.BadUpstream},
		"output missing":    {lying(t, func(m *message, _ []Tensor) { m.Outputs = m.Outputs[:3] }), analysis.BadUpstream},
		"other datatype":    {lying(t, func(m *message, _ []Tensor) { m.Outputs[0].Datatype = "FP16" }), analysis.BadUpstream},
		"huge shape":        {lying(t, func(m *message, _ []Tensor) { m.Outputs[1].Shape[1] = 1 << 40 }), analysis.BadUpstream},
		"overflowing shape": {lying(t, func(m *message, _ []Tensor) { m.Outputs[1].Shape[1] = math.MaxInt }), analysis.BadUpstream},
		"other model":       {lying(t, func(m *message, _ []Tensor) { m.Model = "vision" }), analysis.BadUpstream},
		"no version":        {lying(t, func(m *message, _ []Tensor) { m.Version = "" }), analysis.BadUpstream},
		"version to escape": {lying(t, func(m *message, _ []Tensor) { m.Version = "a\nb" }), analysis.BadUpstream},
		"empty":             {plain(200, ""), analysis.BadUpstream},
		"HTML":              {plain(200, "<html>"), analysis.BadUpstream},
		"deep JSON":         {plain(200, strings.Repeat("[", 1e6)), analysis.BadUpstream},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/", http.StatusTemporaryRedirect)
		}, analysis.BadUpstream},
		"plain 404":     {plain(404, "not here"), analysis.BadUpstream},
		"plain 400":     {plain(400, `{"error":"unexpected shape"}`), analysis.InvalidArgument},
		"plain 500":     {plain(500, `{"error":"out of memory"}`), analysis.BadUpstream},
		"plain 503":     {plain(503, `{"error":"loading"}`), analysis.Unavailable},
		"endless error": {plain(500, strings.Repeat("x", 1<<20)), analysis.BadUpstream},
		"half a body": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(headerLengthField, strconv.Itoa(headerLength))
			w.Header().Set("Content-Length", strconv.Itoa(len(whole)))
			_, _ = w.Write(whole[:len(whole)/2])
			panic(http.ErrAbortHandler)
		}, analysis.BadUpstream},
		"10 GB announced": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10737418240")
			w.WriteHeader(200)
		}, analysis.BadUpstream},
		"endless body": {func(w http.ResponseWriter, r *http.Request) {
			for chunk := make([]byte, 1<<20); r.Context().Err() == nil; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}, analysis.BadUpstream},
		"hangs up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, analysis.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			client := textClient(t, start(t, test.serve))
			features, err := client.EncodeText(t.Context(), []string{"x"}, false)
			if analysis.CodeOf(err) != test.code || (features == nil) != (test.code != "") {
				t.Errorf("got %v, %v, want code %q", features, err, test.code)
			}
			var e *analysis.Error
			if errors.As(err, &e) && strings.Contains(e.Message, "127.0.0.1") {
				t.Errorf("the message for the user holds an address: %s", e.Message)
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	client := textClient(t, "http://"+address)
	_, err = client.EncodeText(t.Context(), []string{"x"}, false)
	var e *analysis.Error
	if !errors.As(err, &e) || e.Code != analysis.Unavailable || strings.Contains(e.Message, address) {
		t.Errorf("got %v, want unavailable without the address in its message", err)
	}
	if err := client.Ready(t.Context()); analysis.CodeOf(err) != analysis.Unavailable {
		t.Errorf("Ready got %v, want unavailable", err)
	}
}

// An answer that begins and then stalls ends with the call's timeout.
func TestStallingEncoder(t *testing.T) {
	whole, headerLength := answerOf(t, func(*message, []Tensor) {})
	client, err := NewTextEncoder(start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(headerLengthField, strconv.Itoa(headerLength))
		w.Header().Set("Content-Length", strconv.Itoa(len(whole)))
		_, _ = w.Write(whole[:len(whole)/2])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done() // until the client hangs up
	})), ClientOptions{Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.EncodeText(t.Context(), []string{"x"}, false); analysis.CodeOf(err) != analysis.Unavailable {
		t.Errorf("got %v, want unavailable", err)
	}
}

// An encoder that is too slow is Unavailable; a caller who loses patience first gets Canceled, and the encoder hears of it.
func TestSlowEncoder(t *testing.T) {
	heard := make(chan struct{}, 2)
	url := start(t, NewTextServer(failing(func(ctx context.Context) ([]*analysis.Features, error) {
		<-ctx.Done()
		heard <- struct{}{}
		return nil, ctx.Err()
	}), info()))
	slow, err := NewTextEncoder(url, ClientOptions{Timeout: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := slow.EncodeText(t.Context(), []string{"x"}, false); analysis.CodeOf(err) != analysis.Unavailable {
		t.Errorf("after its own timeout got %v, want unavailable", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := textClient(t, url).EncodeText(ctx, []string{"x"}, false); analysis.CodeOf(err) != analysis.Canceled {
		t.Errorf("after the caller's deadline got %v, want canceled", err)
	}
	<-heard // the second call got as far as the encoder at least
}

func TestDigestIsRemembered(t *testing.T) {
	var calls atomic.Int32
	var handler atomic.Pointer[http.Handler]
	serve := func(digest string) {
		h := NewTextServer(reference{}, ModelInfo{Digest: digest, Probe: reference{}.Probe})
		handler.Store(&h)
	}
	serve("one")
	client := textClient(t, start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			calls.Add(1)
		}
		(*handler.Load()).ServeHTTP(w, r)
	})))
	want := func(digest string, asked int32) {
		t.Helper()
		if got, err := client.Digest(t.Context()); got != digest || err != nil || calls.Load() != asked {
			t.Errorf("got %q, %v after %d questions, want %q after %d", got, err, calls.Load(), digest, asked)
		}
	}
	encode := func() error { _, err := client.EncodeText(t.Context(), []string{"x"}, false); return err }
	want("one", 1)
	want("one", 1)
	serve("two")
	want("one", 1) // nothing has told yet
	if err := encode(); err != nil {
		t.Fatal(err)
	}
	want("two", 1) // the answer told
	var broken http.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	handler.Store(&broken)
	if err := encode(); analysis.CodeOf(err) != analysis.Unavailable {
		t.Fatalf("got %v, want unavailable", err)
	}
	serve("three")
	want("three", 2) // after a failure it asks again
}

func TestCalibrationCrosses(t *testing.T) {
	good := analysis.Calibration{Precision: "int8", Samples: 3, MeanCosine: 0.99, LeastCosine: 0.97}
	bad := good
	bad.LeastCosine = 2
	for name, c := range map[string]struct {
		told *analysis.Calibration
		code analysis.Code
	}{"none": {nil, ""}, "int8": {&good, ""}, "impossible": {&bad, analysis.BadUpstream}} {
		info := info()
		info.Calibration = c.told
		got, err := textClient(t, start(t, NewTextServer(reference{}, info))).Calibration(t.Context())
		if analysis.CodeOf(err) != c.code || err == nil && !reflect.DeepEqual(got, c.told) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

func TestTraceIsPropagated(t *testing.T) {
	var got atomic.Value
	handler := NewTextServer(reference{}, info())
	client := textClient(t, start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got.Store(r.Header.Get("traceparent"))
		handler.ServeHTTP(w, r)
	})))
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1, 2, 3}, SpanID: trace.SpanID{4, 5}, TraceFlags: trace.FlagsSampled})
	if _, err := client.EncodeText(trace.ContextWithSpanContext(t.Context(), span), []string{"x"}, false); err != nil {
		t.Fatal(err)
	}
	if want := "00-01020300000000000000000000000000-0405000000000000-01"; got.Load() != want {
		t.Errorf("traceparent is %q, want %q", got.Load(), want)
	}
}

func TestTooLargeForARequest(t *testing.T) {
	client := textClient(t, start(t, NewTextServer(reference{}, info())))
	_, err := client.EncodeText(t.Context(), []string{"x", strings.Repeat("x", int(textContract.maxRequestBytes))}, false)
	var e *analysis.Error
	if !errors.As(err, &e) || e.Code != analysis.TooLarge || e.Field != "text" || e.Limit != "8388608 bytes" {
		t.Errorf("got %v, want too_large with the limit", err)
	}
}

func TestAddresses(t *testing.T) {
	for _, address := range []string{"", "localhost:8080", "ftp://host", "http://", "http://[", "/v2"} {
		if _, err := NewTextEncoder(address, ClientOptions{}); err == nil {
			t.Errorf("the address %q was accepted", address)
		}
	}
}
