package conform

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// listener hears what a checker complains of.
type listener struct {
	testing.TB
	heard []string
}

func (l *listener) Helper() {}

func (l *listener) Errorf(format string, args ...any) {
	l.heard = append(l.heard, fmt.Sprintf(format, args...))
}

func TestACheckerHearsMistakes(t *testing.T) {
	trace := strings.Repeat("a", 32)
	headers := map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "X-Trace-Id": trace, "Content-Security-Policy": "default-src 'none'"}
	problem := `{"type":"urn:consilium:problem:not_found","title":"Not Found","status":404,"detail":"no","trace_id":"` + trace + `"}`
	for name, test := range map[string]struct {
		method, path string
		status       int
		kind, body   string
		without      string // a header
		complaint    string // "" for none
	}{
		"right":                 {path: "/healthz", status: 200, kind: "application/json", body: `{"status":"alive"}`},
		"right without a body":  {method: http.MethodHead, path: "/healthz", status: 200, kind: "application/json", body: `{"status":"alive"}`},
		"a problem":             {path: "/healthz", status: 503, kind: "application/problem+json", body: problem},
		"no route":              {path: "/nonesuch", status: 404, kind: "application/problem+json", body: problem},
		"another field":         {path: "/healthz", status: 200, kind: "application/json", body: `{"status":"alive","mood":"good"}`, complaint: "mood"},
		"another value":         {path: "/healthz", status: 200, kind: "application/json", body: `{"status":"fine"}`, complaint: "status"},
		"a missing field":       {path: "/healthz", status: 200, kind: "application/json", body: `{}`, complaint: "status"},
		"half a body":           {path: "/healthz", status: 200, kind: "application/json", body: `{"status":`, complaint: "unexpected end"},
		"another media type":    {path: "/healthz", status: 200, kind: "text/plain", body: `alive`, complaint: `"text/plain" is not described`},
		"another status":        {path: "/healthz", status: 201, kind: "application/json", body: `{"status":"alive"}`, complaint: "the status is not described"},
		"an error in plain":     {path: "/nonesuch", status: 404, kind: "text/plain", body: "404 page not found", complaint: "is not described"},
		"a body that is none":   {method: http.MethodDelete, path: "/v1/models/m", status: 204, body: "gone", complaint: "there is a body"},
		"no trace":              {path: "/healthz", status: 200, kind: "application/json", body: `{"status":"alive"}`, without: "X-Trace-Id", complaint: "trace id"},
		"no protective header":  {path: "/healthz", status: 200, kind: "application/json", body: `{"status":"alive"}`, without: "X-Frame-Options", complaint: "X-Frame-Options"},
		"no location of a fact": {method: http.MethodPost, path: "/v1/knowledge/facts", status: 201, kind: "application/json", body: `{}`, complaint: "the header Location is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, side := range []string{"server", "client"} {
				l := &listener{TB: t}
				checker := New(l)
				var handler http.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					for name, value := range headers {
						if name != test.without {
							w.Header().Set(name, value)
						}
					}
					w.Header().Set("Content-Type", test.kind)
					w.WriteHeader(test.status)
					_, _ = io.Copy(w, strings.NewReader(test.body)) // none after a 204
				})
				transport := http.DefaultTransport
				if side == "server" {
					handler = checker.Handler(handler)
				} else if transport = checker.Transport(); test.status == http.StatusNoContent {
					continue // a body after it does not leave the server
				}
				server := httptest.NewServer(handler)
				method := test.method
				if method == "" {
					method = http.MethodGet
				}
				request, err := http.NewRequest(method, server.URL+test.path, nil)
				if err != nil {
					t.Fatal(err)
				}
				response, err := transport.RoundTrip(request)
				if err != nil {
					t.Fatal(err)
				}
				response.Body.Close()
				server.Close() // waits for the handler
				heard := strings.Join(l.heard, "\n")
				if (test.complaint == "") != (heard == "") || !strings.Contains(heard, test.complaint) {
					t.Errorf("%s: heard %q, want %q", side, heard, test.complaint)
				}
			}
		})
	}
}
