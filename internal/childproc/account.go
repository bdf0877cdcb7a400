package childproc

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// An account is the user that a child runs as: nil for the user of this process. Postgres refuses the
// superuser and needs an entry in the passwd file.
type account struct{ uid, gid int }

func childAccount() (*account, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, uidErr := strconv.Atoi(u.Uid)
			gid, gidErr := strconv.Atoi(u.Gid)
			return &account{uid, gid}, errors.Join(uidErr, gidErr)
		}
	}
	return nil, errors.New("find a user to run a database as: root must not, and there is no user postgres or nobody")
}

func (a *account) credential() *syscall.Credential {
	if a == nil {
		return nil
	}
	return &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
}

// prepare makes dir and gives it, with what it holds, to the account. dir is then readable by nobody else.
func (a *account) prepare(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if a == nil {
		return nil
	}
	for above := filepath.Dir(dir); ; above = filepath.Dir(above) {
		info, err := os.Stat(above)
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o001 == 0 {
			return fmt.Errorf("prepare %s: a database does not run as root, and no other user may enter %s", dir, above)
		}
		if above == filepath.Dir(above) {
			break
		}
	}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, a.uid, a.gid)
	})
}

// lockFolder keeps a second process from starting a database in dir; the lock ends with this process.
func lockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: another process runs a database there", dir)
	}
	return f, nil
}

// password returns the secret kept in the file at path, which it makes at the first call.
func password(path string) (string, error) {
	old, err := os.ReadFile(path)
	if secret := strings.TrimSpace(string(old)); err == nil && secret != "" {
		return secret, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	random := make([]byte, 32)
	rand.Read(random)
	secret := hex.EncodeToString(random)
	return secret, os.WriteFile(path, []byte(secret+"\n"), 0o600)
}

// maxSocketPath is what Linux allows for the path of a Unix socket, less its closing zero.
const maxSocketPath = 107

func checkSocket(path string) error {
	if len(path) > maxSocketPath {
		return fmt.Errorf("open the socket %s: the path has %d bytes, the limit is %d; choose a shorter folder", path, len(path), maxSocketPath)
	}
	return nil
}
