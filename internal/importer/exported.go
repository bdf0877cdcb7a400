package importer

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"consilium/internal/analysis"
)

// MaxExportBytes bounds an export that is taken back. GET /v1/limits publishes it.
const MaxExportBytes = 16 << 30

// SumsName is the last file of an export, in the format of sha256sum.
const SumsName = "SHA256SUMS"

var (
	tableFile = regexp.MustCompile(`^tables/([a-z][a-z_]{0,62})-[0-9]{4,9}\.ndjson$`)
	blobFile  = regexp.MustCompile(`^blobs/([0-9a-f]{64})$`)
)

// ReadExport writes an export to the scratch file, from which its files are read, and checks that it is whole and each file as
// its digest says. In memory is the list of the files, of which each takes more room in the export.
func ReadExport(body io.Reader, scratch *os.File) (*analysis.Export, error) {
	size, err := io.Copy(scratch, io.LimitReader(body, MaxExportBytes+1))
	if err != nil {
		return nil, err
	}
	if size > MaxExportBytes {
		return nil, tooLarge("body", "the export is too large", fmt.Sprintf("%d bytes", int64(MaxExportBytes)), "more")
	}
	wrong := func(name, message string) error {
		e := analysis.Invalid("body", "%s", message)
		e.Value = strings.ToValidUTF8(name[:min(len(name), 64)], "\uFFFD")
		return e
	}
	export := &analysis.Export{Tables: map[string][]analysis.ExportFile{}}
	whole := io.NewSectionReader(scratch, 0, size)
	archive, sums := tar.NewReader(whole), sha256.New()
	seen := map[string]bool{}
	for {
		header, err := archive.Next()
		if err != nil {
			return nil, wrong("", "the export is broken, or ended before "+SumsName)
		}
		at, err := whole.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		if header.Name == SumsName {
			listed := sha256.New()
			if _, err := io.Copy(listed, archive); err != nil {
				return nil, wrong(header.Name, "the export is broken")
			}
			if [32]byte(listed.Sum(nil)) != [32]byte(sums.Sum(nil)) {
				return nil, wrong(header.Name, "the files are not those that the sums are of")
			}
			if _, err := archive.Next(); !errors.Is(err, io.EOF) {
				return nil, wrong(header.Name, "the export goes on after its sums")
			}
			return export, nil
		}
		table, digest := tableFile.FindStringSubmatch(header.Name), blobFile.FindStringSubmatch(header.Name)
		if header.Typeflag != tar.TypeReg || seen[header.Name] || table == nil && digest == nil {
			return nil, wrong(header.Name, "the export holds what no export does")
		}
		seen[header.Name] = true
		content := func() io.Reader { return io.NewSectionReader(scratch, at, header.Size) }
		h := sha256.New()
		if n, err := io.Copy(h, content()); err != nil || n != header.Size {
			return nil, wrong(header.Name, "the export is broken")
		}
		m := analysis.ExportFile{SHA256: hex.EncodeToString(h.Sum(nil)), Bytes: header.Size, Open: content}
		fmt.Fprintf(sums, "%s  %s\n", m.SHA256, header.Name)
		if table != nil {
			export.Tables[table[1]] = append(export.Tables[table[1]], m)
			continue
		}
		if m.SHA256 != digest[1] || m.Bytes == 0 {
			return nil, wrong(header.Name, "the bytes are not those that their name says")
		}
		export.Blobs = append(export.Blobs, m)
	}
}
