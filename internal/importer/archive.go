package importer

import (
	"archive/tar"
	"archive/zip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime/multipart"
	"os"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"consilium/internal/analysis"
)

// Archive is the files of an import, by their names, in a scratch file. Nothing is ever written under their names.
type Archive struct {
	files map[string]entry
	// Refused are the entries that are no files, or whose names lead elsewhere, in the order in which they came.
	Refused []Refusal
	scratch *os.File
	left    int64 // of what may be unpacked
}

// Refusal is an entry that was not taken.
type Refusal struct {
	Name string
	Err  error
}

// entry is where a file lies: in the scratch file, or packed in a zip file that is there.
type entry struct {
	at, bytes int64
	packed    *zip.File
}

// Close removes the scratch file.
func (a *Archive) Close() error { return a.scratch.Close() }

// Names returns the names of all files, sorted.
func (a *Archive) Names() []string {
	names := make([]string, 0, len(a.files))
	for name := range a.files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Table opens the table, of all those in the archive the one in the highest folder, and returns the folder's name, "" or
// with a slash at its end, which the names in the table begin with. It returns nil if there is none.
func (a *Archive) Table() (table io.Reader, folder string, err error) {
	best := ""
	for _, name := range a.Names() {
		if path.Base(name) == TableName && (best == "" || strings.Count(name, "/") < strings.Count(best, "/")) {
			best = name
		}
	}
	if best == "" {
		return nil, "", nil
	}
	content, err := a.Read(best, MaxTableBytes)
	if err != nil {
		return nil, "", err
	}
	return strings.NewReader(string(content)), strings.TrimSuffix(best, TableName), nil
}

// Read returns a file of at most limit bytes; one that is not there is NotFound.
func (a *Archive) Read(name string, limit int64) ([]byte, error) {
	e, ok := a.files[name]
	if !ok {
		return nil, &analysis.Error{Code: analysis.NotFound, Field: "file", Message: "the file is not there", Value: name}
	}
	if e.bytes > limit {
		return nil, tooLarge("file", "the file is too large", fmt.Sprintf("%d bytes", limit), fmt.Sprintf("%d bytes", e.bytes))
	}
	var r io.Reader = io.NewSectionReader(a.scratch, e.at, e.bytes)
	if e.packed != nil {
		opened, err := e.packed.Open()
		if err != nil {
			return nil, broken(name, err)
		}
		defer opened.Close()
		r = opened
	}
	content, err := io.ReadAll(io.LimitReader(r, min(limit, a.left)+1))
	if err != nil {
		return nil, broken(name, err)
	}
	if int64(len(content)) > limit {
		return nil, tooLarge("file", "the file is too large", fmt.Sprintf("%d bytes", limit), "more")
	}
	if e.packed != nil {
		if a.left -= int64(len(content)); a.left < 0 {
			a.left = 0
			return nil, tooLarge("body", "the archive holds too much when it is unpacked", fmt.Sprintf("%d bytes", MaxBytes), "more")
		}
	}
	return content, nil
}

func broken(name string, err error) error {
	return &analysis.Error{Code: analysis.InvalidArgument, Field: "file", Message: "the file is broken in the archive", Value: name, Err: err}
}

// CheckName refuses a name that leads out of the folder or cannot be shown.
func CheckName(name string) error {
	wrong := func(message string) error {
		return &analysis.Error{Code: analysis.InvalidArgument, Field: "file", Message: message, Value: name}
	}
	switch {
	case name == "" || len(name) > MaxName:
		return tooLarge("file", "the name of a file has the wrong length", fmt.Sprintf("1 to %d bytes", MaxName), fmt.Sprintf("%d bytes", len(name)))
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return wrong("the name of a file is not plain UTF-8")
	case strings.ContainsAny(name, `\:`) || !fs.ValidPath(path.Clean(name)) || slices.Contains(strings.Split(name, "/"), ".."):
		return wrong("the name of a file leads out of the folder")
	}
	return nil
}

// add takes a file whose name was checked.
func (a *Archive) add(name string, e entry) error {
	name = path.Clean(name)
	if _, twice := a.files[name]; twice {
		a.refuse(name, &analysis.Error{Code: analysis.InvalidArgument, Field: "file", Message: "the archive has the file twice; the first is taken", Value: name})
		return nil
	}
	if len(a.files) == MaxFiles {
		return tooLarge("body", "the archive holds too many files", fmt.Sprintf("%d files", MaxFiles), "more")
	}
	a.files[name] = e
	return nil
}

// refuse notes an entry; they are bounded as files are.
func (a *Archive) refuse(name string, err error) {
	if len(a.Refused) < MaxFiles {
		if len(name) > MaxName {
			name = name[:MaxName]
		}
		a.Refused = append(a.Refused, Refusal{strings.ToValidUTF8(name, "\uFFFD"), err})
	}
}

func notAFile(name string) error {
	return &analysis.Error{Code: analysis.InvalidArgument, Field: "file", Message: "links and devices are not taken", Value: name}
}

// spool copies what r holds to the end of the scratch file.
func (a *Archive) spool(r io.Reader, end *int64) (e entry, err error) {
	e.at = *end
	if e.bytes, err = io.Copy(a.scratch, io.LimitReader(r, a.left+1)); err != nil {
		return e, err
	}
	*end += e.bytes
	if a.left -= e.bytes; a.left < 0 {
		return e, tooLarge("body", "the archive holds too much", fmt.Sprintf("%d bytes", MaxBytes), "more")
	}
	return e, nil
}

func newArchive(scratch *os.File) *Archive {
	return &Archive{files: map[string]entry{}, scratch: scratch, left: MaxBytes}
}

// ReadTar reads a tar file into scratch, which the archive owns from then on.
func ReadTar(r io.Reader, scratch *os.File) (*Archive, error) {
	a := newArchive(scratch)
	entries := tar.NewReader(r)
	var end int64
	for n := 0; ; n++ {
		header, err := entries.Next()
		switch {
		case errors.Is(err, io.EOF) && n == 0:
			return a, analysis.Invalid("body", "the archive is empty")
		case errors.Is(err, io.EOF):
			return a, nil
		case err != nil:
			return a, unreadable("tar", err)
		case n >= 2*MaxFiles:
			return a, tooLarge("body", "the archive has too many entries", fmt.Sprintf("%d entries", 2*MaxFiles), "more")
		}
		switch header.Typeflag {
		case tar.TypeReg:
		case tar.TypeDir, tar.TypeXGlobalHeader:
			continue
		default:
			a.refuse(header.Name, notAFile(header.Name))
			continue
		}
		if err := CheckName(header.Name); err != nil {
			a.refuse(header.Name, err)
			continue
		}
		if header.Size > a.left {
			return a, tooLarge("body", "the archive holds too much", fmt.Sprintf("%d bytes", MaxBytes), "more")
		}
		e, err := a.spool(entries, &end)
		if err == nil {
			err = a.add(header.Name, e)
		}
		if err != nil {
			return a, unreadable("tar", err)
		}
	}
}

// unreadable keeps what has a code, and what the transport says.
func unreadable(kind string, err error) error {
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, zip.ErrFormat) || errors.Is(err, zip.ErrAlgorithm) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, tar.ErrFieldTooLong) {
		return &analysis.Error{Code: analysis.InvalidArgument, Field: "body", Message: "the body is no " + kind + " file, or ends early", Err: err}
	}
	return err
}

// ReadZip reads a zip file into scratch, which the archive owns from then on. Files are unpacked when they are read.
func ReadZip(r io.Reader, scratch *os.File) (*Archive, error) {
	a := newArchive(scratch)
	var end int64
	if _, err := a.spool(r, &end); err != nil {
		return a, err
	}
	a.left = MaxBytes // from here on, of what is unpacked
	if err := checkDirectory(scratch, end); err != nil {
		return a, err
	}
	z, err := zip.NewReader(scratch, end)
	if errors.Is(err, zip.ErrInsecurePath) {
		err = nil // names are checked below
	}
	if err != nil {
		return a, &analysis.Error{Code: analysis.InvalidArgument, Field: "body", Message: "the body is no zip file, or ends early", Err: err}
	}
	for _, f := range z.File {
		if strings.HasSuffix(f.Name, "/") && f.UncompressedSize64 == 0 {
			continue
		}
		err := CheckName(f.Name)
		if !f.Mode().IsRegular() {
			err = notAFile(f.Name)
		}
		if err != nil {
			a.refuse(f.Name, err)
			continue
		}
		if err := a.add(f.Name, entry{bytes: int64(min(f.UncompressedSize64, 1<<62)), packed: f}); err != nil {
			return a, err
		}
	}
	return a, nil
}

// The end of a zip file's directory (APPNOTE 4.3.16).
const (
	directoryEnd      = 0x06054b50
	directoryEndBytes = 22
	zip64Locator      = 0x07064b50
	zip64Bytes        = 20
	maxComment        = 1<<16 - 1
	// maxDirectory bounds the directory, which is read into memory.
	maxDirectory = MaxFiles * 512
)

// checkDirectory refuses a zip file whose directory is larger than its files may need, before it is read.
func checkDirectory(r io.ReaderAt, size int64) error {
	no := analysis.Invalid("body", "the body is no zip file, or ends early")
	tail := make([]byte, min(size, directoryEndBytes+maxComment))
	if _, err := r.ReadAt(tail, size-int64(len(tail))); err != nil {
		return fmt.Errorf("read the end of an archive: %w", err)
	}
	for i := len(tail) - directoryEndBytes; i >= 0; i-- {
		end := tail[i:]
		if binary.LittleEndian.Uint32(end) != directoryEnd || directoryEndBytes+int(binary.LittleEndian.Uint16(end[20:])) > len(end) {
			continue
		}
		// Zip64 is for archives that are too large for us anyway, and would say where another directory is.
		if i >= zip64Bytes && binary.LittleEndian.Uint32(tail[i-zip64Bytes:]) == zip64Locator {
			return no
		}
		// Where the directory begins follows from its offset or, in an archive behind something else, from its size.
		bytes, at := int64(binary.LittleEndian.Uint32(end[12:])), size-int64(len(tail))+int64(i)
		if n := max(at-int64(binary.LittleEndian.Uint32(end[16:])), bytes); n > maxDirectory {
			return tooLarge("body", "the archive's directory is too large", fmt.Sprintf("%d bytes", maxDirectory), fmt.Sprintf("%d bytes", n))
		}
		return nil
	}
	return no
}

// TablePart and FilePart are the parts of a form: the table, and any number of files.
const (
	TablePart = "table"
	FilePart  = "file"
)

// ReadForm reads the parts of a form into scratch, which the archive owns from then on. The name of a file is that of its
// part's header, with folders.
func ReadForm(form *multipart.Reader, scratch *os.File) (*Archive, error) {
	a := newArchive(scratch)
	var end int64
	for n := 0; ; n++ {
		part, err := form.NextRawPart()
		switch {
		case errors.Is(err, io.EOF) && n == 0:
			return a, analysis.Invalid("body", "the form holds no part: it is empty, or its boundary is another one")
		case errors.Is(err, io.EOF):
			return a, nil
		case err != nil:
			return a, err
		case n > MaxFiles:
			return a, tooLarge("body", "the form has too many parts", fmt.Sprintf("%d parts", MaxFiles), "more")
		}
		var name string
		switch part.FormName() {
		case TablePart:
			name = TableName
		case FilePart:
			name = fileName(part)
		default:
			return a, &analysis.Error{Code: analysis.InvalidArgument, Field: "body", Message: "the form's part is unknown", Limit: TablePart + " or " + FilePart, Value: strings.ToValidUTF8(part.FormName(), "\uFFFD")}
		}
		if err := CheckName(name); err != nil {
			a.refuse(name, err)
			continue
		}
		e, err := a.spool(part, &end)
		if err == nil {
			err = a.add(name, e)
		}
		if err != nil {
			return a, err
		}
	}
}
