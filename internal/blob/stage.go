package blob

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"consilium/internal/analysis"
)

// Staged is content that was read into a temporary file and is no blob yet.
type Staged struct {
	path   string
	digest string
	bytes  int64
}

// Stage reads content of at most limit bytes, which may be more than the store's own limit, without holding it in
// memory. Whoever staged it adopts or discards it; what a crash leaves behind is removed by Open.
func (s *Store) Stage(content io.Reader, limit int64) (*Staged, error) {
	file, err := os.CreateTemp(s.temporary(), "staged-*")
	if err != nil {
		return nil, fmt.Errorf("stage a blob: %w", err)
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(file, h), io.LimitReader(content, limit+1))
	if err == nil && n > limit {
		err = &analysis.Error{Code: analysis.TooLarge, Message: "the content is too large", Limit: fmt.Sprintf("%d bytes", limit), Value: "more"}
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(file.Name()))
	}
	return &Staged{path: file.Name(), digest: hex.EncodeToString(h.Sum(nil)), bytes: n}, nil
}

// SHA256 is the digest of the content in lower-case hex.
func (c *Staged) SHA256() string { return c.digest }

// Bytes is the size of the content.
func (c *Staged) Bytes() int64 { return c.bytes }

// Open returns the content from its beginning, until it is adopted or discarded.
func (c *Staged) Open() (io.ReadCloser, error) {
	file, err := os.Open(c.path)
	if err != nil {
		return nil, fmt.Errorf("read a staged blob: %w", err)
	}
	return file, nil
}

// Discard removes the content unless it was adopted. It may be called more than once.
func (c *Staged) Discard() error {
	if err := os.Remove(c.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("discard a staged blob: %w", err)
	}
	return nil
}

// Adopt makes staged content a blob of the tenant, as durable as Put does.
func (s *Store) Adopt(tenant string, c *Staged) error {
	path, err := s.path(tenant, c.digest)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err == nil {
		return c.Discard()
	}
	err = os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.Rename(c.path, path)
	}
	if err == nil {
		err = s.syncFolders(path)
	}
	if err != nil {
		return fmt.Errorf("store blob %s: %w", c.digest, err)
	}
	return nil
}

// Reader returns the bytes of a blob to be read one after the other; a missing blob is NotFound. Whoever reads them
// compares the digest.
func (s *Store) Reader(tenant, digest string) (io.ReadCloser, error) {
	path, err := s.path(tenant, digest)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &analysis.Error{Code: analysis.NotFound, Message: "no such blob", Err: err}
	}
	if err != nil {
		return nil, fmt.Errorf("read blob %s: %w", digest, err)
	}
	return file, nil
}

// Scratch returns an empty file that nobody else sees and that is gone when it is closed, even by a crash.
func (s *Store) Scratch() (*os.File, error) {
	file, err := os.CreateTemp(s.temporary(), "scratch-*")
	if err != nil {
		return nil, fmt.Errorf("make a scratch file: %w", err)
	}
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("make a scratch file: %w", err), file.Close())
	}
	return file, nil
}
