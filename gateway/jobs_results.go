package gateway

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"consilium/gateway/api"
	"consilium/internal/analysis"
	"consilium/internal/jobs"
)

var (
	linesForm   = reportForm{mediaType: "application/x-ndjson"}
	tableForm   = reportForm{mediaType: "text/csv"}
	resultForms = []reportForm{linesForm, tableForm}
)

// resultsPage is how many items are read from the database at a time.
const resultsPage = 500

// results writes what came of a job, page by page.
type results struct {
	ctx   context.Context
	store jobs.Store
	job   *jobs.Job
	form  reportForm
	first []jobs.Item // read before the answer begins
}

// GetJobResults implements GET /v1/jobs/{job_id}/results.
func (s *server) GetJobResults(ctx context.Context, request api.GetJobResultsRequestObject) (api.GetJobResultsResponseObject, error) {
	job, err := s.Jobs.Job(ctx, request.JobId)
	if err != nil {
		return nil, err
	}
	first, err := s.Jobs.JobItems(ctx, job.ID, "", 0, resultsPage)
	if err != nil {
		return nil, err
	}
	form, _ := ctx.Value(formKey{}).(reportForm)
	return &results{ctx, s.Jobs, job, form, first}, nil
}

// VisitGetJobResultsResponse writes the results. If they cannot be read to the end it breaks the connection, which alone tells the client so.
func (r *results) VisitGetJobResultsResponse(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", r.form.mediaType)
	if r.form == tableForm {
		w.Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
	}
	w.Header().Set("Content-Disposition", `attachment; filename="job-`+r.job.ID+map[reportForm]string{linesForm: ".ndjson", tableForm: ".csv"}[r.form]+`"`)
	buffered := bufio.NewWriter(w)
	write, flush := r.lines(buffered)
	if r.form == tableForm {
		write, flush = r.table(buffered)
	}
	var err error
	for page := r.first; err == nil && len(page) > 0; {
		for i := range page {
			if page[i].State == jobs.ItemSucceeded || page[i].State == jobs.ItemFailed {
				err = errors.Join(err, write(&page[i]))
			}
		}
		if err == nil {
			page, err = r.store.JobItems(r.ctx, r.job.ID, "", page[len(page)-1].Position, resultsPage)
		}
	}
	if err := errors.Join(err, flush(), buffered.Flush()); err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}

func (r *results) lines(w io.Writer) (write func(*jobs.Item) error, flush func() error) {
	encoder := json.NewEncoder(w)
	return func(item *jobs.Item) error { return encoder.Encode(jobItemOf(item)) }, func() error { return nil }
}

// columns of a table: those of every task, then those of each.
var columns = map[jobs.Task][]string{
	jobs.Questions: {"question", "answer", "confidence", "status", "answer_id", "degraded"},
	jobs.Report:    {"report_id", "present", "probabilities", "degraded"},
	jobs.Embed:     {"text", "image", "audio"},
	jobs.Evaluate:  {"question", "answer", "confidence", "expected", "correct"},
}

func (r *results) table(w io.Writer) (write func(*jobs.Item) error, flush func() error) {
	table := csv.NewWriter(w)
	table.UseCRLF = true
	names := slices.Concat([]string{"position", "study_id", "state"}, columns[r.job.Task], []string{"problem"})
	err := table.Write(names)
	return func(item *jobs.Item) error {
			row := make([]string, len(names))
			for i, name := range names {
				row[i] = harmless(cell(item, name))
			}
			return errors.Join(err, table.Write(row))
		}, func() error {
			table.Flush()
			return errors.Join(err, table.Error())
		}
}

// cell returns what a column says of an item.
func cell(item *jobs.Item, column string) string {
	switch column {
	case "position":
		return strconv.Itoa(item.Position)
	case "study_id":
		return item.StudyID
	case "state":
		return string(item.State)
	case "question":
		return item.Question
	case "problem":
		if item.Problem != nil {
			return item.Problem.Message
		}
	}
	r := item.Result
	if r == nil {
		return ""
	}
	switch column {
	case "answer":
		return r.Answer
	case "confidence":
		return decimal(r.Confidence)
	case "status":
		return string(r.Status)
	case "answer_id":
		return r.AnswerID
	case "report_id":
		return r.ReportID
	case "expected":
		return r.Expected
	case "correct":
		if r.Correct != nil {
			return strconv.FormatBool(*r.Correct)
		}
	case "degraded":
		return strings.Join(each(r.Degraded, func(m *analysis.Modality) string { return string(*m) }), "; ")
	case "present", "probabilities":
		var labels []string
		for _, f := range r.Findings {
			if column == "probabilities" {
				labels = append(labels, f.Label+"="+decimal(f.Probability))
			} else if f.Present {
				labels = append(labels, f.Label)
			}
		}
		return strings.Join(labels, "; ")
	case "text", "image", "audio":
		var vectors []string // of several artefacts of one modality
		for _, e := range r.Embeddings {
			if string(e.Modality) == column {
				vectors = append(vectors, base64.StdEncoding.EncodeToString(e.Vector))
			}
		}
		return strings.Join(vectors, "; ")
	}
	return ""
}

func decimal(v float64) string { return strconv.FormatFloat(fraction(v), 'f', 6, 64) }

// harmless keeps a spreadsheet from taking what a user wrote for a formula.
func harmless(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}
