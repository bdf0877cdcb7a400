package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"consilium/gateway/client"
)

// jobBar draws a job as one line that it draws anew each time, or as lines where the output is no terminal.
func jobBar(w io.Writer, terminal bool) func(*client.Job) {
	return func(job *client.Job) {
		line := jobLine(job)
		switch {
		case !terminal:
			fmt.Fprintln(w, line)
		case isOver(job):
			fmt.Fprintf(w, "\r%s\x1b[K\n", line)
		default:
			fmt.Fprintf(w, "\r%s\x1b[K", line)
		}
	}
}

// jobLine says how far a job is.
func jobLine(job *client.Job) string {
	c := job.Counts
	done := c.Succeeded + c.Failed + c.Cancelled
	share := float64(done) / float64(max(1, c.Total))
	line := fmt.Sprintf("%s %d/%d %s  %.1f/s", bar(share), done, c.Total, job.State, job.ItemsPerSecond)
	if job.EtaSeconds != nil {
		line += fmt.Sprintf("  %s left", time.Duration(*job.EtaSeconds*float64(time.Second)).Round(time.Second))
	}
	if c.Failed > 0 {
		line += fmt.Sprintf("  %d failed", c.Failed)
	}
	return line
}

func showJob(w io.Writer, job *client.Job) {
	fmt.Fprintf(w, "Job %s  %s, %s\n  %s\n", job.Id, job.Task, job.State, jobLine(job))
	if job.Skipped > 0 {
		fmt.Fprintf(w, "  %d studies have nothing to be compared with\n", job.Skipped)
	}
	if e := job.Evaluation; e != nil {
		fmt.Fprintf(w, "  right  %d of %d, %s; always %q would be right in %s\n", e.Correct, e.Cases, percent(e.Accuracy), e.FloorLabel, percent(e.Floor))
		for _, l := range e.Labels {
			fmt.Fprintf(w, "    %-20s %s %s of %d\n", l.Label, bar(l.Accuracy), percent(l.Accuracy), l.Cases)
		}
	}
	if job.Disclaimer != nil {
		fmt.Fprintf(w, "  %s\n", strings.TrimSpace(*job.Disclaimer))
	}
}
