// Package sender brings a folder of studies to a running platform.
package sender

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"time"

	"consilium/gateway/client"
	"consilium/internal/analysis"
	"consilium/internal/importer"
)

// The bounds of one request: small enough for progress to be seen, and for little to be sent twice.
const (
	batchStudies = 64
	batchBytes   = 32 << 20
)

// attempts is how often a request is sent again that the platform could not take; longestWait bounds each wait.
const (
	attempts    = 6
	longestWait = 30 * time.Second
)

// Refusal is a study that was not imported.
type Refusal struct {
	Line  int // of the table, 0 without one
	Files []string
	Err   error
}

// Report is what became of an import. When it ended early, running it again goes on where it ended.
type Report struct {
	Studies                  int // that there are
	Created, Exists, Refused int
	Refusals                 []Refusal
}

// Done is how many studies are dealt with.
func (r *Report) Done() int { return r.Created + r.Exists + r.Refused }

// study is one study on its way.
type study struct {
	row      *importer.Row
	contents [][]byte
	key      string // "" if it is not known by one
}

// Sender sends one import.
type Sender struct {
	API *client.ClientWithResponses
	// Progress is called after each request.
	Progress func(*Report)
	report   Report
}

// Send imports everything that source holds. Whatever the platform refuses is in the report; an error means that the
// import ended early.
func (s *Sender) Send(ctx context.Context, source *Source) (*Report, error) {
	s.report = Report{Studies: len(source.Rows)}
	var batch []study
	var size int64
	flush := func() error {
		if len(batch) > 0 {
			if err := s.sendBatch(ctx, source.Table, batch); err != nil {
				return err
			}
		}
		batch, size = nil, 0
		s.Progress(&s.report)
		return nil
	}
	for i := range source.Rows {
		if err := ctx.Err(); err != nil {
			return &s.report, err
		}
		item, bytes, err := source.read(&source.Rows[i])
		if err != nil {
			s.refuse(&source.Rows[i], err)
			continue
		}
		if len(batch) == batchStudies || size+bytes > batchBytes && len(batch) > 0 {
			if err := flush(); err != nil {
				return &s.report, err
			}
		}
		batch, size = append(batch, item), size+bytes
	}
	return &s.report, flush()
}

func (s *Sender) refuse(row *importer.Row, err error) {
	s.report.Refused++
	s.report.Refusals = append(s.report.Refusals, Refusal{row.Line, row.Files, err})
}

// sendBatch sends what the platform does not have.
func (s *Sender) sendBatch(ctx context.Context, table bool, batch []study) error {
	known, err := s.known(ctx, batch)
	if err != nil {
		return err
	}
	var fresh []study
	for _, item := range batch {
		stored, there := known[item.key]
		switch {
		case !there:
			fresh = append(fresh, item)
		case !table || item.row.Same(stored.Title, text(stored.StudyDate), stored.Labels) == nil:
			s.report.Exists++
		default:
			s.refuse(item.row, item.row.Same(stored.Title, text(stored.StudyDate), stored.Labels))
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	body, err := pack(table, fresh)
	if err != nil {
		return err
	}
	var report *client.ImportReport
	err = s.retry(ctx, func() (*http.Response, error) {
		r, err := s.API.ImportStudiesWithBodyWithResponse(ctx, &client.ImportStudiesParams{}, "application/octet-stream", bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		if report = r.JSON200; report == nil {
			return r.HTTPResponse, refused(r.ApplicationproblemJSONDefault, r.Body)
		}
		for i := range report.Items { // what was not tried because something of the platform's is down
			if p := report.Items[i].Problem; p != nil && p.Status >= http.StatusInternalServerError {
				return &http.Response{StatusCode: http.StatusServiceUnavailable}, p
			}
		}
		return r.HTTPResponse, nil
	})
	if err != nil {
		return fmt.Errorf("import studies: %w", err)
	}
	if len(report.Items) != len(fresh) {
		return fmt.Errorf("import studies: the platform answered for %d of %d", len(report.Items), len(fresh))
	}
	byFile := map[string]study{}
	for _, item := range fresh {
		byFile[first(item.row.Files)] = item
	}
	for i, item := range report.Items {
		sent, ok := fresh[i], true
		if !table {
			sent, ok = byFile[first(item.Files)]
		}
		if !ok {
			return fmt.Errorf("import studies: the platform answered for %q, which was not sent", item.Files)
		}
		switch {
		case item.Status == client.Created:
			s.report.Created++
		case item.Status == client.Exists:
			s.report.Exists++
		case item.Problem != nil:
			s.refuse(sent.row, item.Problem)
		default:
			s.refuse(sent.row, errors.New("the platform did not say why"))
		}
	}
	return nil
}

func first(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// known returns the studies of the batch that are stored, by their key.
func (s *Sender) known(ctx context.Context, batch []study) (map[string]client.Study, error) {
	var keys []string
	for _, item := range batch {
		if item.key != "" {
			keys = append(keys, item.key)
		}
	}
	known := map[string]client.Study{}
	if len(keys) == 0 {
		return known, nil
	}
	err := s.retry(ctx, func() (*http.Response, error) {
		r, err := s.API.FindImportedWithResponse(ctx, client.FindImportedJSONRequestBody{ImportSha256: keys})
		if err != nil {
			return nil, err
		}
		if r.JSON200 == nil {
			return r.HTTPResponse, refused(r.ApplicationproblemJSONDefault, r.Body)
		}
		for _, study := range r.JSON200.Studies {
			known[text(study.ImportSha256)] = study
		}
		return r.HTTPResponse, nil
	})
	if err != nil {
		return nil, fmt.Errorf("ask what was imported: %w", err)
	}
	return known, nil
}

func refused(problem *client.Problem, body []byte) error {
	if problem != nil {
		return problem
	}
	return fmt.Errorf("the platform answered %.200q", body)
}

// retry calls send until the platform takes the request: nothing that was stored is stored twice.
func (s *Sender) retry(ctx context.Context, send func() (*http.Response, error)) error {
	wait := time.Second
	for n := 1; ; n++ {
		response, err := send()
		if err == nil || ctx.Err() != nil || n == attempts {
			return err
		}
		pause := wait
		if response != nil {
			if response.StatusCode != http.StatusTooManyRequests && response.StatusCode < http.StatusInternalServerError {
				return err
			}
			if seconds, parseErr := strconv.Atoi(response.Header.Get("Retry-After")); parseErr == nil {
				pause = time.Duration(seconds) * time.Second
			}
		}
		wait *= 2
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(pause, longestWait)):
		}
	}
}

// pack writes studies as the platform reads them.
func pack(table bool, studies []study) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	file := func(name string, content []byte) error {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg}); err != nil {
			return err
		}
		_, err := w.Write(content)
		return err
	}
	var errs []error
	if table {
		rows := make([]importer.Row, len(studies))
		for i := range studies {
			rows[i] = *studies[i].row
		}
		var csv bytes.Buffer
		errs = append(errs, importer.WriteTable(&csv, rows), file(importer.TableName, csv.Bytes()))
	}
	written := map[string]bool{}
	for _, item := range studies {
		for i, name := range item.row.Files {
			if name = path.Clean(name); !written[name] {
				written[name] = true
				errs = append(errs, file(name, item.contents[i]))
			}
		}
	}
	if err := errors.Join(append(errs, w.Close())...); err != nil {
		return nil, fmt.Errorf("pack studies: %w", err)
	}
	return b.Bytes(), nil
}

// tooBig refuses a file before it is read.
func tooBig(name string, bytes int64) error {
	return &analysis.Error{Code: analysis.TooLarge, Field: name, Message: "the file is too large", Limit: strconv.Itoa(importer.MaxStudyBytes) + " bytes", Value: strconv.FormatInt(bytes, 10) + " bytes"}
}
