package analysis

import (
	"context"
	"io"
	"time"
)

// Exporter gives a tenant everything that is stored of it, takes it back, and deletes it.
type Exporter interface {
	// Export calls file with everything, one file after the other: the rows of every table as tables/NAME-NNNN.ndjson, the
	// bytes as blobs/SHA256. An error of file ends the export.
	Export(ctx context.Context, file func(name string, size int64, content io.Reader) error) error
	// Restore stores what an export holds, all or nothing. What is stored already stays as it is; it is a Conflict if
	// something else has its place.
	Restore(ctx context.Context, export *Export) ([]RestoredTable, error)
	// Clear deletes everything that the tenant stored, once its models are deleted, and returns how many studies are left when
	// the time is over.
	Clear(ctx context.Context, until time.Time) (left int, err error)
}

// Export is an export that was read to its end.
type Export struct {
	Tables map[string][]ExportFile // the files of each table, in their order
	Blobs  []ExportFile
}

// ExportFile is one file of an export.
type ExportFile struct {
	SHA256 string
	Bytes  int64
	Open   func() io.Reader
}

// RestoredTable says what of a table was in an export, and how many rows were not there before.
type RestoredTable struct {
	Table        string
	Rows, Stored int
}
