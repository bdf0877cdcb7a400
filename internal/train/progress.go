package train

import (
	"fmt"
	"io"
	"time"
)

// Progress prints how far a long run is, how fast it goes and when it will be done.
type Progress struct {
	out    io.Writer
	unit   string
	total  int
	before int // units that an earlier run has done
	start  time.Time
	last   time.Time
	period time.Duration
}

// NewProgress reports on total units of work, at most every five seconds.
func NewProgress(out io.Writer, unit string, total int) *Progress {
	now := time.Now()
	return &Progress{out: out, unit: unit, total: total, start: now, last: now, period: 5 * time.Second}
}

// Report prints a line if it is time for one; done units are finished, note is appended.
func (p *Progress) Report(done int, note string) {
	now := time.Now()
	if now.Sub(p.last) < p.period && done < p.total {
		return
	}
	p.last = now
	rate := float64(done-p.before) / now.Sub(p.start).Seconds()
	eta := time.Duration(float64(p.total-done) / rate * float64(time.Second)).Round(time.Second)
	fmt.Fprintf(p.out, "%s %d/%d  %.1f/s  %s left  %s\n", p.unit, done, p.total, rate, eta, note)
}
