package analysis

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ReportStatus is the state that a report is in.
type ReportStatus string

// The states of a report.
const (
	ReportPreliminary ReportStatus = "preliminary" // no person has signed
	ReportFinal       ReportStatus = "final"       // a person has signed
	ReportAmended     ReportStatus = "amended"     // changed by a person after it was signed, who signs with the change
	ReportRejected    ReportStatus = "rejected"    // not to be used
)

// ReportAction is what is done with a report.
type ReportAction string

// What can be done with a report.
const (
	CreateReport ReportAction = "create" // by the platform
	SignReport   ReportAction = "sign"
	AmendReport  ReportAction = "amend"
	RejectReport ReportAction = "reject"
)

// transitions says to which state an action leads from each state that allows it.
var transitions = map[ReportAction]map[ReportStatus]ReportStatus{
	SignReport:   {ReportPreliminary: ReportFinal},
	AmendReport:  {ReportPreliminary: ReportPreliminary, ReportFinal: ReportAmended, ReportAmended: ReportAmended},
	RejectReport: {ReportPreliminary: ReportRejected, ReportFinal: ReportRejected, ReportAmended: ReportRejected},
}

// After returns the state that an action leads to; a Conflict that names state and action if it is not allowed.
func (s ReportStatus) After(action ReportAction) (ReportStatus, error) {
	if next, ok := transitions[action][s]; ok {
		return next, nil
	}
	var from []string
	for state := range transitions[action] {
		from = append(from, string(state))
	}
	slices.Sort(from)
	return "", &Error{Code: Conflict, Field: "status", Message: fmt.Sprintf("the report is %s, which does not allow to %s it", s, action),
		Limit: strings.Join(from, " or "), Value: string(s)}
}

// Signed reports whether a person answers for a report in this state.
func (s ReportStatus) Signed() bool { return s == ReportFinal || s == ReportAmended }

// Person is who did something, as the request says. What was checked is the key of the event, if it has one.
type Person struct {
	Name string
	Role string
}

// ReportEvent is one thing that was done with a report. Events are never changed.
type ReportEvent struct {
	Revision int // 1 for the first of the report, then one more each time
	Action   ReportAction
	Status   ReportStatus // the state after it
	Version  int          // the version that it made or was about
	SHA256   string       // of what that version says, lower-case hex
	By       Person       // empty for CreateReport
	Key      string       // the name of the key by which it was done, "" where nobody needs one
	Reason   string       // of AmendReport and RejectReport
	TraceID  string
	At       time.Time
}

// OtherRevision is the Field of the Conflict of a change to a report that was changed by somebody else meanwhile.
const OtherRevision = "revision"

// MaxReportVersions bounds the versions of one report.
const MaxReportVersions = 100

// Event returns the newest event about the version that r is of. Every report that a Store returns has one.
func (r *DiagnosticReport) Event() *ReportEvent {
	for i := len(r.Events) - 1; i >= 0; i-- {
		if r.Events[i].Version == r.Version {
			return &r.Events[i]
		}
	}
	return &ReportEvent{Revision: 1, Action: CreateReport, Status: ReportPreliminary, Version: 1, At: r.CreatedAt}
}

// Latest returns the report's newest event.
func (r *DiagnosticReport) Latest() *ReportEvent {
	if len(r.Events) == 0 {
		return r.Event()
	}
	return &r.Events[len(r.Events)-1]
}

// Status returns the state of the version that r is of: that of the report, or, for an earlier version, the one that it
// was in last. Every version of a rejected report is rejected.
func (r *DiagnosticReport) Status() ReportStatus {
	if latest := r.Latest(); latest.Status == ReportRejected {
		return ReportRejected
	}
	return r.Event().Status
}

// Signature returns the event by which a person took responsibility for the version that r is of, nil if nobody did.
func (r *DiagnosticReport) Signature() *ReportEvent {
	for i := range r.Events {
		if e := &r.Events[i]; e.Version == r.Version && (e.Action == SignReport || e.Action == AmendReport && e.Status.Signed()) {
			return e
		}
	}
	return nil
}

// ReportStore keeps what people do with reports, with the rules of Store.
type ReportStore interface {
	// ReportVersion returns one version of a report, as it was written.
	ReportVersion(ctx context.Context, id string, version int) (*DiagnosticReport, error)
	// ChangeReport stores what was done with a report whose newest event is of the revision event.Revision - 1, and sets
	// the event's digest and time. A version is written with narrative for AmendReport, else narrative is nil. It is a
	// Conflict with the field OtherRevision if there is a newer event.
	ChangeReport(ctx context.Context, id string, event *ReportEvent, narrative *Narrative) error
}
