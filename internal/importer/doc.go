// Package importer reads what a bulk import is made of: a table of studies, and the files that it names.
package importer

import "consilium/internal/analysis"

// The bounds of one import. GET /v1/limits publishes them.
const (
	// MaxBytes bounds the body, and what it holds when it is unpacked.
	MaxBytes = 1 << 30
	// MaxFiles bounds the files of an archive.
	MaxFiles = 10_000
	// MaxRows bounds the studies of a table.
	MaxRows = 10_000
	// MaxTableBytes bounds the table.
	MaxTableBytes = 16 << 20
	// MaxColumns bounds its columns.
	MaxColumns = 256
	// MaxName bounds the name of a file.
	MaxName = 512
	// MaxStudyBytes bounds the files of one study together, MaxStudyFiles their number.
	MaxStudyBytes = 64 << 20
	MaxStudyFiles = 16
)

// TableName is the name of the table in a folder or an archive.
const TableName = "metadata.csv"

func tooLarge(field, message, limit, value string) error {
	return &analysis.Error{Code: analysis.TooLarge, Field: field, Message: message, Limit: limit, Value: value}
}
