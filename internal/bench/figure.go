package bench

import "slices"

// Row is what one contender reached in a case.
type Row struct {
	Contender string `json:"contender"`
	Class     Class  `json:"class"`
	Ours      bool   `json:"ours,omitempty"`
	Tuned     bool   `json:"tuned,omitempty"`
	// Best and Median are items a second, of the fastest iteration and of the median one.
	Best   float64 `json:"best_per_second"`
	Median float64 `json:"median_per_second"`
	// Peak is the share of the machine's measured fp32 peak, by the median; 0 if the work is not counted.
	Peak   float64 `json:"peak_share,omitempty"`
	Cosine *Cosine `json:"cosine,omitempty"`
	Items  int     `json:"items"` // of one iteration
	N      int     `json:"iterations"`

	seconds []float64 // of each iteration
}

// finish computes the row's figures of its seconds; work is the floating-point operations of one iteration.
func (r *Row) finish(work, peak float64) {
	r.N = len(r.seconds)
	r.Best, r.Median = float64(r.Items)/slices.Min(r.seconds), float64(r.Items)/median(r.seconds)
	if peak > 0 {
		r.Peak = work * r.Median / float64(r.Items) / peak
	}
}

// median returns the middle value, the mean of the two middle ones of an even number.
func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// Figure is one published number.
type Figure struct {
	Group  string `json:"group"`
	Name   string `json:"name"`
	Metric string `json:"metric"`
	// Value is nil if there is nothing of ours to measure; Absent then says why.
	Value  *float64 `json:"value"`
	Absent string   `json:"absent,omitempty"`
	// Best is the ratio of the fastest iterations, where Value is that of the medians.
	Best  *float64 `json:"best,omitempty"`
	About string   `json:"about,omitempty"`
	// Others is the share of the machine that other processes used meanwhile; Busy says that it is too much for the figure to count.
	Others float64 `json:"others"`
	Busy   bool    `json:"busy"`
	// Rows are all contenders of the class, ours first.
	Rows []Row `json:"rows,omitempty"`
	// Sizes are what was measured of each size, from the smallest, and Unit what a size counts.
	Sizes []Size `json:"sizes,omitempty"`
	Unit  string `json:"unit,omitempty"`
}

// ratio returns the figure of a case for one class: ours to the best peer. tuned asks for the tuned peers only,
// which are left out otherwise.
func ratio(name, about string, class Class, tuned bool, rows []Row, others float64) Figure {
	f := Figure{Name: name, Metric: "ratio", About: about, Others: others}
	var ours, median, best float64
	var bestOurs float64
	found := false
	for _, r := range rows {
		switch {
		case r.Class != class || !r.Ours && r.Tuned != tuned:
			continue
		case r.Ours && !found:
			found, ours, bestOurs = true, r.Median, r.Best
		case !r.Ours:
			median, best = max(median, r.Median), max(best, r.Best)
		}
		f.Rows = append(f.Rows, r)
	}
	switch {
	case !found:
		f.Absent = "the platform has no net of this class"
	case median == 0:
		f.Absent = "no peer ran"
	default:
		value, bests := ours/median, bestOurs/best
		f.Value, f.Best = &value, &bests
	}
	return f
}

// classes are the figures of a case in both classes.
func classes(c *Case, rows []Row, others float64) []Figure {
	return []Figure{
		ratio(c.Name+"-fp32", c.About, FP32, false, rows, others),
		ratio(c.Name+"-int8", c.About, Int8, false, rows, others),
	}
}
