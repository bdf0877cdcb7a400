package gateway

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"consilium/gateway/api"
	"consilium/internal/analysis"
	"consilium/internal/importer"
)

const (
	// restoreExport is the operation whose body goes to disk as it comes; restoreRoom is what reading it takes.
	restoreExport = "restoreExport"
	restoreRoom   = 1 << 20
)

// RestoreExport implements POST /v1/restore.
func (s *server) RestoreExport(ctx context.Context, request api.RestoreExportRequestObject) (api.RestoreExportResponseObject, error) {
	if err := allowed(ctx, mayManage, "restore an export"); err != nil {
		return nil, err
	}
	select {
	case s.imports <- struct{}{}:
		return &restore{server: s, ctx: ctx, body: request.Body}, nil
	default:
		return nil, &analysis.Error{Code: analysis.Overloaded, Message: "too many imports are in progress",
			Limit: fmt.Sprintf("%d imports at once", maxImports), Value: "more"}
	}
}

// restore is an export that is on its way back.
type restore struct {
	*server
	ctx  context.Context // of the request
	body io.Reader
}

// VisitRestoreExportResponse takes the export. As long as some of it comes, it may take any time.
func (r *restore) VisitRestoreExportResponse(w http.ResponseWriter) error {
	defer func() { <-r.imports }()
	scratch, err := r.Scratch()
	if err != nil {
		return err
	}
	defer func() {
		if err := scratch.Close(); err != nil {
			r.Log.ErrorContext(r.ctx, "a scratch file stays open", "error", err.Error())
		}
	}()
	export, err := importer.ReadExport(&patient{body: r.body, connection: http.NewResponseController(w), time: r.Limits.RequestTime}, scratch)
	if err != nil {
		return bodyError(err)
	}
	// What has come whole is stored whether or not anybody waits.
	tables, err := r.Exporter.Restore(context.WithoutCancel(r.ctx), export)
	if err != nil {
		return err
	}
	answer := api.RestoreExport200JSONResponse{Files: len(export.Blobs), Tables: each(tables, func(t *analysis.RestoredTable) api.RestoredTable {
		return api.RestoredTable{Table: t.Table, Rows: t.Rows, Stored: t.Stored}
	})}
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(r.Limits.RequestTime)); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return answer.VisitRestoreExportResponse(w)
}

// patient reads a body that may take any time as long as it goes on: each read has the time of one request.
type patient struct {
	body       io.Reader
	connection *http.ResponseController
	time       time.Duration
}

// Read implements io.Reader.
func (p *patient) Read(b []byte) (int, error) {
	if err := p.connection.SetReadDeadline(time.Now().Add(p.time)); err != nil {
		return 0, fmt.Errorf("read the body: %w", err)
	}
	return p.body.Read(b)
}
