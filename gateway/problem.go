package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"consilium/gateway/api"
	"consilium/internal/analysis"
)

// statusError overrides the status that an error's code has: what the HTTP layer itself refuses.
type statusError struct {
	cause  *analysis.Error
	status int
	name   string // ends the problem's type, in place of the code
}

func (e *statusError) Error() string { return e.cause.Error() }
func (e *statusError) Unwrap() error { return e.cause }

// unreadable400 is an error about a request that cannot be read; 422 is for what can be read but is wrong.
func unreadable400(field, format string, args ...any) *statusError {
	return &statusError{cause: analysis.Invalid(field, format, args...), status: http.StatusBadRequest, name: string(analysis.InvalidArgument)}
}

// statusClientGone is what nginx logs for a client that did not wait; nobody reads it but the log and the metrics.
const statusClientGone = 499

// statusOf maps each code to its status. invalid_argument without a field is 400.
var statusOf = map[analysis.Code]int{
	analysis.InvalidArgument:  http.StatusUnprocessableEntity,
	analysis.UnsupportedMedia: http.StatusUnsupportedMediaType,
	analysis.TooLarge:         http.StatusRequestEntityTooLarge,
	analysis.NotFound:         http.StatusNotFound,
	analysis.Conflict:         http.StatusConflict,
	analysis.Overloaded:       http.StatusTooManyRequests,
	analysis.Unavailable:      http.StatusServiceUnavailable,
	analysis.BadUpstream:      http.StatusBadGateway,
	analysis.Canceled:         http.StatusGatewayTimeout,
	analysis.Internal:         http.StatusInternalServerError,
}

// problemType begins the type of every problem.
const problemType = "urn:consilium:problem:"

// retrySeconds is how long to wait before calling again if nobody knows better.
const retrySeconds = 2

// problemOf is the one place where an error becomes a status and a problem. What an operator needs to know but
// a user must not is left out; the log has it under the trace id.
func problemOf(ctx context.Context, err error) (problem api.Problem, retryAfter int) {
	var e *analysis.Error
	var override *statusError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &override):
		e = override.cause
	case errors.As(err, &e):
	case errors.As(err, &tooLarge):
		e = &analysis.Error{Code: analysis.TooLarge, Field: "body", Message: "the body is too large", Limit: fmt.Sprintf("%d bytes", tooLarge.Limit), Value: "more"}
	case errors.Is(err, os.ErrDeadlineExceeded):
		e = analysis.Invalid("body", "the body did not arrive in time")
		override = &statusError{cause: e, status: http.StatusRequestTimeout, name: "timeout"}
	case analysis.CodeOf(err) == analysis.Canceled:
		e = analysis.Errorf(analysis.Canceled, "the request was not finished in time")
	default:
		e = analysis.Errorf(analysis.Internal, "the request failed on our side; the log has the cause under this trace id")
	}
	status, name := statusOf[e.Code], string(e.Code)
	switch {
	case override != nil:
		status, name = override.status, override.name
	case status == 0:
		status, name = http.StatusInternalServerError, string(analysis.Internal)
	case e.Code == analysis.InvalidArgument && e.Field == "":
		status = http.StatusBadRequest
	case e.Code == analysis.Canceled && ctx.Err() != nil && !errors.Is(context.Cause(ctx), errTimeout):
		status = statusClientGone
	}
	problem = api.Problem{
		Type: problemType + name, Title: titleOf(status), Status: status, Detail: e.Message,
		Field: optional(e.Field), Limit: optional(e.Limit), Value: optional(e.Value), TraceId: traceID(ctx),
	}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		retryAfter = max(1, int(math.Ceil(e.RetryAfter.Seconds())))
		if e.RetryAfter == 0 {
			retryAfter = retrySeconds
		}
	}
	return problem, retryAfter
}

func titleOf(status int) string {
	if status == statusClientGone {
		return "Client Closed Request"
	}
	return http.StatusText(status)
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	return &s
}

// writeProblem answers with the problem that err is, and returns its status.
func writeProblem(w http.ResponseWriter, r *http.Request, err error) int {
	problem, retryAfter := problemOf(r.Context(), err)
	if problem.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="consilium"`)
	}
	if retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(problem.Status)
	if err := json.NewEncoder(w).Encode(problem); err != nil {
		return statusClientGone // nobody is there to be told
	}
	return problem.Status
}

// fail answers a request that ended in an error, and logs what the answer does not say.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	if status := writeProblem(w, r, err); status >= 500 {
		s.Log.ErrorContext(r.Context(), "request failed", "method", r.Method, "route", r.Pattern, "status", status, "error", err.Error())
	}
}

// unreadable answers a body that the generated server could not read.
func (s *server) unreadable(w http.ResponseWriter, r *http.Request, err error) {
	s.fail(w, r, bodyError(err))
}

// bodyError tells a body that is too large or late from one that is malformed.
func bodyError(err error) error {
	var tooLarge *http.MaxBytesError
	var coded *analysis.Error
	if errors.As(err, &tooLarge) || errors.As(err, &coded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.Canceled) {
		return err
	}
	e := unreadable400("body", "the body is malformed or ends early")
	e.cause.Err = err
	return e
}

// badParameter answers a parameter that the generated server could not read.
func (s *server) badParameter(w http.ResponseWriter, r *http.Request, err error) {
	var missing *api.RequiredParamError
	if errors.As(err, &missing) {
		s.fail(w, r, unreadable400(missing.ParamName, "the query parameter is missing"))
		return
	}
	var format *api.InvalidParamFormatError
	if !errors.As(err, &format) {
		s.fail(w, r, unreadable400("", "a parameter cannot be read"))
		return
	}
	e := unreadable400(format.ParamName, "the parameter cannot be read")
	e.cause.Value = clip(r.URL.Query().Get(format.ParamName))
	s.fail(w, r, e)
}

func (s *server) unknownRoute(w http.ResponseWriter, r *http.Request) {
	e := analysis.Errorf(analysis.NotFound, "no such route; /docs lists them")
	e.Field, e.Value = "path", clip(r.URL.Path)
	s.fail(w, r, e)
}

func (s *server) unknownMethod(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodDelete, http.MethodGet, http.MethodHead, http.MethodPost} {
		asked := method
		if method == http.MethodHead {
			asked = http.MethodGet
		}
		if s.routes.Match(chi.NewRouteContext(), asked, r.URL.Path) {
			allowed = append(allowed, method)
		}
	}
	slices.Sort(allowed)
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	e := analysis.Invalid("method", "this route does not know the method")
	e.Limit, e.Value = strings.Join(allowed, ", "), clip(r.Method)
	s.fail(w, r, &statusError{cause: e, status: http.StatusMethodNotAllowed, name: "method_not_allowed"})
}

// clip shortens a value that is shown back to whoever sent it.
func clip(value string) string {
	const most = 64
	value = strings.ToValidUTF8(value, "\uFFFD")
	if len(value) <= most {
		return value
	}
	return strings.ToValidUTF8(value[:most], "") + "…"
}
