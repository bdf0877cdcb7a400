// Package pipeline runs an analysis: it encodes what is present in parallel, fuses it, and writes the report.
//
// It sees interfaces only, so the same path serves one process, five, and tests.
package pipeline
