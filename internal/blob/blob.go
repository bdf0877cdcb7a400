// Package blob keeps uploaded bytes in files that are named by their content.
package blob

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"consilium/internal/analysis"
)

// Store keeps blobs below one folder, TENANT/ab/abcd…: the same bytes of one tenant are one file, and no file
// belongs to two tenants. It is safe for concurrent use, also by several processes on one folder.
type Store struct {
	dir      string
	maxBytes int64
}

// abandoned is the age from which a temporary file belongs to a process that died while writing it.
const abandoned = time.Hour

var (
	tenantName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	digestName = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// Open returns the store below dir, which is made if it is missing; a blob holds at most maxBytes. Temporary
// files that a crash left behind are removed.
func Open(dir string, maxBytes int64) (*Store, error) {
	s := &Store{dir: dir, maxBytes: maxBytes}
	if err := os.MkdirAll(s.temporary(), 0o700); err != nil {
		return nil, fmt.Errorf("make blob folder: %w", err)
	}
	entries, err := os.ReadDir(s.temporary())
	if err != nil {
		return nil, fmt.Errorf("read blob folder: %w", err)
	}
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && time.Since(info.ModTime()) > abandoned {
			if err := os.Remove(filepath.Join(s.temporary(), entry.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("remove abandoned upload: %w", err)
			}
		}
	}
	return s, nil
}

// Digest returns the name of content: its SHA-256 in lower-case hex.
func Digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// Put stores content under its digest. When it returns nil the bytes survive a loss of power; when it returns
// an error nothing is stored. Storing the same content twice is no error.
func (s *Store) Put(tenant, digest string, content []byte) error {
	path, err := s.path(tenant, digest)
	if err != nil {
		return err
	}
	if int64(len(content)) > s.maxBytes {
		return &analysis.Error{Code: analysis.TooLarge, Message: "blob is too large",
			Limit: fmt.Sprintf("%d bytes", s.maxBytes), Value: fmt.Sprintf("%d bytes", len(content))}
	}
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := s.write(path, content); err != nil {
		return fmt.Errorf("store blob %s: %w", digest, err)
	}
	return nil
}

// write makes the file at path appear whole or not at all.
func (s *Store) write(path string, content []byte) error {
	file, err := os.CreateTemp(s.temporary(), "upload-*")
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	err = errors.Join(err, file.Close())
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return s.syncFolders(path)
}

// syncFolders makes the name of a new blob safe, or takes it back: it is safe only when its folder is, and a new folder
// only when its parent is.
func (s *Store) syncFolders(path string) error {
	for _, dir := range []string{filepath.Dir(path), filepath.Dir(filepath.Dir(path)), s.dir} {
		if err := syncDir(dir); err != nil {
			return errors.Join(err, os.Remove(path))
		}
	}
	return nil
}

// Get returns the bytes of a blob, which the caller owns. A missing blob is NotFound; bytes that no longer
// match their digest are an Internal error.
func (s *Store) Get(tenant, digest string) ([]byte, error) {
	path, err := s.path(tenant, digest)
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &analysis.Error{Code: analysis.NotFound, Message: "no such blob", Err: err}
	}
	if err != nil {
		return nil, fmt.Errorf("read blob %s: %w", digest, err)
	}
	if found := Digest(content); found != digest {
		return nil, analysis.Errorf(analysis.Internal, "a stored file has changed: expected sha256 %s, found %s", digest, found)
	}
	return content, nil
}

// Remove deletes a blob; a missing one is no error.
func (s *Store) Remove(tenant, digest string) error {
	path, err := s.path(tenant, digest)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove blob %s: %w", digest, err)
	}
	return nil
}

func (s *Store) temporary() string { return filepath.Join(s.dir, ".tmp") }

// path returns the file of a blob. Names that are not a tenant and a digest never reach the file system.
func (s *Store) path(tenant, digest string) (string, error) {
	if !tenantName.MatchString(tenant) || !digestName.MatchString(digest) {
		return "", fmt.Errorf("name blob: %q of tenant %q is not a digest of a tenant", digest, tenant)
	}
	return filepath.Join(s.dir, tenant, digest[:2], digest), nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
