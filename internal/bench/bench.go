// Package bench times the platform beside what users would run otherwise, on the same inputs in the same run.
package bench

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"consilium/internal/analysis"
)

// Class is the precision of a contender's arithmetic. Ratios hold within a class only.
type Class string

// The classes.
const (
	FP32 Class = "fp32"
	Int8 Class = "int8"
)

// A Contender does the work of a case over and over.
type Contender interface {
	// Name says whose work it is, with the version.
	Name() string
	// Take makes c the case that Run works on, does one iteration that nobody times and returns its vectors, in order.
	Take(ctx context.Context, c *Case) ([][]float32, error)
	// Run does n iterations and returns the seconds of each.
	Run(ctx context.Context, n int) ([]float64, error)
	Close() error
}

// Case is one piece of work.
type Case struct {
	Name, About string
	Items       int     // texts or pictures of one iteration
	Work        float64 // floating-point operations of one iteration, 0 if nobody counts them

	Texts    [][]string             // calls of one iteration, one after another
	Pictures *pictures              // one call with decoded pictures
	JPEG     *jpeg                  // one picture to decode
	Requests func(i int) [][]string // texts of each request of iteration i; clients send them side by side
	Clients  int
}

// entrant is a contender and what it is compared as.
type entrant struct {
	Contender
	class Class
	ours  bool
	// tuned marks a peer that was set up by hand for the case; it is compared for itself.
	tuned bool
}

// Env is what a run needs.
type Env struct {
	// Text, Vision and Fusion are the services, in this process; TextInt8 is Text in 8 bits.
	Text     analysis.TextEncoder
	TextInt8 analysis.TextEncoder
	Vision   analysis.VisionEncoder
	Fusion   analysis.Fuser
	// Radiographs, Segmenter and Writer are what reports need beside Vision and Fusion.
	Radiographs analysis.VisionEncoder
	Segmenter   analysis.Segmenter
	Writer      analysis.SentenceWriter
	// Audio computes on one thread.
	Audio analysis.AudioEncoder
	// Sound returns the vector of log-mel frames, of which the net gets so many at a time, on one thread.
	Sound func(frames []float32, piece int) []float32
	// Words returns the logits of so many words of a sentence and of the one behind them, by a decoder of the shipped shape.
	Words func(ctx context.Context, words int, remember bool) ([][]float32, error)
	// Tensors is the way of Vision for pictures that are decoded.
	Tensors func(ctx context.Context, inputs [][]float32) ([]*analysis.Features, error)
	// TensorsInt8 is Tensors in 8 bits, nil where the processor has none.
	TensorsInt8 func(ctx context.Context, inputs [][]float32) ([]*analysis.Features, error)
	// Wire returns Text as it is seen through its server.
	Wire func(ctx context.Context) (analysis.TextEncoder, func() error, error)
	// Programs is the folder of the programs that serve one model each.
	Programs string
	// Platform starts a platform with nothing stored and returns its address.
	Platform func(ctx context.Context) (url string, stop func() error, err error)
	// Peak measures how many floating-point operations a second a large product of matrices reaches.
	Peak func(ctx context.Context) (float64, error)
	// TextWork and ImageWork count the floating-point operations of a text of that many tokens, and of a picture.
	TextWork  func(tokens int) float64
	ImageWork float64
	// Out takes progress.
	Out io.Writer
}

// bench is one run.
type bench struct {
	Env
	peers   *peers
	corpus  *corpus
	dir     string // for the files that peers read
	figures []Figure
	peak    float64
	again   int // cases that were measured again
}

// Group is a part of the run that may be asked for alone.
type Group struct {
	Name, About string
	peers       bool // whether peers take part
	run         func(*bench, context.Context) error
}

// Groups are all, in the order of the report.
var Groups = []Group{
	{"text", "Texts to vectors with all-MiniLM-L6-v2, tokens included.", true, (*bench).text},
	{"http", "The same over HTTP, every text new.", true, (*bench).http},
	{"image", "Decoded pictures to vectors with EfficientNet-Lite0, 224 pixels; and files to what the net reads.", true, (*bench).image},
	{"gateway", "Questions to a platform as `consilium up` starts it, in milliseconds of the median.", false, (*bench).questions},
	{"audio", "Sounds to vectors with the WaveNet.", false, (*bench).audio},
	{"report", "Reports on a radiograph, by services in one process.", false, (*bench).report},
	{"growth", "How the time grows with the size: the exponent of the time against the work, over the larger half of the sizes. 1 is as fast as the work, 0 not at all; time that every size costs lowers it.", false, (*bench).growth},
}

// GroupNames are the names of all groups.
func GroupNames() (names []string) {
	for _, g := range Groups {
		names = append(names, g.Name)
	}
	return names
}

// Find returns the groups of that names, divided by commas, or all for "".
func Find(names string) ([]Group, error) {
	if names == "" {
		return Groups, nil
	}
	var chosen []Group
	for _, name := range strings.Split(names, ",") {
		i := slices.IndexFunc(Groups, func(g Group) bool { return g.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("bench %q: no such group; there are %s", name, strings.Join(GroupNames(), ", "))
		}
		chosen = append(chosen, Groups[i])
	}
	return chosen, nil
}

// Limits of one case: a round of one iteration each and then rounds of about slice each, at least fewest and, until the case
// took patience, at most most.
const (
	slice    = 200 * time.Millisecond
	fewest   = 3
	most     = 9
	patience = 25 * time.Second
	// On a machine that is too busy for fewest rounds within this, one has to do.
	despair = 4 * patience
)

// mostAgain is how many cases of a run are measured again because others took part of the machine meanwhile.
const mostAgain = 8

// more reports whether a case that took that long goes into another round.
func more(round int, took time.Duration) bool {
	switch {
	case round == 0:
		return true
	case round < fewest:
		return took < despair
	default:
		return round < most && took < patience
	}
}

// sameWeights is the least cosine between the vectors of two contenders that compute in fp32 with the same weights.
const sameWeights = 0.9999

// measure lets the entrants work on c in turns, A B A B, and returns a row for each. The first is the one whose vectors
// the others' are compared with.
func (b *bench) measure(ctx context.Context, c *Case, entrants []entrant) ([]Row, float64, error) {
	fmt.Fprintf(b.Out, "%s: %s\n", c.Name, c.About)
	rows := make([]Row, len(entrants))
	counts := make([]int, len(entrants))
	var reference [][]float32
	for i, e := range entrants {
		rows[i] = Row{Contender: e.Name(), Class: e.class, Ours: e.ours, Tuned: e.tuned, Items: c.Items}
		vectors, err := e.Take(ctx, c)
		if err != nil {
			return nil, 0, fmt.Errorf("%s, %s: %w", c.Name, e.Name(), err)
		}
		if i == 0 {
			reference = vectors
		} else if rows[i].Cosine, err = compare(vectors, reference); err != nil {
			return nil, 0, fmt.Errorf("%s, %s: %w", c.Name, e.Name(), err)
		} else if e.class == FP32 && c.JPEG == nil && rows[i].Cosine.Min < sameWeights {
			return nil, 0, fmt.Errorf("%s, %s: the least cosine to ours is %.6f, want at least %v: it computes something else", c.Name, e.Name(), rows[i].Cosine.Min, sameWeights)
		}
		counts[i] = 1
	}
	others, err := b.turns(ctx, c, entrants, rows, counts)
	for err == nil && others >= busyFrom && b.once(ctx, c.Name, others) {
		others, err = b.turns(ctx, c, entrants, rows, counts)
	}
	if err != nil {
		return nil, 0, err
	}
	for i := range rows {
		rows[i].finish(c.Work, b.peak)
	}
	return rows, others, nil
}

// How long a measurement that others disturbed waits for a second without them.
const calm, longestWait = time.Second, 30 * time.Second

// once reports whether name is measured once more, since others took that share of the machine, and waits until they are gone.
func (b *bench) once(ctx context.Context, name string, others float64) bool {
	if b.again == mostAgain {
		return false
	}
	b.again++
	fmt.Fprintf(b.Out, "%s: again, since others used %.0f %% of the machine\n", name, 100*others)
	for start := time.Now(); time.Since(start) < longestWait; {
		before, err := readUsage()
		if err != nil {
			return true // the measurement will say it
		}
		select {
		case <-ctx.Done():
			return true // as well
		case <-time.After(calm):
		}
		if after, err := readUsage(); err != nil || after.others(before) < busyFrom {
			break
		}
	}
	return true
}

// turns times the entrants in turns, with counts iterations each in the first round, and returns what share of the machine
// others had meanwhile.
func (b *bench) turns(ctx context.Context, c *Case, entrants []entrant, rows []Row, counts []int) (others float64, err error) {
	for i := range rows {
		rows[i].seconds = nil
	}
	before, err := readUsage()
	if err != nil {
		return 0, err
	}
	start := time.Now()
	for round := 0; more(round, time.Since(start)); round++ {
		for i, e := range entrants {
			seconds, err := e.Run(ctx, counts[i])
			if err != nil {
				return 0, fmt.Errorf("%s, %s: %w", c.Name, e.Name(), err)
			}
			rows[i].seconds = append(rows[i].seconds, seconds...)
			counts[i] = max(1, int(slice.Seconds()/max(seconds[0], 1e-5)))
		}
	}
	after, err := readUsage()
	return after.others(before), err
}

// Cosine is how near vectors are to those of ours in fp32.
type Cosine struct {
	Mean float64 `json:"mean"`
	Min  float64 `json:"min"`
}

// compare returns the cosines of vectors to reference, one by one.
func compare(vectors, reference [][]float32) (*Cosine, error) {
	if len(vectors) != len(reference) || len(vectors) == 0 {
		return nil, fmt.Errorf("it made %d vectors, want %d", len(vectors), len(reference))
	}
	c := &Cosine{Min: math.Inf(1)}
	for i, v := range vectors {
		if len(v) != len(reference[i]) {
			return nil, fmt.Errorf("vector %d has %d values, want %d", i, len(v), len(reference[i]))
		}
		var xy, xx, yy float64
		for j := range v {
			x, y := float64(v[j]), float64(reference[i][j])
			xy, xx, yy = xy+x*y, xx+x*x, yy+y*y
		}
		one := xy / math.Sqrt(xx*yy)
		if math.IsNaN(one) {
			return nil, fmt.Errorf("vector %d has no direction", i)
		}
		c.Mean, c.Min = c.Mean+one/float64(len(vectors)), min(c.Min, one)
	}
	return c, nil
}
