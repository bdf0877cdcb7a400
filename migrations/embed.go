// Package migrations holds the schema of the database as numbered steps.
package migrations

import "embed"

// Files holds the steps, NNNN_subject.sql, which goose applies in order.
//
//go:embed *.sql
var Files embed.FS
