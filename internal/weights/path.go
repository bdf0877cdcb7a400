package weights

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// sharedRoot holds the public artefacts of the superuser when the cache root lies below a folder that other
// users cannot enter, such as /root.
const sharedRoot = "/var/lib/consilium/cache"

// stampName is the file inside an artefact's folder that says which manifest entry it was verified against.
const stampName = ".consilium-stamp"

// Root returns the cache root: CONSILIUM_CACHE, or .cache/consilium in the user's home.
func Root() (string, error) {
	if root := os.Getenv("CONSILIUM_CACHE"); root != "" {
		if !filepath.IsAbs(root) {
			return "", fmt.Errorf("CONSILIUM_CACHE: want an absolute path, found %q", root)
		}
		return filepath.Clean(root), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the cache root (set CONSILIUM_CACHE): %w", err)
	}
	return filepath.Join(home, ".cache", "consilium"), nil
}

// Path returns the file or folder of an artefact by its name in locations. The stamp says that its bytes were
// verified when they were unpacked; without it the error says to run `make deps`.
func Path(name string) (string, error) {
	location, ok := locations[name]
	if !ok {
		return "", fmt.Errorf("find %q: no such artefact in the manifest", name)
	}
	if name == "libtorch" && os.Getenv("CONSILIUM_LIBTORCH") != "" {
		return ownLibtorch(os.Getenv("CONSILIUM_LIBTORCH"))
	}
	a := artefact(location.artefact)
	folder, err := a.path()
	if err != nil {
		return "", err
	}
	if !a.stamped(folder) {
		how := "make deps"
		if a.OnDemand {
			how = "go run ./cmd/fetch " + a.Name
		}
		return "", fmt.Errorf("find %s: %s is missing or not of this version; run `%s`", name, folder, how)
	}
	path := filepath.Join(folder, filepath.FromSlash(location.rel))
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("find %s: %w; remove %s and run `make deps`", name, err, folder)
	}
	return path, nil
}

// ownLibtorch checks the user's libtorch for the two things that a build of gotch needs.
func ownLibtorch(folder string) (string, error) {
	for _, want := range []string{"lib/libtorch_cpu.so", "include/torch/csrc/api/include/torch/torch.h"} {
		if _, err := os.Stat(filepath.Join(folder, want)); err != nil {
			return "", fmt.Errorf("CONSILIUM_LIBTORCH: want the folder of a libtorch 2.1, but %q holds no %s", folder, want)
		}
	}
	return folder, nil
}

// artefact returns the manifest's entry of that name, nil if there is none.
func artefact(name string) *Artefact {
	for i := range Manifest {
		if Manifest[i].Name == name {
			return &Manifest[i]
		}
	}
	return nil
}

// path returns the artefact's folder, which need not exist.
func (a *Artefact) path() (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	if a.Public && os.Getuid() == 0 && !enterable(root) {
		root = sharedRoot
	}
	return filepath.Join(root, a.Folder), nil
}

// enterable reports whether every user may enter path and the folders above it; what does not exist yet will be
// made so.
func enterable(path string) bool {
	for ; ; path = filepath.Dir(path) {
		if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if path == filepath.Dir(path) {
			return true
		}
	}
}

// digest identifies the manifest entry: a changed pin is another digest.
func (a *Artefact) digest() string {
	entry, err := json.Marshal(a)
	if err != nil {
		panic(err) // strings, numbers and booleans only
	}
	sum := sha256.Sum256(entry)
	return hex.EncodeToString(sum[:])
}

// stamped reports whether folder was verified against this very manifest entry.
func (a *Artefact) stamped(folder string) bool {
	stamp, err := os.ReadFile(filepath.Join(folder, stampName))
	return err == nil && strings.TrimSpace(string(stamp)) == a.digest()
}

// stamp marks folder as verified.
func (a *Artefact) stamp(folder string) error {
	if err := os.WriteFile(filepath.Join(folder, stampName), []byte(a.digest()+"\n"), 0o644); err != nil {
		return fmt.Errorf("mark %s as verified: %w", folder, err)
	}
	return nil
}
