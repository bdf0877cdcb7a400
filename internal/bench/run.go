package bench

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Report is everything that a run measured.
type Report struct {
	Machine Machine  `json:"machine"`
	Figures []Figure `json:"figures"`
}

// Machine says where and when a run was.
type Machine struct {
	Time       time.Time `json:"time"`
	Processor  string    `json:"processor"`
	Processors int       `json:"processors"` // logical ones
	// Peak is what a product of fp32 matrices reached, in floating-point operations a second.
	Peak float64 `json:"peak_flops"`
	// Others is the share of the machine that other processes used during the run; Busy says that it was not the run's own.
	Others  float64 `json:"others"`
	Busy    bool    `json:"busy"`
	Seconds float64 `json:"seconds"`
}

// add takes figures into the report.
func (b *bench) add(figures ...Figure) { b.figures = append(b.figures, figures...) }

// Run runs the groups.
func Run(ctx context.Context, env Env, groups []Group) (*Report, error) {
	dir, err := os.MkdirTemp("", "consilium-bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	b := &bench{Env: env, dir: dir}
	if b.corpus, err = newCorpus(); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(groups, func(g Group) bool { return g.Name != "gateway" }) {
		if b.peers, err = install(ctx, env.Out, b.corpus, dir); err != nil {
			return nil, err
		}
	}
	before, err := readUsage()
	if err != nil {
		return nil, err
	}
	r := &Report{Machine: Machine{Time: time.Now().UTC().Truncate(time.Second), Processor: processor(), Processors: runtime.NumCPU()}}
	start := time.Now()
	if b.peak, err = env.Peak(ctx); err != nil {
		return nil, fmt.Errorf("measure the machine's peak: %w", err)
	}
	for _, g := range groups {
		first := len(b.figures)
		if err := g.run(b, ctx); err != nil {
			return nil, fmt.Errorf("bench %s: %w", g.Name, err)
		}
		for i := range b.figures[first:] {
			b.figures[first+i].group = g.Name
		}
	}
	after, err := readUsage()
	if err != nil {
		return nil, err
	}
	r.Machine.Peak, r.Figures = b.peak, b.figures
	r.Machine.Others = after.others(before)
	r.Machine.Busy = r.Machine.Others >= busyFrom
	r.Machine.Seconds = time.Since(start).Seconds()
	return r, nil
}

// processor returns the processor's name, "" where the system does not tell.
func processor() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(info)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.TrimLeft(strings.TrimSpace(name), ": \t")
		}
	}
	return ""
}
