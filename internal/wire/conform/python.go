package conform

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pythons are the versions of Python that the requirements of tests have wheels of.
var pythons = []string{"3.11", "3.12", "3.13"}

// Python returns the folder below the cache root into which pip put a package with what it needs, pinned by hash in
// requirements. It skips where there is no Python with pip, or another one than those that the packages are pinned for.
func Python(t *testing.T, name, version, requirements string) string {
	t.Helper()
	if err := exec.Command("python3", "-m", "pip", "--version").Run(); err != nil {
		t.Skipf("python3 with pip is needed for %s: %v", name, err)
	}
	out, err := exec.Command("python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])").Output()
	if err != nil {
		t.Fatalf("ask python3 for its version: %v", err)
	}
	python := strings.TrimSpace(string(out))
	if !slices.Contains(pythons, python) {
		t.Skipf("%s is pinned for Python %s, found %s", name, strings.Join(pythons, ", "), python)
	}
	root := os.Getenv("CONSILIUM_CACHE")
	if root == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			t.Fatal(err)
		}
		root = filepath.Join(home, ".cache", "consilium")
	}
	folder := filepath.Join(root, name+"-"+version+"-py"+python)
	if _, err := os.Stat(folder); err == nil {
		return folder
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	fresh, err := os.MkdirTemp(root, name+"-*")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(fresh)
	list := filepath.Join(t.TempDir(), "requirements.txt")
	if err := os.WriteFile(list, []byte(requirements), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Logf("installing %s %s into %s", name, version, folder)
	pip := exec.CommandContext(t.Context(), "python3", "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:",
		"--disable-pip-version-check", "--root-user-action=ignore", "--target", fresh, "-r", list)
	if out, err := pip.CombinedOutput(); err != nil {
		t.Fatalf("install %s %s: %v\n%s", name, version, err, out)
	}
	// Another test may have been faster; whichever folder arrived first is whole.
	if err := os.Rename(fresh, folder); err != nil {
		if _, missing := os.Stat(folder); missing != nil {
			t.Fatalf("install %s %s: %v", name, version, err)
		}
	}
	return folder
}

// Script runs a program in Python with the packages of folder: it reads job as JSON from its standard input and writes answer
// as JSON to its standard output.
func Script(t *testing.T, folder, program string, job, answer any) {
	t.Helper()
	raw, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	python := exec.CommandContext(t.Context(), "python3", "-c", program)
	python.Env = append(os.Environ(), "PYTHONPATH="+folder)
	python.Stdin = bytes.NewReader(raw)
	var stderr bytes.Buffer
	python.Stderr = &stderr
	out, err := python.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(folder), err, stderr.String())
	}
	if err := json.Unmarshal(out, answer); err != nil {
		t.Fatalf("%s: read what it wrote: %v\n%s", filepath.Base(folder), err, out)
	}
}
