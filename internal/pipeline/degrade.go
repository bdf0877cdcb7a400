package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"consilium/internal/analysis"
)

// losses collects what one analysis has to do without.
type losses struct {
	whole bool // the caller wants everything or an error

	mu     sync.Mutex
	errors map[analysis.Modality]error
}

// bear returns nil and remembers the loss of a modality if err says that a part is down and the caller takes what
// is left, else err.
func (l *losses) bear(modality analysis.Modality, err error) error {
	if code := analysis.CodeOf(err); l.whole || code != analysis.Unavailable && code != analysis.Overloaded {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.errors == nil {
		l.errors = map[analysis.Modality]error{}
	}
	l.errors[modality] = err
	return nil
}

// first returns the error of the first modality that was lost.
func (l *losses) first() error {
	for _, modality := range analysis.Modalities {
		if err := l.errors[modality]; err != nil {
			return err
		}
	}
	return nil
}

// list returns what was lost, in the order of the modalities, with reasons fit for the user; nil for nothing.
func (l *losses) list() []analysis.Degradation {
	var list []analysis.Degradation
	for _, modality := range analysis.Modalities {
		var e *analysis.Error
		if errors.As(l.errors[modality], &e) {
			list = append(list, analysis.Degradation{Modality: modality, Reason: e.Message})
		}
	}
	return list
}

// inTime gives encode at most limit, 0 for no bound. An encoder that does not make it while the request still has
// time is down like one that cannot be reached.
func inTime(ctx context.Context, limit time.Duration, modality analysis.Modality,
	encode func(context.Context) ([]*analysis.Features, error)) ([]*analysis.Features, error) {
	if limit == 0 {
		return encode(ctx)
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	features, err := encode(limited)
	if analysis.CodeOf(err) == analysis.Canceled && limited.Err() != nil && ctx.Err() == nil {
		return nil, &analysis.Error{Code: analysis.Unavailable, Message: fmt.Sprintf("the %s encoder did not answer within %s", modality, limit), Err: err}
	}
	return features, err
}
