package eval

// tally counts right answers.
type tally struct{ right, n int }

func (t *tally) count(right bool) {
	t.n++
	if right {
		t.right++
	}
}

func (t *tally) share() float64 { return float64(t.right) / float64(max(1, t.n)) }

// mean is a running mean.
type mean struct {
	sum float64
	n   int
}

func (m *mean) add(v float64) { m.sum, m.n = m.sum+v, m.n+1 }

func (m *mean) value() float64 { return m.sum / float64(max(1, m.n)) }

// mostFrequent returns the answer of the largest count, of several the first in the alphabet.
func mostFrequent(counts map[string]int) string {
	best := ""
	for answer, n := range counts {
		if n > counts[best] || n == counts[best] && answer < best {
			best = answer
		}
	}
	return best
}
