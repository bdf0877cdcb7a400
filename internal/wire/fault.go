package wire

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"consilium/internal/analysis"
)

// fault is the body of an answer that is not 200: the protocol's "error" for anyone, the rest for our client,
// which makes the same *analysis.Error of it.
type fault struct {
	Error      string        `json:"error"`
	Code       analysis.Code `json:"code,omitempty"`
	Message    string        `json:"message,omitempty"`
	Field      string        `json:"field,omitempty"`
	Limit      string        `json:"limit,omitempty"`
	Value      string        `json:"value,omitempty"`
	RetryAfter float64       `json:"retry_after,omitempty"` // seconds
}

// statusCanceled answers a caller that is gone or whose deadline passed; nobody sees it but the log.
const statusCanceled = 499

var statusOf = map[analysis.Code]int{
	analysis.InvalidArgument:  http.StatusBadRequest,
	analysis.UnsupportedMedia: http.StatusUnsupportedMediaType,
	analysis.TooLarge:         http.StatusRequestEntityTooLarge,
	analysis.NotFound:         http.StatusNotFound,
	analysis.Conflict:         http.StatusConflict,
	analysis.Overloaded:       http.StatusTooManyRequests,
	analysis.Unavailable:      http.StatusServiceUnavailable,
	analysis.BadUpstream:      http.StatusBadGateway,
	analysis.Canceled:         statusCanceled,
	analysis.Internal:         http.StatusInternalServerError,
}

// foreignCode is what a status of a server that sends no code means to our caller. A 404 is not among them:
// a model that is not there is no fault of the request.
var foreignCode = map[int]analysis.Code{
	http.StatusBadRequest:            analysis.InvalidArgument,
	http.StatusUnsupportedMediaType:  analysis.UnsupportedMedia,
	http.StatusRequestEntityTooLarge: analysis.TooLarge,
	http.StatusTooManyRequests:       analysis.Overloaded,
	http.StatusServiceUnavailable:    analysis.Unavailable,
}

// public returns err as the caller may see it: what only the log may hold is gone.
func public(err error, part string) *analysis.Error {
	var e *analysis.Error
	if errors.As(err, &e) {
		shown := *e
		shown.Err = nil
		if _, known := statusOf[shown.Code]; !known {
			shown.Code = analysis.Internal
		}
		return &shown
	}
	if analysis.CodeOf(err) == analysis.Canceled {
		return analysis.Errorf(analysis.Canceled, "the call to the %s was canceled", part)
	}
	return analysis.Errorf(analysis.Internal, "the %s failed", part)
}

func writeFault(w http.ResponseWriter, e *analysis.Error) {
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
	writeJSON(w, statusOf[e.Code], fault{
		Error: e.Error(), Code: e.Code, Message: e.Message, Field: e.Field, Limit: e.Limit, Value: e.Value,
		RetryAfter: e.RetryAfter.Seconds(),
	})
}

// readFault makes an error of an answer that is not 200.
func readFault(status int, header http.Header, body []byte, part string) *analysis.Error {
	var f fault
	if err := json.Unmarshal(body, &f); err != nil || f.Error == "" {
		f = fault{}
	}
	if _, ours := statusOf[f.Code]; ours {
		return &analysis.Error{
			Code: f.Code, Message: clip(f.Message), Field: clip(f.Field), Limit: clip(f.Limit), Value: clip(f.Value),
			RetryAfter: seconds(f.RetryAfter),
		}
	}
	code, known := foreignCode[status]
	if !known {
		return &analysis.Error{Code: analysis.BadUpstream, Message: "the " + part + " answered with status " + strconv.Itoa(status), Err: errors.New(clip(f.Error))}
	}
	e := analysis.Errorf(code, "the %s refused: %s", part, clip(f.Error))
	if f.Error == "" {
		e.Message = "the " + part + " answered with status " + strconv.Itoa(status)
	}
	if after, err := strconv.Atoi(header.Get("Retry-After")); err == nil {
		e.RetryAfter = seconds(float64(after))
	}
	return e
}

// seconds turns what a peer sent into a duration of at most an hour.
func seconds(s float64) time.Duration {
	if !(s > 0) {
		return 0
	}
	return time.Duration(min(s, 3600) * float64(time.Second))
}

// clip makes a peer's text fit for a message.
func clip(s string) string {
	const most = 1000
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil { // the values are our own structs of strings and finite numbers
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller is gone; there is nobody left to tell
}
