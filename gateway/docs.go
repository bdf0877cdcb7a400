package gateway

import (
	"crypto/sha256"
	_ "embed" // the page's files
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

var (
	//go:embed docs/page.html
	pageHTML string
	//go:embed docs/page.css
	pageStyle string
	//go:embed docs/page.js
	pageScript string
)

// page is openapi.yaml as a page that loads nothing: style, script and description are inside it.
type page struct {
	html   string
	policy string // lets exactly this style and this script run, and the script call this server
}

func newPage(spec *openapi3.T) (*page, error) {
	description, err := json.Marshal(spec) // which writes < as \u003c, so it cannot end its element
	if err != nil {
		return nil, fmt.Errorf("write the description as JSON: %w", err)
	}
	return &page{
		html: strings.NewReplacer("{{style}}", pageStyle, "{{script}}", pageScript, "{{spec}}", string(description)).Replace(pageHTML),
		policy: fmt.Sprintf("default-src 'none'; style-src '%s'; script-src '%s'; connect-src 'self'; img-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
			sourceHash(pageStyle), sourceHash(pageScript)),
	}, nil
}

// sourceHash names an inline source as Content Security Policy Level 3 does.
func sourceHash(source string) string {
	sum := sha256.Sum256([]byte(source))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// VisitGetDocsResponse writes the page.
func (p *page) VisitGetDocsResponse(w http.ResponseWriter) error {
	w.Header().Set("Content-Security-Policy", p.policy)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, err := w.Write([]byte(p.html))
	return err
}
