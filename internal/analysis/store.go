package analysis

import "context"

// DefaultTenant owns every row until keys name another tenant.
const DefaultTenant = "default"

type tenantKey struct{}

// WithTenant returns a context whose store calls see and write this tenant's rows only.
func WithTenant(ctx context.Context, tenant string) context.Context {
	return context.WithValue(ctx, tenantKey{}, tenant)
}

// Tenant returns the context's tenant, "" if none was set; a store then refuses the call.
func Tenant(ctx context.Context) string {
	tenant, _ := ctx.Value(tenantKey{}).(string)
	return tenant
}

// Page is a position in a list that is sorted from the newest to the oldest.
type Page struct {
	After string // the id of the last item that was seen, "" for the start
	Limit int    // how many items at most, 1 or more
}

// SameImport is the Field of the Conflict of a study that was imported before.
const SameImport = "import"

// Store keeps studies, answers and reports, each visible to the context's tenant alone: what belongs to another
// tenant is NotFound. A call stores all that it was given or nothing. When the storage is down a call returns
// Unavailable.
type Store interface {
	// CreateStudy stores a study; contents[i] are the bytes of study.Artefacts[i]. It sets the ids, the
	// digests, the sizes and the time in study. An accession that the tenant already uses is a Conflict, and so is an
	// ImportSHA256, with the field SameImport.
	CreateStudy(ctx context.Context, study *Study, contents [][]byte) error
	// Study returns one study with its artefacts.
	Study(ctx context.Context, id string) (*Study, error)
	// Studies returns one page of the studies that filter chooses with their artefacts.
	Studies(ctx context.Context, filter *StudyFilter, page Page) ([]Study, error)
	// ImportedStudies returns those of the studies with these ImportSHA256 that are stored, with their artefacts.
	ImportedStudies(ctx context.Context, keys []string) ([]Study, error)
	// DeleteStudy removes a study with its artefacts, answers and reports, and the bytes that no other study
	// of the tenant holds.
	DeleteStudy(ctx context.Context, id string) error
	// Content returns the bytes of one artefact; the caller owns them.
	Content(ctx context.Context, artefact *Artefact) ([]byte, error)

	// CreateAnswer stores an answer and sets its id and time; NotFound if the study is gone. If the study has not the
	// artefacts any more that the answer was chosen OfArtefacts, it is a Conflict.
	CreateAnswer(ctx context.Context, answer *Answer) error
	// Answers returns one page of a study's answers.
	Answers(ctx context.Context, studyID string, page Page) ([]Answer, error)

	// CreateReport stores a report and sets its id and time; NotFound if the study is gone.
	CreateReport(ctx context.Context, report *DiagnosticReport) error
	// Report returns one report.
	Report(ctx context.Context, id string) (*DiagnosticReport, error)
}
