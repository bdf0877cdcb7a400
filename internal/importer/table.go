package importer

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"consilium/internal/analysis"
)

// Columns names the columns of a table that mean something. The zero value takes the default names; a column that is
// named has to be there.
type Columns struct {
	File, Accession, Title, Note, Date string
	// Labels are the columns that become labels; nil for all that are nothing else.
	Labels []string
}

// The default names.
var defaults = Columns{File: "file", Accession: "accession", Title: "title", Note: "note", Date: "study_date"}

// LabelPrefix marks a column that is a label whatever its name.
const LabelPrefix = "label:"

// separator divides the files of one study.
const separator = "|"

// Row is one study of a table.
type Row struct {
	Line      int // of the table, from 1
	Files     []string
	Accession string
	Title     string
	Note      string
	Date      string
	Labels    map[string]string
	// Err says why the row cannot be imported, nil if it can as far as the table goes.
	Err error
}

// Study returns the row as a study without artefacts.
func (r *Row) Study() *analysis.Study {
	return &analysis.Study{Title: r.Title, Accession: r.Accession, Date: r.Date, Labels: r.Labels}
}

// Key identifies what a study is made of: its files as they are before anything is taken out of them, its note and its
// accession. digests are the SHA-256 of the files, in order, in lower-case hex.
func (r *Row) Key(digests []string) string {
	made, err := json.Marshal(struct {
		Accession string   `json:"accession"`
		Note      string   `json:"note"`
		Files     []string `json:"files"`
	}{r.Accession, r.Note, digests})
	if err != nil {
		panic("importer: strings are JSON: " + err.Error())
	}
	sum := sha256.Sum256(made)
	return hex.EncodeToString(sum[:])
}

// Same returns a Conflict if the study that is stored under the row's key says something else of it.
func (r *Row) Same(title, date string, labels map[string]string) error {
	for _, f := range []struct{ field, stored, found string }{{"title", title, r.Title}, {"study_date", date, r.Date}} {
		if f.stored != f.found {
			return &analysis.Error{Code: analysis.Conflict, Field: f.field, Message: "the study was imported with another value; delete it to import it anew", Limit: f.stored, Value: f.found}
		}
	}
	if !maps.Equal(labels, r.Labels) {
		return &analysis.Error{Code: analysis.Conflict, Field: "labels", Message: "the study was imported with other labels; delete it to import it anew"}
	}
	return nil
}

// ReadTable reads a table in CSV (RFC 4180) whose first line names the columns. A row at fault is returned with its Err;
// the error is about the table as a whole.
func ReadTable(r io.Reader, columns Columns) ([]Row, error) {
	raw, err := io.ReadAll(io.LimitReader(r, MaxTableBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the table: %w", err)
	}
	if len(raw) > MaxTableBytes {
		return nil, tooLarge(TableName, "the table is too large", fmt.Sprintf("%d bytes", MaxTableBytes), "more")
	}
	raw = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(raw) || bytes.IndexByte(raw, 0) >= 0 {
		return nil, analysis.Invalid(TableName, "the table is not text in UTF-8")
	}
	reader := csv.NewReader(bytes.NewReader(raw))
	reader.ReuseRecord, reader.FieldsPerRecord = true, -1
	header, err := reader.Read()
	if errors.Is(err, io.EOF) {
		return nil, analysis.Invalid(TableName, "the table is empty")
	}
	if err != nil {
		return nil, malformed(err)
	}
	layout, err := columns.find(slices.Clone(header))
	if err != nil {
		return nil, err
	}
	var rows []Row
	for {
		cells, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, malformed(err)
		}
		if len(rows) == MaxRows {
			return nil, tooLarge(TableName, "the table has too many rows", fmt.Sprintf("%d rows", MaxRows), "more")
		}
		line, _ := reader.FieldPos(0)
		rows = append(rows, layout.row(line, cells))
	}
}

func malformed(err error) error {
	e := analysis.Invalid(TableName, "the table is no CSV")
	var parse *csv.ParseError
	if errors.As(err, &parse) {
		e.Value = fmt.Sprintf("line %d: %v", parse.Line, parse.Err)
	}
	return e
}

// layout says which column is what, -1 for none.
type layout struct {
	columns                            int
	file, accession, title, note, date int
	labels                             map[string]int
}

func (c Columns) find(header []string) (*layout, error) {
	if len(header) > MaxColumns {
		return nil, tooLarge(TableName, "the table has too many columns", fmt.Sprintf("%d columns", MaxColumns), fmt.Sprintf("%d columns", len(header)))
	}
	at := map[string]int{}
	for i, name := range header {
		if _, twice := at[name]; twice {
			return nil, &analysis.Error{Code: analysis.InvalidArgument, Field: TableName, Message: "the table has a column twice", Value: name}
		}
		at[name] = i
	}
	l := &layout{columns: len(header), labels: map[string]int{}}
	used := map[string]bool{}
	for _, column := range []struct {
		to              *int
		named, fallback string
	}{{&l.file, c.File, defaults.File}, {&l.accession, c.Accession, defaults.Accession}, {&l.title, c.Title, defaults.Title}, {&l.note, c.Note, defaults.Note}, {&l.date, c.Date, defaults.Date}} {
		name := column.named
		if name == "" {
			name = column.fallback
		}
		i, ok := at[name]
		switch {
		case ok:
			*column.to, used[name] = i, true
		case column.named != "" || column.to == &l.file:
			return nil, &analysis.Error{Code: analysis.InvalidArgument, Field: TableName, Message: "the table has no such column", Value: name}
		default:
			*column.to = -1
		}
	}
	if c.Labels != nil {
		for _, name := range c.Labels {
			i, ok := at[name]
			if !ok {
				return nil, &analysis.Error{Code: analysis.InvalidArgument, Field: TableName, Message: "the table has no such column", Value: name}
			}
			l.labels[name] = i
		}
	} else {
		for name, i := range at {
			if !used[name] && name != "" {
				l.labels[strings.TrimPrefix(name, LabelPrefix)] = i
			}
		}
	}
	if len(l.labels) > analysis.MaxLabels {
		return nil, tooLarge(TableName, "more columns than a study may have labels; name those that are to be labels", fmt.Sprintf("%d labels", analysis.MaxLabels), fmt.Sprintf("%d columns", len(l.labels)))
	}
	for name := range l.labels {
		if n := utf8.RuneCountInString(name); n == 0 || n > analysis.MaxLabelName {
			return nil, &analysis.Error{Code: analysis.InvalidArgument, Field: TableName, Message: "the name of a label has the wrong length", Limit: fmt.Sprintf("1 to %d characters", analysis.MaxLabelName), Value: fmt.Sprintf("%d characters", n)}
		}
	}
	return l, nil
}

func (l *layout) row(line int, cells []string) Row {
	cell := func(i int) string {
		if i < 0 || i >= len(cells) {
			return ""
		}
		return strings.Clone(strings.TrimSpace(cells[i]))
	}
	row := Row{Line: line, Accession: cell(l.accession), Title: cell(l.title), Note: cell(l.note), Date: cell(l.date), Labels: map[string]string{}}
	for name, i := range l.labels {
		if value := cell(i); value != "" {
			row.Labels[name] = value
		}
	}
	for name := range strings.SplitSeq(cell(l.file), separator) {
		if name = strings.TrimSpace(name); name != "" {
			row.Files = append(row.Files, name)
		}
	}
	if len(cells) != l.columns {
		row.Err = &analysis.Error{Code: analysis.InvalidArgument, Field: TableName, Message: "the row has another number of cells than the header", Limit: fmt.Sprintf("%d cells", l.columns), Value: fmt.Sprintf("%d cells", len(cells))}
		return row
	}
	row.Err = row.check()
	return row
}

// check holds a row against the limits of a study.
func (r *Row) check() error {
	if len(r.Files) == 0 && r.Note == "" {
		return analysis.Invalid("file", "the row names no file")
	}
	if len(r.Files) > MaxStudyFiles {
		return tooLarge("file", "the row names too many files", fmt.Sprintf("%d files", MaxStudyFiles), fmt.Sprintf("%d files", len(r.Files)))
	}
	for _, name := range r.Files {
		if err := CheckName(name); err != nil {
			return err
		}
	}
	for _, text := range []struct {
		field, value string
		most         int
	}{{"accession", r.Accession, analysis.MaxAccession}, {"title", r.Title, analysis.MaxTitle}} {
		if n := utf8.RuneCountInString(text.value); n > text.most {
			return tooLarge(text.field, "the text is too long", fmt.Sprintf("%d characters", text.most), fmt.Sprintf("%d characters", n))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Labels)) {
		if n := utf8.RuneCountInString(r.Labels[name]); n > analysis.MaxLabelValue {
			return tooLarge("labels."+name, "the label is too long", fmt.Sprintf("%d characters", analysis.MaxLabelValue), fmt.Sprintf("%d characters", n))
		}
	}
	if r.Note != "" {
		if err := analysis.ValidateText("note", r.Note, analysis.MaxTextBytes); err != nil {
			return err
		}
	}
	return analysis.ValidateDate("study_date", r.Date)
}

// WriteTable writes rows as a table with the default columns.
func WriteTable(w io.Writer, rows []Row) error {
	names := map[string]bool{}
	for _, r := range rows {
		for name := range r.Labels {
			names[name] = true
		}
	}
	labels := slices.Sorted(maps.Keys(names))
	out := csv.NewWriter(w)
	header := []string{defaults.File, defaults.Accession, defaults.Title, defaults.Note, defaults.Date}
	for _, name := range labels {
		header = append(header, LabelPrefix+name)
	}
	err := out.Write(header)
	for i := range rows {
		r := &rows[i]
		cells := []string{strings.Join(r.Files, separator), r.Accession, r.Title, r.Note, r.Date}
		for _, name := range labels {
			cells = append(cells, r.Labels[name])
		}
		err = errors.Join(err, out.Write(cells))
	}
	out.Flush()
	return errors.Join(err, out.Error())
}
