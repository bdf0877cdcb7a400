package wire

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"consilium/internal/analysis"
)

func post(t *testing.T, url string, header http.Header, body []byte) (int, []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	return roundTrip(t, request)
}

func get(t *testing.T, url string) (int, []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return roundTrip(t, request)
}

func roundTrip(t *testing.T, request *http.Request) (int, []byte) {
	t.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, body
}

// bin is a request whose JSON is followed by data.
func bin(header string, data ...byte) (http.Header, []byte) {
	return http.Header{headerLengthField: {strconv.Itoa(len(header))}}, append([]byte(header), data...)
}

// lengths writes each of its arguments as a length of four bytes.
func lengths(values ...uint32) []byte {
	var data []byte
	for _, v := range values {
		data = binary.LittleEndian.AppendUint32(data, v)
	}
	return data
}

func textInput(more string) string {
	return `{"inputs":[{"name":"text","datatype":"BYTES",` + more + `}]}`
}

func TestBadRequests(t *testing.T) {
	url := start(t, NewTextServer(reference{}, info())) + "/v2/models/text/infer"
	headerOnly := func(name, value, body string) func() (http.Header, []byte) {
		return func() (http.Header, []byte) { return http.Header{name: {value}}, []byte(body) }
	}
	plain := func(body string) func() (http.Header, []byte) {
		return func() (http.Header, []byte) { return nil, []byte(body) }
	}
	binary := func(header string, data ...byte) func() (http.Header, []byte) {
		return func() (http.Header, []byte) { return bin(header, data...) }
	}
	good := textInput(`"shape":[1],"data":["x"]`)
	for name, test := range map[string]struct {
		request func() (http.Header, []byte)
		code    analysis.Code
		field   string
		says    string
	}{
		"empty body":             {plain(``), analysis.InvalidArgument, "", "parse the JSON"},
		"half a JSON":            {plain(good[:20]), analysis.InvalidArgument, "", "parse the JSON"},
		"not an object":          {plain(`[]`), analysis.InvalidArgument, "", "parse the JSON"},
		"nested 100,000 deep":    {plain(strings.Repeat("[", 1e5)), analysis.TooLarge, "", "nested"},
		"nested data too deep":   {plain(textInput(`"shape":[1],"data":` + strings.Repeat("[", 1e4) + strings.Repeat("]", 1e4))), analysis.TooLarge, "", "nested"},
		"a million inputs":       {plain(`{"inputs":[` + strings.Repeat("{},", 1e6) + `{}]}`), analysis.TooLarge, "", "members"},
		"a million null inputs":  {plain(`{"inputs":[` + strings.Repeat("null,", 1e6) + `null]}`), analysis.TooLarge, "", "members"},
		"a long shape":           {plain(textInput(`"shape":[` + strings.Repeat("1,", 1e6) + `1],"data":["x"]`)), analysis.InvalidArgument, "", "shape is too long"},
		"a million parameters":   {plain(`{"parameters":{` + strings.Repeat(`"a":1,`, 1e6) + `"a":1},` + good[1:]), analysis.TooLarge, "", "members"},
		"long parameters":        {plain(`{"parameters":{"strict":"` + strings.Repeat("a", 5000) + `"},` + good[1:]), analysis.InvalidArgument, "", "parameters are too long"},
		"unknown parameter":      {plain(`{"parameters":{"temperature":1},` + good[1:]), analysis.InvalidArgument, "", "unknown parameter temperature"},
		"parameter type":         {plain(`{"parameters":{"strict":1},` + good[1:]), analysis.InvalidArgument, "", "strict: want true or false"},
		"long id":                {plain(`{"id":"` + strings.Repeat("a", 300) + `",` + good[1:]), analysis.TooLarge, "", "id of the request"},
		"no inputs":              {plain(`{}`), analysis.InvalidArgument, "text", "is missing"},
		"unknown input":          {plain(strings.Replace(good, `"text"`, `"sound"`, 1)), analysis.InvalidArgument, "sound", "no such tensor"},
		"input twice":            {plain(`{"inputs":[` + good[11:len(good)-2] + `,` + good[11:]), analysis.InvalidArgument, "text", "twice"},
		"wrong datatype":         {plain(strings.Replace(good, `BYTES`, `FP32`, 1)), analysis.InvalidArgument, "text", "datatype is FP32, want BYTES"},
		"unknown output":         {plain(good[:len(good)-1] + `,"outputs":[{"name":"logits"}]}`), analysis.InvalidArgument, "logits", "no such output"},
		"classification":         {plain(good[:len(good)-1] + `,"outputs":[{"name":"embedding","parameters":{"classification":3}}]}`), analysis.InvalidArgument, "embedding", "unknown parameter classification"},
		"shared memory":          {plain(textInput(`"shape":[1],"parameters":{"shared_memory_region":"r"}`)), analysis.InvalidArgument, "text", "unknown parameter shared_memory_region"},
		"no data":                {plain(textInput(`"shape":[1]`)), analysis.InvalidArgument, "text", "neither data"},
		"null data":              {plain(textInput(`"shape":[1],"data":null`)), analysis.InvalidArgument, "text", "want a string"},
		"numbers for text":       {plain(textInput(`"shape":[1],"data":[1]`)), analysis.InvalidArgument, "text", "want a string, found 1"},
		"object for text":        {plain(textInput(`"shape":[1],"data":[{}]`)), analysis.InvalidArgument, "text", "object"},
		"fewer than the shape":   {plain(textInput(`"shape":[3],"data":["x"]`)), analysis.InvalidArgument, "text", "wants 3"},
		"more than the shape":    {plain(textInput(`"shape":[1],"data":["x","y"]`)), analysis.InvalidArgument, "text", "more than the 1"},
		"nothing":                {plain(textInput(`"shape":[0],"data":[]`)), analysis.InvalidArgument, "text", "holds nothing"},
		"negative shape":         {plain(textInput(`"shape":[-1],"data":["x"]`)), analysis.InvalidArgument, "text", "negative"},
		"two dimensions":         {plain(textInput(`"shape":[1,1],"data":["x"]`)), analysis.InvalidArgument, "text", "want a shape of 1 dimensions"},
		"too many texts":         {plain(textInput(`"shape":[257],"data":["x"]`)), analysis.TooLarge, "text", "first dimension"},
		"huge shape":             {plain(textInput(`"shape":[9223372036854775807],"data":["x"]`)), analysis.TooLarge, "text", "first dimension"},
		"shape past int64":       {plain(textInput(`"shape":[1e30],"data":["x"]`)), analysis.InvalidArgument, "", "parse the JSON"},
		"header length garbled":  {headerOnly(headerLengthField, "ten", good), analysis.InvalidArgument, "", "want a number of bytes"},
		"header length negative": {headerOnly(headerLengthField, "-1", good), analysis.InvalidArgument, "", "want a number of bytes"},
		"header past the body":   {headerOnly(headerLengthField, "1000", good), analysis.InvalidArgument, "", "the header length is 1000"},
		"header past int64":      {headerOnly(headerLengthField, "99999999999999999999", good), analysis.InvalidArgument, "", "want a number of bytes"},
		"gzip":                   {headerOnly("Content-Encoding", "gzip", good), analysis.UnsupportedMedia, "", "content encoding"},
		"binary past the body":   {binary(textInput(`"shape":[1],"parameters":{"binary_data_size":9}`), lengths(1)...), analysis.InvalidArgument, "text", "binary_data_size is 9 but 4 bytes are left"},
		"binary size negative":   {binary(textInput(`"shape":[1],"parameters":{"binary_data_size":-4}`), lengths(1)...), analysis.InvalidArgument, "text", "whole number"},
		"binary size fractional": {binary(textInput(`"shape":[1],"parameters":{"binary_data_size":4.5}`), lengths(1)...), analysis.InvalidArgument, "text", "whole number"},
		"length past the rest":   {binary(textInput(`"shape":[1],"parameters":{"binary_data_size":5}`), append(lengths(0xFFFFFFFF), 'x')...), analysis.InvalidArgument, "text", "its length is 4294967295 but 1 bytes are left"},
		"length cut off":         {binary(textInput(`"shape":[2],"parameters":{"binary_data_size":9}`), append(lengths(3), "xxxyy"...)...), analysis.InvalidArgument, "text", "element 1: its length is cut off"},
		"too few lengths":        {binary(textInput(`"shape":[3],"parameters":{"binary_data_size":4}`), lengths(0)...), analysis.InvalidArgument, "text", "less"},
		"bytes behind":           {binary(textInput(`"shape":[1],"parameters":{"binary_data_size":5}`), append(lengths(0), 'x')...), analysis.InvalidArgument, "text", "1 bytes follow the last element"},
		"bytes behind it all":    {binary(textInput(`"shape":[1],"parameters":{"binary_data_size":4}`), append(lengths(0), 'x')...), analysis.InvalidArgument, "", "1 bytes follow the last tensor"},
		"data and binary":        {binary(textInput(`"shape":[1],"data":["x"],"parameters":{"binary_data_size":4}`), lengths(0)...), analysis.InvalidArgument, "text", "both"},
		"long header":            {binary(strings.Repeat(" ", maxHeaderBytes)+good, 'x'), analysis.TooLarge, "", "JSON before the binary data"},
	} {
		t.Run(name, func(t *testing.T) {
			header, body := test.request()
			status, answer := post(t, url, header, body)
			var f fault
			if err := json.Unmarshal(answer, &f); err != nil {
				t.Fatalf("answer %d is no JSON: %s", status, answer)
			}
			if status != statusOf[test.code] || f.Code != test.code || f.Field != test.field || !strings.Contains(f.Error, test.says) {
				t.Errorf("got %d %+v, want code %s, field %q and an error with %q", status, f, test.code, test.field, test.says)
			}
			if len(answer) > 4096 {
				t.Errorf("the answer has %d bytes", len(answer))
			}
		})
	}
}

func TestPathsThatAreNotThere(t *testing.T) {
	url := start(t, NewTextServer(reference{}, info()))
	for _, path := range []string{"/", "/v2/models/vision", "/v2/models/text/versions/2", "/v2/models/text/versions/2/ready", "/v2/models", "/v2/models/text/infer", "/v3", "/v2/models/" + strings.Repeat("x", 5000)} {
		status, body := get(t, url+path)
		var f fault
		if err := json.Unmarshal(body, &f); err != nil || status != 404 || f.Error == "" || f.Code != analysis.NotFound || len(body) > 4096 {
			t.Errorf("GET %.40s: got %d %.200s, want a 404 with an error", path, status, body)
		}
	}
}

func TestMetadata(t *testing.T) {
	url := start(t, NewTextServer(reference{}, info()))
	for path, want := range map[string]string{
		"/v2":                   `{"extensions":["binary_tensor_data"],"name":"consilium","version":"sha256:reference"}`,
		"/v2/health/live":       `{"live":true}`,
		"/v2/health/ready":      `{"ready":true}`,
		"/v2/models/text/ready": `{"name":"text","ready":true}`,
		"/v2/models/text":       `{"name":"text","versions":["sha256:reference"],"platform":"consilium","inputs":[{"name":"text","datatype":"BYTES","shape":[-1]}],"outputs":[{"name":"embedding","datatype":"FP32","shape":[-1,384]},{"name":"tokens","datatype":"FP32","shape":[-1,-1,384]},{"name":"lengths","datatype":"INT64","shape":[-1]},{"name":"notes","datatype":"BYTES","shape":[-1]}],"parameters":{"digest":"sha256:reference","max_request_bytes":8388608,"max_rows":256}}`,
		"/v2/models/text/versions/sha256:reference/ready": `{"name":"text","ready":true}`,
	} {
		if status, body := get(t, url+path); status != 200 || string(body) != want {
			t.Errorf("GET %s: got %d %s, want 200 %s", path, status, body, want)
		}
	}
}

// A model that does not pass its probe is alive but not ready, and the reason stays in the log.
func TestProbeDecidesReadiness(t *testing.T) {
	for name, probe := range map[string]func(context.Context) error{
		"error": func(context.Context) error { return errors.New("cosine 0.2 at secret") },
		"panic": func(context.Context) error { panic("secret") },
	} {
		t.Run(name, func(t *testing.T) {
			url := start(t, NewTextServer(reference{}, ModelInfo{Digest: referenceDigest, Probe: probe}))
			for path, want := range map[string]int{"/v2/health/live": 200, "/v2/health/ready": 503, "/v2/models/text/ready": 503} {
				if status, body := get(t, url+path); status != want || bytes.Contains(body, []byte("secret")) {
					t.Errorf("GET %s: got %d %s, want %d", path, status, body, want)
				}
			}
			if status, body := post(t, url+"/v2/repository/index", nil, nil); status != 200 || !bytes.Contains(body, []byte(`"UNAVAILABLE"`)) {
				t.Errorf("index: got %d %s, want UNAVAILABLE", status, body)
			}
			if err := textClient(t, url).Ready(t.Context()); analysis.CodeOf(err) != analysis.Unavailable {
				t.Errorf("the client's Ready got %v, want unavailable", err)
			}
		})
	}
}

// failing is a text encoder with a fault.
type failing func(ctx context.Context) ([]*analysis.Features, error)

func (f failing) EncodeText(ctx context.Context, _ []string, _ bool) ([]*analysis.Features, error) {
	return f(ctx)
}

// What only the log may hold does not leave the process; everything else of an error does.
func TestErrorsCross(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want analysis.Error
	}{
		"full":    {&analysis.Error{Code: analysis.Overloaded, Message: "the queue is full", Limit: "64 waiting", Value: "64 waiting", RetryAfter: 1500e6, Err: errors.New("secret")}, analysis.Error{Code: analysis.Overloaded, Message: "the queue is full", Limit: "64 waiting", Value: "64 waiting", RetryAfter: 1500e6}},
		"wrapped": {fmt.Errorf("secret: %w", analysis.Invalid("text", "is %q", "é")), analysis.Error{Code: analysis.InvalidArgument, Field: "text", Message: `is "é"`}},
		"plain":   {errors.New("secret"), analysis.Error{Code: analysis.Internal, Message: "the text encoder failed"}},
		"unknown": {&analysis.Error{Code: "odd", Message: "odd"}, analysis.Error{Code: analysis.Internal, Message: "odd"}},
	} {
		t.Run(name, func(t *testing.T) {
			url := start(t, NewTextServer(failing(func(context.Context) ([]*analysis.Features, error) { return nil, test.err }), info()))
			_, err := textClient(t, url).EncodeText(t.Context(), []string{"x"}, false)
			var got *analysis.Error
			if !errors.As(err, &got) || *got != test.want {
				t.Errorf("got %#v, want %#v", err, test.want)
			}
			_, body := post(t, url+"/v2/models/text/infer", nil, []byte(textInput(`"shape":[1],"data":["x"]`)))
			if bytes.Contains(body, []byte("secret")) {
				t.Errorf("the answer tells what only the log may hold: %s", body)
			}
		})
	}
}

// An encoder that breaks its contract is a 500, not an answer.
func TestServerChecksItsOwnEncoder(t *testing.T) {
	good, err := reference{}.EncodeText(t.Context(), []string{"x"}, false)
	if err != nil {
		t.Fatal(err)
	}
	short := *good[0]
	short.TokenCount = 9
	wrong := *good[0]
	wrong.Modality = analysis.Audio
	for name, features := range map[string][]*analysis.Features{"too few": nil, "too many": {good[0], good[0]}, "contradiction": {&short}, "modality": {&wrong}} {
		url := start(t, NewTextServer(failing(func(context.Context) ([]*analysis.Features, error) { return features, nil }), info()))
		if status, _ := post(t, url+"/v2/models/text/infer", nil, []byte(textInput(`"shape":[1],"data":["x"]`))); status < 500 {
			t.Errorf("%s: got status %d, want 5xx", name, status)
		}
	}
}

// A request that announces 10 GB is refused before it is read; one that sends without end, when the limit is reached.
func TestOversizedBodies(t *testing.T) {
	url := start(t, NewTextServer(reference{}, info()))
	address := strings.TrimPrefix(url, "http://")
	for name, test := range map[string]struct {
		header string
		body   io.Reader
	}{
		"announced": {"Content-Length: 10737418240\r\n\r\n", strings.NewReader("{")},
		"endless":   {"Transfer-Encoding: chunked\r\n\r\n", endless{}},
	} {
		t.Run(name, func(t *testing.T) {
			connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer connection.Close()
			if _, err := fmt.Fprintf(connection, "POST /v2/models/text/infer HTTP/1.1\r\nHost: x\r\n%s", test.header); err != nil {
				t.Fatal(err)
			}
			go func() { _, _ = io.Copy(connection, test.body) }() // ends when the server hangs up
			var status int
			if _, err := fmt.Fscanf(connection, "HTTP/1.1 %d", &status); err != nil || status != 413 {
				t.Errorf("got status %d, %v, want 413", status, err)
			}
		})
	}
}

// Requests that hold memory together reach a bound of their own, and what comes next is refused at once.
func TestHeldBodiesAreBounded(t *testing.T) {
	inside, release := make(chan struct{}), make(chan struct{})
	url := start(t, NewTextServer(failing(func(context.Context) ([]*analysis.Features, error) {
		inside <- struct{}{}
		<-release
		return nil, analysis.Errorf(analysis.Conflict, "released")
	}), info())) + "/v2/models/text/infer"
	send := func() (*http.Response, error) {
		body := io.MultiReader(strings.NewReader(textInput(`"shape":[1],"data":["x"]`))) // of unknown length
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, body)
		if err != nil {
			return nil, err
		}
		return http.DefaultClient.Do(request)
	}
	const fit = maxHeldBytes / (8 << 20)
	statuses := make(chan int, fit)
	for range fit {
		go func() {
			status := 0
			if response, err := send(); err == nil {
				response.Body.Close()
				status = response.StatusCode
			}
			statuses <- status
		}()
	}
	for range fit {
		<-inside
	}
	response, err := send()
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusTooManyRequests || response.Header.Get("Retry-After") != "1" {
		t.Errorf("one more got status %d, Retry-After %q, want 429 and 1", response.StatusCode, response.Header.Get("Retry-After"))
	}
	close(release)
	for range fit {
		if status := <-statuses; status != http.StatusConflict {
			t.Errorf("a held request got status %d, want 409", status)
		}
	}
}

// endless reads as chunks of 64 KiB, for ever.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	const size = 64 << 10
	chunk := []byte(fmt.Sprintf("%x\r\n%s\r\n", size, strings.Repeat(" ", size)))
	if len(p) < len(chunk) {
		return 0, io.ErrShortBuffer
	}
	return copy(p, chunk), nil
}

func (e endless) WriteTo(w io.Writer) (total int64, err error) {
	chunk := make([]byte, 80<<10)
	for {
		n, _ := e.Read(chunk)
		n, err = w.Write(chunk[:n])
		if total += int64(n); err != nil {
			return total, err
		}
	}
}
