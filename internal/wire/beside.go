package wire

import (
	"net/http"
	"strings"
)

// Beside serves more models in the process of a first one: each under its own name, in the first one's list of models
// and part of its readiness. The handlers are those that this package's constructors of one model's server return.
func Beside(first http.Handler, more ...http.Handler) http.Handler {
	s := first.(*server)
	for _, h := range more {
		s.beside = append(s.beside, h.(*server))
	}
	return s
}

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for _, m := range s.beside {
		if path := "/v2/models/" + m.model; r.URL.Path == path || strings.HasPrefix(r.URL.Path, path+"/") {
			m.ServeHTTP(w, r)
			return
		}
	}
	s.mux.ServeHTTP(w, r)
}
