// Package conform holds the answers of a gateway against openapi.yaml, in tests.
package conform

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"testing"

	"github.com/felixge/httpsnoop"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"consilium"
)

// A Checker knows what openapi.yaml says of every answer.
type Checker struct {
	t       testing.TB
	router  routers.Router
	problem *openapi3.ResponseRef // the answer of what is no route
}

// New returns a checker that tells t of every answer that openapi.yaml does not describe.
func New(t testing.TB) *Checker {
	t.Helper()
	spec, err := openapi3.NewLoader().LoadFromData(consilium.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	spec.Servers = nil // any address
	router, err := gorillamux.NewRouter(spec)
	if err != nil {
		t.Fatal(err)
	}
	return &Checker{t: t, router: router, problem: spec.Components.Responses["Problem"]}
}

// Handler returns next with every answer checked, whoever the client is.
func (c *Checker) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked := r.Clone(r.Context()) // the gateway may hide parts of the path
		status := http.StatusOK
		var body bytes.Buffer
		next.ServeHTTP(httpsnoop.Wrap(w, httpsnoop.Hooks{
			WriteHeader: func(write httpsnoop.WriteHeaderFunc) httpsnoop.WriteHeaderFunc {
				return func(code int) {
					status = code
					write(code)
				}
			},
			Write: func(write httpsnoop.WriteFunc) httpsnoop.WriteFunc {
				return func(b []byte) (int, error) {
					body.Write(b)
					return write(b)
				}
			},
			ReadFrom: func(httpsnoop.ReadFromFunc) httpsnoop.ReadFromFunc {
				return func(src io.Reader) (int64, error) {
					return io.Copy(io.MultiWriter(&body, plainWriter{w}), src)
				}
			},
		}), r)
		if asked.Method == http.MethodHead {
			body.Reset() // which is not sent
		}
		c.check(asked, status, w.Header(), body.Bytes())
	})
}

// plainWriter has no ReadFrom, which would lead back to itself.
type plainWriter struct{ io.Writer }

// Transport returns a transport of clients that checks every answer.
func (c *Checker) Transport() http.RoundTripper { return transport{c} }

type transport struct{ *Checker }

func (c transport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || isStream(response.Header) {
		return response, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	c.check(r, response.StatusCode, response.Header, body)
	return response, nil
}

// lines is the media type of JSON values, each on a line of its own; the schema is that of one.
const lines = "application/x-ndjson"

// isStream reports whether an answer ends only when somebody ends it.
func isStream(header http.Header) bool {
	return strings.HasPrefix(header.Get("Content-Type"), "text/event-stream")
}

func (c *Checker) check(r *http.Request, status int, header http.Header, body []byte) {
	c.t.Helper()
	complain := func(format string, args ...any) {
		c.t.Helper()
		c.t.Errorf("%s %s answered %d: %s\n%.500s", r.Method, r.URL.Path, status, fmt.Sprintf(format, args...), body)
	}
	for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY"} {
		if got := header.Get(name); got != want {
			complain("header %s is %q, want %q", name, got, want)
		}
	}
	if len(header.Get("X-Trace-Id")) != 32 || header.Get("Content-Security-Policy") == "" {
		complain("the trace id or the content policy is missing")
	}
	described := c.problem
	if operation := c.operation(r); operation != nil {
		if described = operation.Responses.Status(status); described == nil {
			described = operation.Responses.Default()
			if status < 400 {
				complain("the status is not described")
			}
		}
		if status == http.StatusOK && operation.Responses.Status(http.StatusNotModified) != nil && header.Get("ETag") == "" {
			complain("there is no ETag, though 304 is described")
		}
	}
	for name, h := range described.Value.Headers {
		value := header.Get(name)
		if value == "" && h.Value.Required {
			complain("the header %s is missing", name)
		} else if value != "" && h.Value.Schema.Value.Type.Is(openapi3.TypeString) {
			if err := h.Value.Schema.Value.VisitJSON(value); err != nil {
				complain("the header %s: %v", name, err)
			}
		}
	}
	if r.Method == http.MethodHead || len(described.Value.Content) == 0 {
		if len(body) > 0 {
			complain("there is a body")
		}
		return
	}
	mediaType, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	content := described.Value.Content.Get(mediaType)
	if content == nil {
		complain("the media type %q is not described", mediaType)
		return
	}
	documents := [][]byte{body}
	switch {
	case mediaType == lines:
		documents = bytes.Split(bytes.TrimSuffix(body, []byte("\n")), []byte("\n"))
	case !strings.HasSuffix(mediaType, "json"):
		return
	}
	for _, document := range documents {
		if len(document) == 0 && mediaType == lines { // there is nothing
			continue
		}
		var value any
		if err := json.Unmarshal(document, &value); err != nil {
			complain("%v", err)
		} else if err := content.Schema.Value.VisitJSON(value, openapi3.VisitAsResponse()); err != nil {
			complain("%v", err)
		}
	}
}

// operation returns what a request asks for, nil if it is nothing that is described.
func (c *Checker) operation(r *http.Request) *openapi3.Operation {
	if r.Method == http.MethodHead {
		r = r.Clone(r.Context())
		r.Method = http.MethodGet
	}
	route, _, err := c.router.FindRoute(r)
	if err != nil {
		return nil
	}
	return route.Operation
}
