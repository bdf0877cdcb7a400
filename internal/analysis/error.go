package analysis

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Code classifies an error. It crosses the wire between services, and the gateway maps it to one HTTP status.
type Code string

const (
	// InvalidArgument: a value that the caller sent is wrong; repeating the call cannot help.
	InvalidArgument Code = "invalid_argument"
	// UnsupportedMedia: the bytes are of a kind that is not read.
	UnsupportedMedia Code = "unsupported_media"
	// TooLarge: a published limit is exceeded.
	TooLarge Code = "too_large"
	// NotFound: the named thing does not exist for this tenant.
	NotFound Code = "not_found"
	// Conflict: the state of the thing does not allow the call.
	Conflict Code = "conflict"
	// Overloaded: a queue is full; the call may be repeated later.
	Overloaded Code = "overloaded"
	// Unavailable: a part that the call needs is down.
	Unavailable Code = "unavailable"
	// BadUpstream: a part answered, but with something that breaks its contract.
	BadUpstream Code = "bad_upstream"
	// Canceled: the caller went away or its deadline passed.
	Canceled Code = "canceled"
	// Internal: a bug or an unforeseen failure on our side.
	Internal Code = "internal"
)

// Error is an error with a Code. Message says what was being done and to what; it is shown to the user,
// so it never holds secrets, addresses or stack traces. Err, if any, is for the operator's log only.
type Error struct {
	Code    Code
	Message string
	Field   string // the request field at fault, "" if none
	Limit   string // the limit that was exceeded, with its unit, "" if none
	Value   string // the value found, with its unit, "" if none
	// RetryAfter is how long to wait before the call is worth repeating, for Overloaded; 0 if unknown.
	RetryAfter time.Duration
	Err        error
}

func (e *Error) Error() string {
	s := e.Message
	if e.Field != "" {
		s = e.Field + ": " + s
	}
	if e.Limit != "" || e.Value != "" {
		s += fmt.Sprintf(" (limit %s, found %s)", e.Limit, e.Value)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Errorf returns an Error with a formatted message for the user; set Err for what only the log may hold.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Invalid returns an InvalidArgument error about one request field.
func Invalid(field, format string, args ...any) *Error {
	return &Error{Code: InvalidArgument, Field: field, Message: fmt.Sprintf(format, args...)}
}

// CodeOf returns the code of the first Error in err's chain; Canceled for a context's end, else Internal.
// The code of nil is "".
func CodeOf(err error) Code {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Code
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Canceled
	}
	return Internal
}
