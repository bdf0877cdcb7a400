package weights

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
)

// verify compares every file and folder of the artefact with the manifest.
func (a *Artefact) verify(folder string) error {
	for _, source := range a.Sources {
		for _, file := range source.Files {
			path := filepath.Join(folder, filepath.FromSlash(file.To))
			if err := check(path, file.SHA256); err != nil {
				return err
			}
		}
	}
	return nil
}

// check returns an error that names path, the expected and the found hash if they differ.
func check(path, want string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("verify %s: %w", path, err)
	}
	hash := hashFile
	if info.IsDir() {
		hash = hashFolder
	}
	found, err := hash(path)
	if err != nil {
		return fmt.Errorf("verify %s: %w", path, err)
	}
	if found != want {
		return fmt.Errorf("verify %s: expected sha256 %s, found %s", path, want, found)
	}
	return nil
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// hashFolder hashes the listing of a folder's files, one line a file as sha256sum prints it, sorted by path.
func hashFolder(folder string) (string, error) {
	var paths []string
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() && entry.Name() != stampName {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	for i, path := range paths {
		rel, err := filepath.Rel(folder, path)
		if err != nil {
			return "", err
		}
		paths[i] = filepath.ToSlash(rel)
	}
	sort.Strings(paths)
	h := sha256.New()
	for _, path := range paths {
		sum, err := hashFile(filepath.Join(folder, filepath.FromSlash(path)))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s  %s\n", sum, path)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
