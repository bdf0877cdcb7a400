package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Table writes the figures as aligned text.
func Table(w io.Writer, r *Report) {
	fmt.Fprintf(w, "%-24s %-18s %10s %10s %8s  %s\n", "name", "metric", "value", "best", "others", "")
	for _, f := range r.Figures {
		fmt.Fprintf(w, "%-24s %-18s %10s %10s %7.0f%%  %s\n", f.Name, f.Metric, number(f.Value), number(f.Best), 100*f.Others, f.Absent)
		for _, row := range f.Rows {
			fmt.Fprintf(w, "  %-62s %8.1f/s best %8.1f/s median%s%s\n", row.Contender, row.Best, row.Median, row.share(", %.0f%% of peak"), row.nearness(", cosine %.4f, least %.4f"))
		}
		for _, size := range f.Sizes {
			fmt.Fprintf(w, "  %8.0f %-8s %10.3f ms %10.4f us each %8s MB\n", size.Size, f.Unit, 1e3*size.Seconds, 1e6*size.Seconds/size.Size, size.megabytes())
		}
	}
	for _, run := range r.Runs {
		fmt.Fprintf(w, "%s: %v\n", run.Group, run)
	}
}

// String says where the run was, and whether what it measured counts.
func (r Run) String() string {
	s := fmt.Sprintf("%s, %s, %d logical processors; fp32 products of matrices reached %.0f GFLOP/s. It took %.0f minutes.",
		r.Time.Format("2006-01-02 15:04 MST"), r.Processor, r.Processors, r.Peak/1e9, r.Seconds/60)
	if r.Busy {
		return s + fmt.Sprintf(" The machine was busy: others used %.0f %% of it meanwhile (other machines on the same processor %.0f %%), so that not even the ratios count for much.", 100*r.Others, 100*r.Stolen)
	}
	return s + fmt.Sprintf(" Others used %.0f %% of the machine meanwhile.", 100*r.Others)
}

func (r Row) share(format string) string {
	if r.Peak == 0 {
		return ""
	}
	return fmt.Sprintf(format, 100*r.Peak)
}

func (r Row) nearness(format string) string {
	if r.Cosine == nil {
		return ""
	}
	return fmt.Sprintf(format, r.Cosine.Mean, r.Cosine.Min)
}

// number writes a figure with three digits or more.
func number(v *float64) string {
	switch {
	case v == nil:
		return "absent"
	case *v >= 100:
		return fmt.Sprintf("%.0f", *v)
	case *v >= 10:
		return fmt.Sprintf("%.1f", *v)
	default:
		return fmt.Sprintf("%.2f", *v)
	}
}

// Markdown writes docs/benchmarks.md.
func Markdown(w io.Writer, r *Report) {
	fmt.Fprint(w, "# Benchmarks\n\nWritten by `make bench`; do not edit. The same figures stand in bench.json.\n\n"+about+"\n")
	for _, g := range Groups {
		i := slices.IndexFunc(r.Runs, func(run Run) bool { return run.Group == g.Name })
		if i < 0 {
			fmt.Fprintf(w, "\n## %s\n\n%s Not measured yet.\n", g.Name, g.About)
			continue
		}
		fmt.Fprintf(w, "\n## %s\n\n%s\n\n%v\n\n| figure | metric | value | of the best | others | |\n| --- | --- | ---: | ---: | ---: | --- |\n", g.Name, g.About, r.Runs[i])
		for _, f := range r.Figures {
			if f.Group == g.Name {
				fmt.Fprintf(w, "| %s | %s | %s | %s | %.0f %% | %s |\n", f.Name, f.Metric, number(f.Value), bestOf(f), 100*f.Others, remark(f))
			}
		}
		wrote := false
		for _, f := range r.Figures {
			if f.Group != g.Name || len(f.Rows) == 0 {
				continue
			}
			if !wrote {
				fmt.Fprint(w, "\n| figure | contender | best /s | median /s | iterations | share of peak | cosine, least |\n| --- | --- | ---: | ---: | ---: | ---: | ---: |\n")
				wrote = true
			}
			for _, row := range f.Rows {
				fmt.Fprintf(w, "| %s | %s | %.1f | %.1f | %d | %s | %s |\n", f.Name, row.Contender, row.Best, row.Median, row.N, row.share("%.0f %%"), row.nearness("%.4f, %.4f"))
			}
		}
		markdownSizes(w, g.Name, r.Figures)
	}
}

// markdownSizes writes the sizes of a group's figures.
func markdownSizes(w io.Writer, group string, figures []Figure) {
	wrote := false
	for _, f := range figures {
		if f.Group != group || len(f.Sizes) == 0 {
			continue
		}
		if !wrote {
			fmt.Fprint(w, "\n| figure | size | ms | µs each | most memory, MB |\n| --- | ---: | ---: | ---: | ---: |\n")
			wrote = true
		}
		for _, s := range f.Sizes {
			fmt.Fprintf(w, "| %s | %.0f %s | %.3f | %.4f | %s |\n", f.Name, s.Size, f.Unit, 1e3*s.Seconds, 1e6*s.Seconds/s.Size, s.megabytes())
		}
	}
}

// megabytes writes the memory, "" where nobody knows it.
func (s Size) megabytes() string {
	if s.Resident == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f", s.Resident/1e6)
}

// remark says what a figure is of, and why it does not count or is absent.
func remark(f Figure) string {
	parts := []string{f.About}
	if f.Absent != "" {
		parts = append(parts, f.Absent)
	} else if f.Busy {
		parts = append(parts, "busy, does not count")
	}
	return strings.Join(parts, "; ")
}

func bestOf(f Figure) string {
	if f.Best == nil {
		return ""
	}
	return number(f.Best)
}

// about is the head of docs/benchmarks.md.
const about = `A ratio is ours to the best peer of the same precision, in the same run: above 1 the platform is faster. Everyone gets the
same inputs and weights, works in turns (A B A B …) and is timed from text, or from a decoded picture, to vector, with
the defaults that a user gets. A peer in fp32 whose vectors have a cosine below 0.9999 to ours ends the run. "Value" is of the median
iteration, "of the best" of the fastest; both are milliseconds where the metric says so. "Others" is the share of the machine that
neither we nor the peers used meanwhile, other machines on the same processor among it: on a shared machine only ratios count, and on a busy one not even they. Up to
eight cases of a run are then measured again, once the others leave it alone for a second. A class that the platform has no net of is absent. The 8-bit peers are made as their documentation says (internal/bench/peers/prepare.py),
and their cosine to fp32 stands beside. hugot runs in its Go form, where a call is one text.`
