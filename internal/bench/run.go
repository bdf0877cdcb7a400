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

// Report is everything that was measured, each group by the last run that it was part of.
type Report struct {
	Runs    []Run    `json:"runs"`
	Figures []Figure `json:"figures"`
}

// Run says where and when a group ran.
type Run struct {
	Group      string    `json:"group"`
	Time       time.Time `json:"time"`
	Processor  string    `json:"processor"`
	Processors int       `json:"processors"` // logical ones
	// Peak is what a product of fp32 matrices reached, in floating-point operations a second.
	Peak float64 `json:"peak_flops"`
	// Others is the share of the machine that others used meanwhile, Stolen what of it went to other machines on the same
	// processor; Busy says that it is too much for figures to count.
	Others  float64 `json:"others"`
	Stolen  float64 `json:"stolen"`
	Busy    bool    `json:"busy"`
	Seconds float64 `json:"seconds"`
}

// With returns r with the groups of newer in place of its own.
func (r *Report) With(newer *Report) *Report {
	out := &Report{}
	for _, g := range Groups {
		from := r
		if slices.ContainsFunc(newer.Runs, func(run Run) bool { return run.Group == g.Name }) {
			from = newer
		}
		for _, run := range from.Runs {
			if run.Group == g.Name {
				out.Runs = append(out.Runs, run)
			}
		}
		for _, f := range from.Figures {
			if f.Group == g.Name {
				out.Figures = append(out.Figures, f)
			}
		}
	}
	return out
}

// add takes figures into the report.
func (b *bench) add(figures ...Figure) { b.figures = append(b.figures, figures...) }

// Measure runs the groups.
func Measure(ctx context.Context, env Env, groups []Group) (*Report, error) {
	dir, err := os.MkdirTemp("", "consilium-bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	b := &bench{Env: env, dir: dir}
	if b.corpus, err = newCorpus(); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(groups, func(g Group) bool { return g.peers }) {
		if b.peers, err = install(ctx, env.Out, b.corpus, dir); err != nil {
			return nil, err
		}
	}
	if b.peak, err = env.Peak(ctx); err != nil {
		return nil, fmt.Errorf("measure the machine's peak: %w", err)
	}
	r := &Report{}
	for _, g := range groups {
		run := Run{Group: g.Name, Time: time.Now().UTC().Truncate(time.Second), Processor: processor(), Processors: runtime.NumCPU(), Peak: b.peak}
		before, err := readUsage()
		if err != nil {
			return nil, err
		}
		start := time.Now()
		if err := g.run(b, ctx); err != nil {
			return nil, fmt.Errorf("bench %s: %w", g.Name, err)
		}
		run.Seconds = time.Since(start).Seconds()
		after, err := readUsage()
		if err != nil {
			return nil, err
		}
		run.Others, run.Stolen = after.others(before), after.stole(before)
		run.Busy = run.Others >= busyFrom
		for _, f := range b.figures {
			f.Group, f.Busy = g.Name, f.Others >= busyFrom
			r.Figures = append(r.Figures, f)
		}
		b.figures = nil
		r.Runs = append(r.Runs, run)
	}
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
