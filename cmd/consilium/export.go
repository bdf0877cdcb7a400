package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

var exportCommand = command{
	name: "export", arguments: "FILE.tar", summary: "take everything that is stored on a running platform (CONSILIUM_URL)",
	run: func(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
		if len(args) != 1 {
			return errUsage
		}
		p, err := running(getenv)
		if err != nil {
			return err
		}
		response, err := p.api.ExportAll(ctx)
		if err != nil {
			return fmt.Errorf("export: %w", err)
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			body, err := io.ReadAll(io.LimitReader(response.Body, 4096))
			return errors.Join(fmt.Errorf("export: the platform answered %s %.300s", response.Status, body), err)
		}
		part := args[0] + ".part"
		file, err := os.OpenFile(part, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return fmt.Errorf("export: %w", err)
		}
		files, size, err := verify(io.TeeReader(response.Body, file), stderr)
		if err = errors.Join(err, file.Close()); err != nil {
			return errors.Join(fmt.Errorf("export: %w", err), os.Remove(part))
		}
		if err := os.Rename(part, args[0]); err != nil {
			return fmt.Errorf("export: %w", err)
		}
		fmt.Fprintf(stdout, "%s: %d files, %.1f MB, every digest as SHA256SUMS has it\n", args[0], files, float64(size)/1e6)
		return nil
	},
}

// verify reads an export to its end and compares every file with the sums at its end. It prints how far it is every few
// seconds; how much is to come nobody knows.
func verify(export io.Reader, progress io.Writer) (files int, size int64, err error) {
	var found bytes.Buffer
	archive := tar.NewReader(export)
	start := time.Now()
	told := start
	for {
		header, err := archive.Next()
		if err != nil {
			return files, size, fmt.Errorf("the export ended before its sums: %w", err)
		}
		if header.Name == "SHA256SUMS" {
			sums, err := io.ReadAll(io.LimitReader(archive, int64(found.Len())+1))
			if err == nil && !bytes.Equal(sums, found.Bytes()) {
				err = errors.New("the files are not those that the sums are of")
			}
			if err == nil {
				_, err = io.Copy(io.Discard, export)
			}
			return files, size, err
		}
		h := sha256.New()
		n, err := io.Copy(h, archive)
		if err != nil {
			return files, size, err
		}
		fmt.Fprintf(&found, "%x  %s\n", h.Sum(nil), header.Name)
		files, size = files+1, size+n
		if time.Since(told) > 5*time.Second {
			told = time.Now()
			fmt.Fprintf(progress, "%d files, %.1f MB, %.1f MB/s\n", files, float64(size)/1e6, float64(size)/1e6/time.Since(start).Seconds())
		}
	}
}
