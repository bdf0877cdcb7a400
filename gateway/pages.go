package gateway

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"

	"consilium/internal/analysis"
)

// cursors seals positions in lists, so that a cursor works in the list that gave it and nowhere else.
type cursors struct{ key []byte }

// A cursor is base64url of a MAC, a digest of the list, and the position.
const (
	cursorMAC  = 16
	cursorList = 8
)

// seal returns the cursor of what follows position in list, which names all that makes the query except the page.
func (c cursors) seal(list, position string) string {
	digest := sha256.Sum256([]byte(list))
	sealed := append(digest[:cursorList:cursorList], position...)
	return base64.RawURLEncoding.EncodeToString(append(c.mac(sealed), sealed...))
}

// open returns the position that a cursor of list holds.
func (c cursors) open(list, cursor string) (position string, err error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(raw) < cursorMAC+cursorList || !hmac.Equal(raw[:cursorMAC], c.mac(raw[cursorMAC:])) {
		e := analysis.Invalid("cursor", "the cursor is none that a list gave, or was changed")
		e.Limit, e.Value = "the next_cursor of the page before", clip(cursor)
		return "", e
	}
	digest := sha256.Sum256([]byte(list))
	if !hmac.Equal(raw[cursorMAC:cursorMAC+cursorList], digest[:cursorList]) {
		e := analysis.Invalid("cursor", "the cursor is of another list or query; begin without one")
		e.Limit, e.Value = "the next_cursor of the page before", clip(cursor)
		return "", e
	}
	return string(raw[cursorMAC+cursorList:]), nil
}

func (c cursors) mac(sealed []byte) []byte {
	mac := hmac.New(sha256.New, c.key)
	mac.Write(sealed)
	return mac.Sum(nil)[:cursorMAC]
}

// The parameters that choose a page of a list.
const (
	cursorParameter = "cursor"
	limitParameter  = "limit"
)

// listing is the list that a request with the parameter cursor asks for.
type listing struct {
	cursors
	name   string // the tenant, the path and the query, without the page
	after  string // the position that the page begins behind, "" for the first page
	url    url.URL
	header http.Header // of the answer
}

type listingKey struct{}

// withListing opens the request's cursor.
func (s *server) withListing(w http.ResponseWriter, r *http.Request) (*http.Request, error) {
	query := r.URL.Query()
	cursor := query.Get(cursorParameter)
	query.Del(cursorParameter)
	limit := query.Get(limitParameter)
	query.Del(limitParameter)
	l := &listing{cursors: cursors{s.CursorSecret}, url: url.URL{Path: r.URL.Path}, header: w.Header(),
		name: analysis.Tenant(r.Context()) + "\x00" + r.URL.Path + "\x00" + query.Encode()}
	if cursor != "" {
		var err error
		if l.after, err = l.open(l.name, cursor); err != nil {
			return nil, err
		}
	}
	if limit != "" {
		query.Set(limitParameter, limit)
	}
	l.url.RawQuery = query.Encode()
	return r.WithContext(context.WithValue(r.Context(), listingKey{}, l)), nil
}

func listingOf(ctx context.Context) *listing { return ctx.Value(listingKey{}).(*listing) }

// pageOf returns the page that the request asks for, with one item more: whether it is there says whether there is a next page.
func pageOf(ctx context.Context, limit *int) analysis.Page {
	return analysis.Page{After: listingOf(ctx).after, Limit: or(limit, defaultPageItems) + 1}
}

// cut returns the items that the caller asked for and the cursor of the next page, nil at the end. A next page is named in the
// header Link too (RFC 8288).
func cut[T any](ctx context.Context, items []T, page analysis.Page, position func(T) string) ([]T, *string) {
	if len(items) < page.Limit {
		return items, nil
	}
	items = items[:page.Limit-1]
	l := listingOf(ctx)
	next := l.seal(l.name, position(items[len(items)-1]))
	query := l.url.Query()
	query.Set(cursorParameter, next)
	there := url.URL{Path: l.url.Path, RawQuery: query.Encode()}
	l.header.Add("Link", "<"+there.String()+`>; rel="next"`)
	return items, &next
}
