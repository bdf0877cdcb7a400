package gateway

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"consilium/internal/analysis"
)

// openPaths need no key: they say nothing of any tenant.
var openPaths = []string{"/healthz", "/readyz", "/metrics", "/openapi.yaml", "/docs"}

type keyKey struct{}

// keyOf returns the key of the request, nil where nobody needs one.
func keyOf(ctx context.Context) *analysis.Key {
	key, _ := ctx.Value(keyKey{}).(*analysis.Key)
	return key
}

// withTenant gives a request the tenant of its key, or that which owns everything where nobody needs a key.
func (s *server) withTenant(r *http.Request) (context.Context, error) {
	ctx := r.Context()
	if s.Key == nil || slices.Contains(openPaths, r.URL.Path) {
		return analysis.WithTenant(ctx, analysis.DefaultTenant), nil
	}
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || len(r.Header.Values("Authorization")) != 1 {
		return ctx, unauthenticated("send a key, as Authorization: Bearer KEY")
	}
	key, err := s.Key(ctx, strings.TrimSpace(secret))
	if err != nil {
		return ctx, err
	}
	if key == nil {
		return ctx, unauthenticated("the key is none, or was revoked")
	}
	return context.WithValue(analysis.WithTenant(ctx, key.Tenant), keyKey{}, key), nil
}

func unauthenticated(message string) error {
	return &statusError{cause: analysis.Invalid("Authorization", "%s", message), status: http.StatusUnauthorized, name: "unauthenticated"}
}

// allowed refuses what the request's key may not do.
func allowed(ctx context.Context, may func(*analysis.Key) bool, what string) error {
	key := keyOf(ctx)
	if key == nil || may(key) {
		return nil
	}
	e := analysis.Invalid("Authorization", "the key may not %s", what)
	e.Value = key.Name
	return &statusError{cause: e, status: http.StatusForbidden, name: "forbidden"}
}

func maySign(key *analysis.Key) bool   { return key.Sign }
func mayManage(key *analysis.Key) bool { return key.Manage }
