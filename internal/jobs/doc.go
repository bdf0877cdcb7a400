// Package jobs is about work on many studies at once: what a job is made of, and what came of it.
package jobs
