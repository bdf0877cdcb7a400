// Package archtest tests that the source keeps the structure that docs/architecture.md draws.
package archtest
