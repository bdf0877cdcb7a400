package sandbox

import (
	"archive/zip"
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"regexp"
	"strings"

	"consilium/internal/analysis"
)

// The bounds of an archive beside analysis.MaxModelBytes for everything that is unpacked.
const (
	maxEntries = 20000    // files; a module has one for each tensor
	maxCode    = 8 << 20  // bytes of source
	maxPickle  = 32 << 20 // bytes of one pickle, which holds no tensor data
)

var (
	tensorEntry = regexp.MustCompile(`^(data|constants)/[0-9]{1,9}$`)
	codeEntry   = regexp.MustCompile(`^code/([A-Za-z0-9_]+/)*[A-Za-z0-9_]+\.py$`)
)

// repack reads an archive of torch.jit.save and returns one that holds what libtorch needs of it and nothing else, as
// this function wrote it: two readers of zip files may see different files in the same bytes, and only what was
// looked at here shall be loaded. Debug records, traced inputs and extra files are left out.
func repack(data []byte) ([]byte, error) {
	if !bytes.HasPrefix(data, []byte("PK\x03\x04")) {
		return nil, refused("the file is no archive of torch.jit.save: it does not begin as a zip file does")
	}
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, refused("the file is no archive of torch.jit.save: %v", err)
	}
	if n := len(archive.File); n > maxEntries {
		return nil, overLimit("the archive has too many files", fmt.Sprintf("%d files", maxEntries), fmt.Sprintf("%d files", n))
	}
	total := uint64(0)
	for _, f := range archive.File {
		if f.UncompressedSize64 > analysis.MaxModelBytes || total+f.UncompressedSize64 > analysis.MaxModelBytes {
			return nil, overLimit("the archive unpacks to too much", fmt.Sprintf("%d bytes", analysis.MaxModelBytes), "more")
		}
		total += f.UncompressedSize64
	}
	r := repacker{seen: map[string]bool{}}
	r.out.Grow(int(total) + 256*len(archive.File) + 1024)
	r.zip = zip.NewWriter(&r.out)
	for _, f := range archive.File {
		if err := r.add(f); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"data.pkl", "constants.pkl", "version"} {
		if !r.seen[name] && !r.seen[".data/"+name] { // where the version stands depends on itself
			return nil, refused("the archive holds no %s: it is not one of torch.jit.save", name)
		}
	}
	if err := r.zip.Close(); err != nil {
		return nil, fmt.Errorf("pack the archive: %w", err)
	}
	return r.out.Bytes(), nil
}

type repacker struct {
	out  bytes.Buffer
	zip  *zip.Writer
	top  string // the one folder that everything lies in
	seen map[string]bool
	code int64
}

func (r *repacker) add(f *zip.File) error {
	top, name, found := strings.Cut(f.Name, "/")
	switch {
	case !found:
		return refused("the archive has a file outside of a folder: %q", shown(f.Name))
	case r.top == "":
		r.top = top
	case top != r.top:
		return refused("the archive has more than one folder: %q and %q", shown(r.top), shown(top))
	}
	limit := int64(analysis.MaxModelBytes)
	switch isCode := codeEntry.MatchString(name); {
	case isCode:
		limit = maxCode - r.code
	case name == "data.pkl", name == "constants.pkl":
		limit = maxPickle
	case name == "version", name == ".data/version", name == "byteorder":
		limit = 64
	case !tensorEntry.MatchString(name):
		return nil
	}
	if r.seen[name] {
		return refused("the archive has the file %q twice", shown(name))
	}
	r.seen[name] = true
	content, err := unpack(f, limit)
	if err != nil {
		return err
	}
	if strings.HasPrefix(name, "code/") {
		r.code += int64(len(content))
	}
	if err := inspect(name, content); err != nil {
		return err
	}
	w, err := r.zip.CreateRaw(&zip.FileHeader{
		Name: "model/" + name, Method: zip.Store, CRC32: crc32.ChecksumIEEE(content),
		CompressedSize64: uint64(len(content)), UncompressedSize64: uint64(len(content)),
	})
	if err == nil {
		_, err = w.Write(content)
	}
	if err != nil {
		return fmt.Errorf("pack %s: %w", name, err)
	}
	return nil
}

// unpack returns the content of a file, of which no more is unpacked than it declares.
func unpack(f *zip.File, limit int64) ([]byte, error) {
	if f.UncompressedSize64 > uint64(max(0, limit)) {
		return nil, overLimit(fmt.Sprintf("the archive's file %q is too large", shown(f.Name)), fmt.Sprintf("%d bytes", limit), fmt.Sprintf("%d bytes", f.UncompressedSize64))
	}
	reader, err := f.Open()
	if err != nil {
		return nil, refused("the archive's file %q cannot be unpacked: %v", shown(f.Name), err)
	}
	defer reader.Close()
	content := bytes.NewBuffer(make([]byte, 0, f.UncompressedSize64+bytes.MinRead))
	if _, err := content.ReadFrom(io.LimitReader(reader, int64(f.UncompressedSize64)+1)); err != nil {
		return nil, refused("the archive's file %q cannot be unpacked: %v", shown(f.Name), err)
	}
	if uint64(content.Len()) != f.UncompressedSize64 {
		return nil, refused("the archive's file %q holds more than it declares", shown(f.Name))
	}
	return content.Bytes(), nil
}

// inspect refuses what would run while libtorch loads the archive, before the operators can be looked at: objects
// that restore themselves, and libtorch's own classes, which do so in C++.
func inspect(name string, content []byte) error {
	switch {
	case strings.HasSuffix(name, ".py") && bytes.Contains(content, []byte("__setstate__")):
		return refused("the module restores itself by code of its own (__setstate__), as quantised and packed ones do; export it without")
	// A pickle names a class in two lines.
	case !tensorEntry.MatchString(name) && bytes.Contains(bytes.ReplaceAll(content, []byte("\n"), []byte(".")), []byte("torch.classes")):
		return refused("the module holds an object of libtorch's own classes (torch.classes), as quantised and packed ones do; export it without")
	}
	return nil
}

func overLimit(message, limit, found string) *analysis.Error {
	e := refused("%s", message)
	e.Limit, e.Value = limit, found
	return e
}
