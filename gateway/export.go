package gateway

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"time"

	"consilium/gateway/api"
	"consilium/internal/analysis"
	"consilium/internal/importer"
)

// maxExports is how many exports may run at once: each holds a connection to the database.
const maxExports = 2

// ExportAll implements GET /v1/export.
func (s *server) ExportAll(ctx context.Context, _ api.ExportAllRequestObject) (api.ExportAllResponseObject, error) {
	select {
	case s.exports <- struct{}{}:
		return &export{server: s, ctx: ctx}, nil
	default:
		return nil, &analysis.Error{Code: analysis.Overloaded, Message: "too many exports are in progress",
			Limit: fmt.Sprintf("%d exports at once", maxExports), Value: "more"}
	}
}

// export is one export on its way to the client.
type export struct {
	*server
	ctx context.Context // of the request
}

// VisitExportAllResponse writes the tar file. It may take any time as long as it goes on: each file has the time of one
// request to be taken. What is written is broken off at an error, so that nobody takes a part for the whole.
func (e *export) VisitExportAllResponse(w http.ResponseWriter) error {
	defer func() { <-e.exports }()
	ctx, cancel := context.WithCancel(context.WithoutCancel(e.ctx)) // that the client left is seen when it takes no more
	defer cancel()
	connection := http.NewResponseController(w)
	began := false
	var archive *tar.Writer
	var sums bytes.Buffer
	add := func(name string, size int64, content io.Reader) error {
		if err := connection.SetWriteDeadline(time.Now().Add(e.Limits.RequestTime)); err != nil {
			return fmt.Errorf("export %s: %w", name, err)
		}
		if !began { // until here an error is a problem
			w.Header().Set("Content-Type", "application/x-tar")
			w.Header().Set("Content-Disposition", `attachment; filename="consilium.tar"`)
			w.WriteHeader(http.StatusOK)
			archive, began = tar.NewWriter(w), true
		}
		if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: time.Now(), Typeflag: tar.TypeReg}); err != nil {
			return fmt.Errorf("export %s: %w", name, err)
		}
		h := sha256.New()
		if _, err := io.Copy(io.MultiWriter(archive, h), content); err != nil {
			return fmt.Errorf("export %s: %w", name, err)
		}
		fmt.Fprintf(&sums, "%x  %s\n", h.Sum(nil), name)
		return nil
	}
	err := e.Exporter.Export(ctx, add)
	if err == nil {
		content := sums.Bytes()
		err = add(importer.SumsName, int64(len(content)), bytes.NewReader(bytes.Clone(content)))
	}
	if err == nil {
		err = archive.Close()
	}
	if err != nil && began {
		e.abort(e.ctx, err)
	}
	return err
}
