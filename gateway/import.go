package gateway

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	slash "path"
	"slices"

	"consilium/gateway/api"
	"consilium/internal/analysis"
	"consilium/internal/blob"
	"consilium/internal/dicom"
	"consilium/internal/importer"
)

const (
	// importStudies is the operation whose body goes to disk as it comes; importRoom is what working on it takes, the
	// files of one study twice, and the table.
	importStudies = "importStudies"
	importRoom    = 2*importer.MaxStudyBytes + importer.MaxTableBytes
	// maxImports is how many imports may run at once: their bodies lie on disk meanwhile.
	maxImports = 2
)

// ImportStudies implements POST /v1/studies:import.
func (s *server) ImportStudies(ctx context.Context, request api.ImportStudiesRequestObject) (api.ImportStudiesResponseObject, error) {
	select {
	case s.imports <- struct{}{}:
		defer func() { <-s.imports }()
	default:
		return nil, &analysis.Error{Code: analysis.Overloaded, Message: "too many imports are in progress",
			Limit: fmt.Sprintf("%d imports at once", maxImports), Value: "more"}
	}
	archive, err := s.readArchive(&request)
	if archive != nil {
		defer func() {
			if err := archive.Close(); err != nil {
				s.Log.ErrorContext(ctx, "a scratch file stays open", "error", err.Error())
			}
		}()
	}
	if err != nil {
		return nil, err
	}
	table, folder, err := archive.Table()
	if err != nil {
		return nil, err
	}
	run := &importRun{server: s, archive: archive, folder: folder, used: map[string]bool{}}
	for _, refusal := range archive.Refused {
		run.add(ctx, api.ImportItem{Files: []string{refusal.Name}}, refusal.Err)
	}
	if table == nil {
		run.files(ctx)
	} else {
		rows, err := importer.ReadTable(table, columnsOf(&request.Params))
		if err != nil {
			return nil, err
		}
		run.rows(ctx, rows)
	}
	if run.broken != nil && run.report.Created+run.report.Exists == 0 {
		return nil, run.broken
	}
	if len(run.report.Items) == 0 {
		return nil, analysis.Invalid("body", "there is nothing to import: neither a row of a table nor a file")
	}
	return api.ImportStudies200JSONResponse(run.report), nil
}

// readArchive reads the body into a scratch file. An archive that it returns is the caller's to close, whatever the error.
func (s *server) readArchive(request *api.ImportStudiesRequestObject) (*importer.Archive, error) {
	scratch, err := s.Scratch()
	if err != nil {
		return nil, err
	}
	var archive *importer.Archive
	if request.MultipartBody != nil {
		archive, err = importer.ReadForm(request.MultipartBody, scratch)
	} else {
		body := bufio.NewReader(request.Body)
		if start, _ := body.Peek(4); bytes.HasPrefix(start, []byte("PK")) { // an error is met again by who reads on
			archive, err = importer.ReadZip(body, scratch)
		} else {
			archive, err = importer.ReadTar(body, scratch)
		}
	}
	if err != nil {
		return archive, bodyError(err)
	}
	return archive, nil
}

func columnsOf(params *api.ImportStudiesParams) importer.Columns {
	name := func(p *string) string {
		if p == nil {
			return ""
		}
		return *p
	}
	columns := importer.Columns{File: name(params.File), Accession: name(params.Accession), Title: name(params.Title), Note: name(params.Note), Date: name(params.StudyDate)}
	if params.Label != nil {
		columns.Labels = *params.Label
	}
	return columns
}

// importRun is one import.
type importRun struct {
	*server
	archive *importer.Archive
	folder  string // which the names in the table stand in
	used    map[string]bool
	report  api.ImportReport
	// broken is the error that was not the sender's, after which nothing more is tried.
	broken error
}

// add notes what became of a study: it was refused if err is not nil.
func (r *importRun) add(ctx context.Context, item api.ImportItem, err error) {
	switch {
	case err != nil:
		problem, _ := problemOf(ctx, err)
		item.Status, item.Problem = api.Refused, &problem
		r.report.Refused++
		if (problem.Status >= http.StatusInternalServerError || problem.Status == statusClientGone) && r.broken == nil {
			r.broken = err
			r.Log.ErrorContext(ctx, "import ended early", "error", err.Error())
		}
	case item.Status == api.Created:
		r.report.Created++
	default:
		r.report.Exists++
	}
	r.report.Items = append(r.report.Items, item)
}

// rows imports the studies of a table.
func (r *importRun) rows(ctx context.Context, rows []importer.Row) {
	for i := range rows {
		row := &rows[i]
		item := api.ImportItem{Line: &row.Line, Files: append([]string{}, row.Files...)}
		err := row.Err
		if err == nil {
			err = r.broken
		}
		if err == nil {
			err = r.row(ctx, row, &item)
		}
		r.add(ctx, item, err)
	}
	for _, name := range r.archive.Names() {
		if !r.used[name] && slash.Base(name) != importer.TableName {
			r.report.UnusedFiles++
		}
	}
}

// row stores one study, unless it is there.
func (r *importRun) row(ctx context.Context, row *importer.Row, item *api.ImportItem) error {
	contents, digests := make([][]byte, len(row.Files)), make([]string, len(row.Files))
	room := int64(importer.MaxStudyBytes)
	for i, name := range row.Files {
		name = slash.Clean(r.folder + name)
		r.used[name] = true
		content, err := r.archive.Read(name, min(room, max(r.Limits.ImageBytes, r.Limits.AudioBytes)))
		if err != nil {
			return relabel(err, row.Files[i])
		}
		room -= int64(len(content))
		contents[i], digests[i] = content, blob.Digest(content)
	}
	d := &draft{study: row.Study()}
	d.study.ImportSHA256 = row.Key(digests)
	if there, err := r.exists(ctx, row, d.study.ImportSHA256, item); there || err != nil {
		return err
	}
	for i, content := range contents {
		modality, err := modalityOf(row.Files[i], content)
		if err == nil {
			err = r.addContent(ctx, d, modality, row.Files[i], content)
		}
		if err != nil {
			return err
		}
	}
	if row.Note != "" {
		if err := r.addContent(ctx, d, analysis.Text, "note", []byte(row.Note)); err != nil {
			return err
		}
	}
	return r.create(ctx, row, d, item)
}

// exists says that the study was imported before, and refuses one that was with other labels.
func (r *importRun) exists(ctx context.Context, row *importer.Row, key string, item *api.ImportItem) (bool, error) {
	stored, err := r.Store.ImportedStudies(ctx, []string{key})
	if err != nil || len(stored) == 0 {
		return false, err
	}
	item.Status, item.StudyId = api.Exists, &stored[0].ID
	return true, row.Same(stored[0].Title, stored[0].Date, stored[0].Labels)
}

func (r *importRun) create(ctx context.Context, row *importer.Row, d *draft, item *api.ImportItem) error {
	err := r.storeDraft(ctx, d)
	if fieldOf(err) == analysis.SameImport { // by another import at the same time
		var there bool
		if there, err = r.exists(ctx, row, d.study.ImportSHA256, item); there || err != nil {
			return err
		}
		return &analysis.Error{Code: analysis.Unavailable, Message: "the study is being deleted"}
	}
	if err != nil {
		return err
	}
	item.Status, item.StudyId = api.Created, &d.study.ID
	if len(d.warnings) > 0 {
		item.Warnings = &d.warnings
	}
	return nil
}

// modalityOf tells what a file is by its first bytes; text has none of its own, so it is known by its name.
func modalityOf(name string, content []byte) (analysis.Modality, error) {
	switch {
	case bytes.HasPrefix(content, []byte("RIFF")):
		return analysis.Audio, nil
	case slices.Contains([]string{".txt", ".md"}, slash.Ext(name)):
		return analysis.Text, nil
	case dicom.Is(content), bytes.HasPrefix(content, []byte("\x89PNG")), bytes.HasPrefix(content, []byte("\xff\xd8")):
		return analysis.Image, nil
	case len(content) == 0:
		return "", &analysis.Error{Code: analysis.InvalidArgument, Field: name, Message: "the file is empty"}
	}
	return "", &analysis.Error{Code: analysis.UnsupportedMedia, Field: name, Message: "the file is of no kind that is read", Limit: "DICOM, PNG, JPEG, WAV or .txt"}
}

// files imports an archive without a table.
func (r *importRun) files(ctx context.Context) {
	for _, name := range r.archive.Names() {
		item := api.ImportItem{Files: []string{name}}
		err := r.broken
		if err == nil {
			err = r.file(ctx, name, &item)
		}
		r.add(ctx, item, err)
	}
}

// file stores one file as a study, or as an instance of the study of DICOM that it names.
func (r *importRun) file(ctx context.Context, name string, item *api.ImportItem) error {
	content, err := r.archive.Read(name, max(r.Limits.ImageBytes, r.Limits.AudioBytes))
	if err != nil {
		return relabel(err, name)
	}
	if dicom.Is(content) {
		return relabel(r.instance(ctx, content, item), name)
	}
	if ext := slash.Ext(name); ext == ".txt" || ext == ".md" {
		return analysis.Invalid(name, "a text alone is no study; name it in a table beside a picture or a sound")
	}
	row := &importer.Row{Files: []string{name}, Title: clip(slash.Base(name)), Labels: map[string]string{}}
	d := &draft{study: row.Study()}
	d.study.ImportSHA256 = row.Key([]string{blob.Digest(content)})
	if there, err := r.exists(ctx, row, d.study.ImportSHA256, item); there || err != nil {
		return err
	}
	modality, err := modalityOf(name, content)
	if err == nil {
		err = r.addContent(ctx, d, modality, name, content)
	}
	if err != nil {
		return err
	}
	return r.create(ctx, row, d, item)
}

// instance stores a file of DICOM as DICOMweb does.
func (r *importRun) instance(ctx context.Context, content []byte, item *api.ImportItem) error {
	in, err := receive(r.cleanerOf(analysis.Tenant(ctx)), content)
	if err != nil {
		return err
	}
	i := in.instance
	item.Status, item.StudyInstanceUid = api.Created, &i.StudyUID
	stored, err := r.Instances.Instances(ctx, analysis.InstancePage{StudyUID: i.StudyUID, SeriesUID: i.SeriesUID, UID: i.UID, After: -1, Limit: 1})
	if err != nil {
		return err
	}
	if len(stored) > 0 {
		item.Status = api.Exists
	}
	err = r.Instances.StoreInstance(ctx, i, in.content)
	if fieldOf(err) == analysis.OtherBytes && r.hasPicture(ctx, in) {
		in.warnings, err = append(in.warnings, "the same picture was stored before; the first file stays"), nil
	}
	if len(in.warnings) > 0 {
		item.Warnings = &in.warnings
	}
	return err
}

// FindImported implements POST /v1/studies:imported.
func (s *server) FindImported(ctx context.Context, request api.FindImportedRequestObject) (api.FindImportedResponseObject, error) {
	studies, err := s.Store.ImportedStudies(ctx, request.Body.ImportSha256)
	if err != nil {
		return nil, err
	}
	found := api.FindImported200JSONResponse{Studies: []api.Study{}}
	for i := range studies {
		found.Studies = append(found.Studies, studyOf(&studies[i]))
	}
	return found, nil
}
