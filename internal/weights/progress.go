package weights

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A meter prints how far a download is, with rate and time left, by watching the folder that it grows in.
// On a terminal it rewrites one line, elsewhere it prints a line every few seconds.
type meter struct {
	out   io.Writer
	label string
	total int64
	dir   string
	begin time.Time
	tty   bool
	stop  chan struct{}
	done  chan struct{}
}

// watch starts a meter; finish ends it.
func watch(out io.Writer, label string, total int64, dir string) *meter {
	m := &meter{out: out, label: label, total: total, dir: dir, begin: time.Now(), stop: make(chan struct{}), done: make(chan struct{})}
	every := 3 * time.Second
	if f, ok := out.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			m.tty, every = true, 200*time.Millisecond
		}
	}
	go func() {
		defer close(m.done)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-m.stop:
				return
			case <-ticker.C:
				m.line(folderSize(m.dir))
			}
		}
	}()
	return m
}

// finish stops the meter and, if the download succeeded, prints its closing line.
func (m *meter) finish(ok bool) {
	close(m.stop)
	<-m.done
	if ok {
		seconds := time.Since(m.begin).Seconds()
		m.write(fmt.Sprintf("%s: %s in %.1f s, %s/s", m.label, megabytes(m.total), seconds, megabytes(int64(float64(m.total)/seconds))))
	}
	if m.tty {
		fmt.Fprintln(m.out)
	}
}

func (m *meter) line(have int64) {
	have = min(have, m.total) // the client holds two copies for a moment
	rate := float64(have) / time.Since(m.begin).Seconds()
	text := fmt.Sprintf("%s: %s of %s, %s/s", m.label, megabytes(have), megabytes(m.total), megabytes(int64(rate)))
	if have > m.total/1000 { // before that the rate says nothing
		left := time.Duration(float64(m.total-have) / rate * float64(time.Second))
		text += fmt.Sprintf(", %s left", left.Round(time.Second))
	}
	m.write(text)
}

func (m *meter) write(text string) {
	if m.tty {
		fmt.Fprintf(m.out, "\r\x1b[K%s", text)
		return
	}
	fmt.Fprintln(m.out, text)
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// folderSize adds up the files below dir; what vanishes meanwhile counts nothing.
func folderSize(dir string) int64 {
	var size int64
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			size += info.Size()
		}
		return nil
	})
	return size
}
