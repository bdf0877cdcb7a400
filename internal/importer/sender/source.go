package sender

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"consilium/internal/analysis"
	"consilium/internal/blob"
	"consilium/internal/dicom"
	"consilium/internal/importer"
)

// Source is a folder with a table of studies, or without one.
type Source struct {
	// Rows are the studies; without a table, one for each file.
	Rows []importer.Row
	// Table says that there is one.
	Table bool
	root  *os.Root
}

// Open reads the table of a folder, or the table at a path, whose files are named from its folder. Nothing outside of the
// folder is ever read, whatever the table or a link in the folder says.
func Open(name string, columns importer.Columns) (*Source, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	folder, table := name, importer.TableName
	if !info.IsDir() {
		folder, table = filepath.Dir(name), filepath.Base(name)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	s := &Source{root: root}
	if err := s.list(table, info.IsDir(), columns); err != nil {
		return nil, errors.Join(fmt.Errorf("import %s: %w", name, err), root.Close())
	}
	return s, nil
}

// Close closes the folder.
func (s *Source) Close() error { return s.root.Close() }

func (s *Source) list(table string, optional bool, columns importer.Columns) error {
	file, err := s.root.Open(table)
	if errors.Is(err, fs.ErrNotExist) && optional {
		return s.walk()
	}
	if err != nil {
		return err
	}
	defer file.Close()
	s.Table = true
	s.Rows, err = importer.ReadTable(file, columns)
	return err
}

// walk takes every file of the folder that may be a study.
func (s *Source) walk() error {
	return fs.WalkDir(s.root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if hidden := strings.HasPrefix(entry.Name(), ".") && name != "."; hidden && entry.IsDir() {
			return fs.SkipDir
		} else if hidden || entry.IsDir() {
			return nil
		}
		if len(s.Rows) == importer.MaxFiles {
			return &analysis.Error{Code: analysis.TooLarge, Field: "folder", Message: "the folder holds too many files; import its folders one by one", Limit: fmt.Sprintf("%d files", importer.MaxFiles), Value: "more"}
		}
		row := importer.Row{Files: []string{name}, Title: path.Base(name)}
		if !entry.Type().IsRegular() {
			row.Err = &analysis.Error{Code: analysis.InvalidArgument, Field: name, Message: "links and devices are not taken"}
		}
		s.Rows = append(s.Rows, row)
		return nil
	})
}

// read reads the files of a study and returns their size.
func (s *Source) read(row *importer.Row) (item study, bytes int64, err error) {
	if row.Err != nil {
		return item, 0, row.Err
	}
	item.row = row
	var digests []string
	isDICOM := false
	for _, name := range row.Files {
		content, err := s.file(name, importer.MaxStudyBytes-bytes)
		if err != nil {
			return item, 0, err
		}
		isDICOM = isDICOM || dicom.Is(content)
		item.contents, digests = append(item.contents, content), append(digests, blob.Digest(content))
		bytes += int64(len(content))
	}
	if s.Table || !isDICOM { // else it is known by its UID
		item.key = row.Key(digests)
	}
	return item, bytes, nil
}

func (s *Source) file(name string, limit int64) ([]byte, error) {
	file, err := s.root.Open(path.Clean(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &analysis.Error{Code: analysis.NotFound, Field: name, Message: "the file is not there"}
	}
	if err != nil {
		return nil, fmt.Errorf("read a file of a study: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, fmt.Errorf("read a file of a study: %w", err)
	case !info.Mode().IsRegular():
		return nil, &analysis.Error{Code: analysis.InvalidArgument, Field: name, Message: "the name is not that of a file"}
	case info.Size() > limit:
		return nil, tooBig(name, info.Size())
	}
	content, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read a file of a study: %w", err)
	}
	if int64(len(content)) > limit {
		return nil, tooBig(name, int64(len(content)))
	}
	return content, nil
}
