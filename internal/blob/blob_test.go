package blob

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"consilium/internal/analysis"
)

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// files returns the regular files below dir, relative to it.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	if err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			relative, _ := filepath.Rel(dir, path)
			found = append(found, relative)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return found
}

func TestStore(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	content := []byte("a picture")
	digest := Digest(content)
	var group sync.WaitGroup
	for range 8 { // the same content at once is one file
		group.Go(func() {
			if err := s.Put("default", digest, content); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if found := files(t, dir); len(found) != 1 || found[0] != filepath.Join("default", digest[:2], digest) {
		t.Errorf("files %v, want one", found)
	}
	if got, err := s.Get("default", digest); err != nil || !bytes.Equal(got, content) {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := s.Get("other", digest); analysis.CodeOf(err) != analysis.NotFound {
		t.Errorf("another tenant got %v, want not_found", err)
	}
	for range 2 {
		if err := s.Remove("default", digest); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Get("default", digest); analysis.CodeOf(err) != analysis.NotFound {
		t.Errorf("after removal got %v, want not_found", err)
	}
}

func TestStoreRefuses(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	digest := Digest([]byte("x"))
	for _, name := range [][2]string{{"../default", digest}, {"", digest}, {"default", "../../etc/passwd"}, {"default", strings.ToUpper(digest)}} {
		if err := s.Put(name[0], name[1], []byte("x")); err == nil {
			t.Errorf("stored %q of %q", name[1], name[0])
		}
	}
	large := make([]byte, 1025)
	if err := s.Put("default", Digest(large), large); analysis.CodeOf(err) != analysis.TooLarge {
		t.Errorf("got %v, want too_large", err)
	}
	if found := files(t, dir); len(found) != 0 {
		t.Errorf("refused blobs left %v", found)
	}
}

func TestGetFindsAChangedFile(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	content := []byte("a sound")
	digest := Digest(content)
	if err := s.Put("default", digest, content); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "default", digest[:2], digest), []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get("default", digest); analysis.CodeOf(err) != analysis.Internal {
		t.Errorf("got %v, want internal", err)
	}
}

func TestOpenRemovesAbandonedUploads(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	old, fresh := filepath.Join(dir, ".tmp", "upload-old"), filepath.Join(dir, ".tmp", "upload-fresh")
	for _, path := range []string{old, fresh} {
		if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	past := time.Now().Add(-2 * abandoned)
	if err := os.Chtimes(old, past, past); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	if found := files(t, dir); len(found) != 1 || found[0] != filepath.Join(".tmp", "upload-fresh") {
		t.Errorf("left %v, want the upload in progress only", found)
	}
}
