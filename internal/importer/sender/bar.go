package sender

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// barCells is the width of the bar.
const barCells = 24

// Bar draws progress as one line that it draws anew each time, or as lines where the output is no terminal.
func Bar(w io.Writer, terminal bool) func(*Report) {
	start := time.Now()
	skipped := -1
	return func(r *Report) {
		done := r.Done()
		if skipped < 0 || r.Created == 0 { // what was there before is passed over quickly and says nothing of the rate
			skipped, start = done, time.Now()
		}
		line := bar(r, done-skipped, time.Since(start))
		switch {
		case !terminal:
			fmt.Fprintln(w, line)
		case done >= r.Studies:
			fmt.Fprintf(w, "\r%s\x1b[K\n", line)
		default:
			fmt.Fprintf(w, "\r%s\x1b[K", line)
		}
	}
}

// bar says how far an import is that dealt with n studies in this time.
func bar(r *Report, n int, took time.Duration) string {
	done, share := r.Done(), 1.0
	if r.Studies > 0 {
		share = float64(done) / float64(r.Studies)
	}
	full := int(share * barCells)
	line := fmt.Sprintf("[%s%s] %d/%d studies %3.0f %%", strings.Repeat("=", full), strings.Repeat(" ", barCells-full), done, r.Studies, 100*share)
	if n > 0 && took > 0 {
		rate := float64(n) / took.Seconds()
		left := time.Duration(float64(r.Studies-done) / rate * float64(time.Second))
		line += fmt.Sprintf("  %.1f/s  %s left", rate, left.Round(time.Second))
	}
	if r.Refused > 0 {
		line += fmt.Sprintf("  %d refused", r.Refused)
	}
	return line
}
