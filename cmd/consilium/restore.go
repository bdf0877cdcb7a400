package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"
)

var restoreCommand = command{
	name: "restore", arguments: "FILE.tar", summary: "give an export to a running platform (CONSILIUM_URL)",
	run: func(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
		if len(args) != 1 {
			return errUsage
		}
		p, err := running(getenv)
		if err != nil {
			return err
		}
		file, err := os.Open(args[0])
		if err != nil {
			return fmt.Errorf("restore: %w", err)
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil {
			return fmt.Errorf("restore: %w", err)
		}
		now := time.Now()
		body := &sent{file: file, size: info.Size(), start: now, told: now, progress: stderr}
		r, err := p.api.RestoreExportWithBodyWithResponse(ctx, "application/octet-stream", body)
		if err != nil {
			return fmt.Errorf("restore: %w", err)
		}
		if r.JSON200 == nil {
			return fmt.Errorf("restore: %w", refused(r.ApplicationproblemJSONDefault, r.Body))
		}
		for _, table := range r.JSON200.Tables {
			fmt.Fprintf(stdout, "%-20s %d rows, %d were not there before\n", table.Table, table.Rows, table.Stored)
		}
		fmt.Fprintf(stdout, "%d files, each as its digest says\n", r.JSON200.Files)
		return nil
	},
}

// sent reads a file that is being sent and prints every few seconds how far it is.
type sent struct {
	file        io.Reader
	n, size     int64
	start, told time.Time
	progress    io.Writer
}

// Read implements io.Reader.
func (s *sent) Read(b []byte) (int, error) {
	n, err := s.file.Read(b)
	s.n += int64(n)
	if time.Since(s.told) > 5*time.Second {
		s.told = time.Now()
		rate := float64(s.n) / time.Since(s.start).Seconds()
		fmt.Fprintf(s.progress, "%.1f of %.1f MB, %.1f MB/s, %.0f s left\n", float64(s.n)/1e6, float64(s.size)/1e6, rate/1e6, float64(s.size-s.n)/rate)
	}
	return n, err
}
