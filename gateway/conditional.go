package gateway

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"mime"
	"net/http"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// isConditional reports whether openapi.yaml promises that a client need not fetch again what it has.
func isConditional(operation *openapi3.Operation) bool {
	return operation.Responses.Status(http.StatusNotModified) != nil
}

// conditional sends 304 in place of what the client has already (RFC 9110 section 13.1.2). The ETag of an answer is the
// operation's own or, of a JSON body, its digest.
type conditional struct {
	http.ResponseWriter
	r       *http.Request
	decided bool
	dropped bool          // the client has it
	held    *bytes.Buffer // a body whose ETag is not known before its end
}

func (c *conditional) WriteHeader(code int) {
	if c.decided {
		return
	}
	c.decided = true
	header := c.Header()
	if etag := header.Get("ETag"); code == http.StatusOK && etag != "" {
		code = c.choose(etag)
	} else if mediaType, _, _ := mime.ParseMediaType(header.Get("Content-Type")); code == http.StatusOK && mediaType == plainJSON {
		c.held = &bytes.Buffer{}
		return
	}
	c.ResponseWriter.WriteHeader(code)
}

func (c *conditional) Write(b []byte) (int, error) {
	c.WriteHeader(http.StatusOK)
	switch {
	case c.dropped:
		return len(b), nil
	case c.held != nil:
		return c.held.Write(b)
	}
	return c.ResponseWriter.Write(b)
}

// finish sends what was held.
func (c *conditional) finish() {
	if c.held == nil {
		return
	}
	sum := sha256.Sum256(c.held.Bytes())
	etag := fmt.Sprintf(`"%x"`, sum[:16])
	c.Header().Set("ETag", etag)
	c.ResponseWriter.WriteHeader(c.choose(etag))
	if !c.dropped {
		_, _ = c.ResponseWriter.Write(c.held.Bytes()) // it fails for a client that went away
	}
}

// choose returns the status of an answer with this ETag.
func (c *conditional) choose(etag string) int {
	for _, field := range c.r.Header.Values("If-None-Match") {
		for _, tag := range strings.Split(field, ",") {
			if tag = strings.TrimSpace(tag); tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
				c.dropped = true
				c.Header().Del("Content-Type")
				c.Header().Del("Content-Length")
				return http.StatusNotModified
			}
		}
	}
	return http.StatusOK
}
