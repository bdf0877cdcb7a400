package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"consilium/gateway/api"
	"consilium/internal/analysis"
)

const (
	// eventsPoll is how often a stream looks for changes. A look is one row by its key unless something has changed.
	eventsPoll = 250 * time.Millisecond
	// eventsBeat is how often a stream without events shows that it is alive.
	eventsBeat = 15 * time.Second
	// eventsPage is how many items are read at a time.
	eventsPage = 500
	// eventsMargin is how long before the request's time is over a stream ends.
	eventsMargin = time.Second
	// maxJobStreams bounds the streams that are open at once.
	maxJobStreams = 256
)

// StreamJobEvents implements GET /v1/jobs/{job_id}/events.
func (s *server) StreamJobEvents(ctx context.Context, request api.StreamJobEventsRequestObject) (api.StreamJobEventsResponseObject, error) {
	job, err := s.Jobs.Job(ctx, request.JobId)
	if err != nil {
		return nil, err
	}
	told := int64(-1)
	if last := request.Params.LastEventID; last != nil {
		told, _ = strconv.ParseInt(*last, 10, 64) // the description allows digits only
	}
	if told > jobEvent(job.Sequence) { // of another job
		told = -1
	}
	if job.Over() && told == jobEvent(job.Sequence) {
		return api.StreamJobEvents204Response{}, nil
	}
	select {
	case s.jobStreams <- struct{}{}:
		return &events{ctx: ctx, server: s, id: job.ID, told: told}, nil
	default:
		return nil, &analysis.Error{Code: analysis.Overloaded, Message: "too many streams of events are open; GET the job instead", Limit: fmt.Sprintf("%d streams", maxJobStreams), Value: "more"}
	}
}

// The ids of the events of one change: that of its item, if one was finished, and then that of the job.
func itemEvent(sequence int64) int64 { return 2 * sequence }
func jobEvent(sequence int64) int64  { return 2*sequence + 1 }

// events is a stream of server-sent events.
type events struct {
	ctx    context.Context
	server *server
	id     string
	told   int64 // the id of the last event that the client knows, -1 for none
}

// VisitStreamJobEventsResponse tells changes until the job is over, the request's time is, or the client is gone. Whatever ends the
// stream, the client comes again with the id of the last event.
func (e *events) VisitStreamJobEventsResponse(w http.ResponseWriter) error {
	defer func() { <-e.server.jobStreams }()
	w.Header().Set("Content-Type", streamForm.mediaType)
	w.Header().Set("X-Accel-Buffering", "no") // of nginx, which else keeps events back
	stream := http.NewResponseController(w)
	ctx := e.ctx
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-min(eventsMargin, time.Until(deadline)/2)))
		defer cancel()
	}
	poll, beat := time.NewTicker(eventsPoll), time.NewTicker(eventsBeat)
	defer poll.Stop()
	defer beat.Stop()
	if _, err := fmt.Fprint(w, "retry: 1000\n\n"); err != nil {
		return nil // nobody is there to be told
	}
	for {
		over, err := e.tell(ctx, w)
		if err := errors.Join(err, stream.Flush()); err != nil || over {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-beat.C:
			if _, err := fmt.Fprint(w, ": alive\n\n"); err != nil {
				return nil
			}
		case <-poll.C:
		}
	}
}

// tell writes what has changed and reports whether the job is over.
func (e *events) tell(ctx context.Context, w http.ResponseWriter) (over bool, err error) {
	job, err := e.server.Jobs.Job(ctx, e.id)
	if err != nil {
		return false, err
	}
	if jobEvent(job.Sequence) <= e.told {
		return job.Over(), nil
	}
	for after := max(0, e.told/2); ; {
		items, err := e.server.Jobs.JobChanges(ctx, e.id, after, eventsPage)
		if err != nil {
			return false, err
		}
		for i := range items {
			if items[i].Sequence > job.Sequence { // is told with the next state of the job
				break
			}
			if err := writeEvent(w, "item", itemEvent(items[i].Sequence), jobItemOf(&items[i])); err != nil {
				return false, err
			}
		}
		if len(items) < eventsPage || items[len(items)-1].Sequence > job.Sequence {
			break
		}
		after = items[len(items)-1].Sequence
	}
	shown, err := e.server.jobOf(ctx, job)
	if err != nil {
		return false, err
	}
	e.told = jobEvent(job.Sequence)
	return job.Over(), writeEvent(w, "job", e.told, shown)
}

func writeEvent(w http.ResponseWriter, name string, id int64, data any) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("write an event: %w", err)
	}
	_, err = fmt.Fprintf(w, "id: %d\nevent: %s\ndata: %s\n\n", id, name, raw)
	return err
}
