package bench

import (
	"context"
	"encoding/json"
	"io"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 2, 9}, 3}} {
		if got := median(c.values); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.values, got, c.want)
		}
	}
}

func TestRowFinish(t *testing.T) {
	r := Row{Items: 8, seconds: []float64{2, 1, 4}}
	r.finish(100, 1000)
	if r.Best != 8 || r.Median != 4 || r.N != 3 || r.Peak != 100.0/2/1000 {
		t.Errorf("the row is %+v", r)
	}
}

func TestRatio(t *testing.T) {
	rows := []Row{
		{Contender: "ours", Class: FP32, Ours: true, Best: 30, Median: 20},
		{Contender: "ours another way", Class: FP32, Ours: true, Best: 300, Median: 200},
		{Contender: "slow", Class: FP32, Best: 11, Median: 8},
		{Contender: "fast", Class: FP32, Best: 10, Median: 10},
		{Contender: "tuned", Class: FP32, Tuned: true, Best: 60, Median: 40},
		{Contender: "small", Class: Int8, Best: 90, Median: 80},
	}
	for _, c := range []struct {
		name        string
		class       Class
		tuned       bool
		value, best float64 // 0 for none
		rows        int
	}{
		{"the best peer of the class", FP32, false, 2, 30.0 / 11, 4},
		{"tuned peers for themselves", FP32, true, 0.5, 0.5, 3},
		{"a class without one of ours", Int8, false, 0, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := ratio("x", "", c.class, c.tuned, rows, 0)
			if len(f.Rows) != c.rows {
				t.Errorf("%d rows, want %d", len(f.Rows), c.rows)
			}
			if c.value == 0 {
				if f.Value != nil || f.Best != nil || f.Absent == "" {
					t.Errorf("got %+v, want nothing, and why", f)
				}
				return
			}
			if f.Value == nil || *f.Value != c.value || *f.Best != c.best || f.Absent != "" {
				t.Errorf("got %s of the medians and %s of the best, want %v and %v", number(f.Value), number(f.Best), c.value, c.best)
			}
		})
	}
}

func TestMore(t *testing.T) {
	for _, c := range []struct {
		round int
		took  time.Duration
		want  bool
	}{
		{0, time.Hour, true}, {1, despair - 1, true}, {1, despair, false}, {fewest, patience - 1, true}, {fewest, patience, false}, {most, 0, false},
	} {
		if got := more(c.round, c.took); got != c.want {
			t.Errorf("round %d after %s: %v, want %v", c.round, c.took, got, c.want)
		}
	}
}

func TestCompare(t *testing.T) {
	reference := [][]float32{{1, 0}, {0, 2}}
	c, err := compare([][]float32{{3, 0}, {1, 1}}, reference)
	if err != nil || math.Abs(c.Min-math.Sqrt2/2) > 1e-12 || math.Abs(c.Mean-(1+math.Sqrt2/2)/2) > 1e-12 {
		t.Errorf("got %+v, %v", c, err)
	}
	for name, v := range map[string][][]float32{"too few": {{1, 0}}, "too short": {{1, 0}, {1}}, "no direction": {{1, 0}, {0, 0}}, "none": nil} {
		if _, err := compare(v, reference); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestNamesAreComplete holds the names that others read in bench.json.
func TestNamesAreComplete(t *testing.T) {
	c, err := newCorpus()
	if err != nil {
		t.Fatal(err)
	}
	work := func(tokens int) float64 { return float64(tokens) }
	var names []string
	for _, k := range textCases(c, work) {
		for _, f := range classes(k, nil, 0) {
			names = append(names, f.Name)
		}
	}
	want := []string{
		"text-16-1-fp32", "text-16-1-int8", "text-16-8-fp32", "text-16-8-int8", "text-16-32-fp32", "text-16-32-int8",
		"text-64-1-fp32", "text-64-1-int8", "text-64-8-fp32", "text-64-8-int8", "text-64-32-fp32", "text-64-32-int8",
		"text-256-1-fp32", "text-256-1-int8", "text-256-8-fp32", "text-256-8-int8", "text-256-32-fp32", "text-256-32-int8",
		"text-mixed-fp32", "text-mixed-int8",
	}
	if !slices.Equal(names, want) {
		t.Errorf("the cases of texts are %q", names)
	}
	for i, k := range httpCases(c, work) {
		if want := []string{"text-http-mixed", "text-http-batch"}[i]; k.Name != want {
			t.Errorf("case %d is %s, want %s", i, k.Name, want)
		}
	}
}

func TestTextsHaveTheirLength(t *testing.T) {
	c, err := newCorpus()
	if err != nil {
		t.Fatal(err)
	}
	for _, length := range textLengths {
		for _, text := range c.texts(timedSeed, 32, length) {
			if n := c.tokens(text); n != length {
				t.Errorf("%d tokens, want %d: %s", n, length, text)
			}
		}
	}
	texts := c.mixed(timedSeed, mixedTexts)
	for _, text := range texts {
		if n := c.tokens(text); n < shortest || n > longest {
			t.Errorf("%d tokens, want %d to %d: %s", n, shortest, longest, text)
		}
	}
	if !slices.Equal(texts, c.mixed(timedSeed, mixedTexts)) {
		t.Error("the same seed gave other texts")
	}
	seen := map[string]bool{}
	for i := range 3 {
		for _, k := range httpCases(c, func(int) float64 { return 1 }) {
			for _, request := range k.Requests(i) {
				for _, text := range request {
					if seen[text] {
						t.Fatalf("%s sends %q twice, which a gateway remembers", k.Name, text)
					}
					seen[text] = true
				}
			}
		}
	}
}

func TestFind(t *testing.T) {
	if groups, err := Find(""); err != nil || len(groups) != len(Groups) {
		t.Errorf("%d groups, %v", len(groups), err)
	}
	if groups, err := Find("image,text"); err != nil || len(groups) != 2 || groups[0].Name != "image" {
		t.Errorf("%+v, %v", groups, err)
	}
	if _, err := Find("image,sound"); err == nil || !strings.Contains(err.Error(), `"sound"`) {
		t.Errorf("got %v, want an error that names the group", err)
	}
}

func TestUsage(t *testing.T) {
	u, err := parseStat([]byte("cpu  100 10 50 800 20 5 5 10 0 0\ncpu0 1\n"))
	if want := (usage{total: 1000, busy: 180, stolen: 10}); err != nil || u != want {
		t.Errorf("%+v, %v, want %+v", u, err, want)
	}
	if _, err := parseStat([]byte("intr 5")); err == nil {
		t.Error("no error of a line without times")
	}
	p, ok := parseProcess([]byte("42 (a) b) S 7 1 1 0 -1 4 0 0 0 0 10 20 30 40 20 0 1 0"))
	if !ok || p != (process{42, 7, 100}) {
		t.Errorf("the process is %+v, %v", p, ok)
	}
	ticks := tree(map[int]process{1: {1, 0, 1}, 5: {5, 1, 10}, 6: {6, 5, 100}, 7: {7, 6, 1000}, 8: {8, 1, 10000}}, 5)
	if ticks != 1110 {
		t.Errorf("the tree took %v ticks, want 1110", ticks)
	}
	before, after := usage{total: 100, busy: 50, own: 20, stolen: 5}, usage{total: 200, busy: 130, own: 60, stolen: 30}
	if got := after.others(before); got != 0.4 {
		t.Errorf("others took %v, want 0.4", got)
	}
	if got := after.stole(before); got != 0.25 {
		t.Errorf("other machines took %v, want 0.25", got)
	}
}

// TestMain is a peer when it is asked to be one.
func TestMain(m *testing.M) {
	if mode := os.Getenv("BENCH_TEST_PEER"); mode != "" {
		actAsPeer(mode)
		return
	}
	os.Exit(m.Run())
}

// actAsPeer answers as peers/peer.py does. The vector of a text is its number of bytes, and 1.
func actAsPeer(mode string) {
	if mode == "broken" {
		os.Stderr.WriteString("there is no engine of that name\n")
		os.Exit(3)
	}
	out, in := json.NewEncoder(os.Stdout), json.NewDecoder(os.Stdin)
	_ = out.Encode(map[string]string{"ready": "1.0"})
	for {
		var o order
		if in.Decode(&o) != nil {
			return
		}
		switch {
		case mode == "refuses":
			_ = out.Encode(answer{Error: "ValueError: no"})
		case o.Run > 0:
			_ = out.Encode(answer{Seconds: slices.Repeat([]float64{0.5}, o.Run)})
		default:
			var vectors [][]float32
			for _, call := range o.Texts {
				for _, text := range call {
					x := float32(len(text))
					if mode == "other weights" {
						x = -x
					}
					vectors = append(vectors, []float32{x, 1})
				}
			}
			_ = out.Encode(answer{Vectors: vectors})
		}
	}
}

// standIn starts this test program as a peer.
func standIn(t *testing.T, mode string) (*peer, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "BENCH_TEST_PEER="+mode)
	p, err := startPeer(t.Context(), "stand-in", cmd)
	if err == nil {
		t.Cleanup(func() { p.Close() })
	}
	return p, err
}

func TestMeasure(t *testing.T) {
	c := &Case{Name: "case", Items: 3, Work: 60, Texts: [][]string{{"a", "bb"}, {"ccc"}}}
	length := &own{name: "ours", begin: func(c *Case) func(context.Context) ([][]float32, error) {
		return func(context.Context) (all [][]float32, err error) {
			for _, call := range c.Texts {
				for _, text := range call {
					all = append(all, []float32{float32(len(text)), 1})
				}
			}
			return all, nil
		}
	}}
	b := &bench{Env: Env{Out: io.Discard}, peak: 1000, again: mostAgain} // nothing is measured again, however busy the machine
	for _, k := range []struct {
		mode  string
		class Class
		want  string // in the error, "" for none
	}{
		{"right", FP32, ""},
		{"other weights", FP32, "computes something else"},
		{"other weights", Int8, ""},
		{"refuses", FP32, "ValueError: no"},
	} {
		t.Run(k.mode+" "+string(k.class), func(t *testing.T) {
			p, err := standIn(t, k.mode)
			if err != nil {
				t.Fatal(err)
			}
			rows, _, err := b.measure(t.Context(), c, []entrant{{Contender: length, class: FP32, ours: true}, {Contender: p, class: k.class}})
			if k.want != "" {
				if err == nil || !strings.Contains(err.Error(), k.want) || !strings.Contains(err.Error(), "stand-in") {
					t.Errorf("got %v, want an error about the stand-in and %q", err, k.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			r := rows[1]
			if r.Contender != "stand-in (1.0)" || r.Median != 6 || r.Best != 6 || r.N < fewest || r.Cosine == nil || r.Peak != 0.12 {
				t.Errorf("the row is %+v", r)
			}
			if k.mode == "right" && r.Cosine.Min < sameWeights {
				t.Errorf("the cosine is %v", r.Cosine)
			}
			if rows[0].Cosine != nil || !rows[0].Ours || rows[0].N < fewest {
				t.Errorf("our row is %+v", rows[0])
			}
		})
	}
}

func TestAPeerThatDoesNotStartSaysWhy(t *testing.T) {
	if _, err := standIn(t, "broken"); err == nil || !strings.Contains(err.Error(), "no engine of that name") {
		t.Errorf("got %v, want what it said", err)
	}
}

func TestReportIsWritten(t *testing.T) {
	value := 1.5
	r := &Report{
		Runs: []Run{{Group: "text", Processor: "P", Processors: 2, Others: 0.4, Busy: true}},
		Figures: []Figure{
			{Name: "text-16-1-fp32", Metric: "ratio", Value: &value, Best: &value, Group: "text", Rows: []Row{{Contender: "consilium", Best: 3, Median: 2}}},
			{Name: "text-16-1-int8", Metric: "ratio", Absent: "no net", Group: "text"},
		},
	}
	var page, table strings.Builder
	Markdown(&page, r)
	Table(&table, r)
	for _, text := range []string{page.String(), table.String()} {
		for _, want := range []string{"text-16-1-fp32", "1.50", "absent", "no net", "consilium", "The machine was busy: others used 40 %"} {
			if !strings.Contains(text, want) {
				t.Errorf("the report lacks %q:\n%s", want, text)
			}
		}
	}
	if !strings.Contains(page.String(), "Not measured yet") {
		t.Errorf("the page does not say that other groups are missing:\n%s", page.String())
	}
	file, err := json.Marshal(r)
	if err != nil || !strings.Contains(string(file), `"name":"text-16-1-int8","metric":"ratio","value":null,"absent":"no net"`) {
		t.Errorf("%s, %v", file, err)
	}
}

func TestANewerRunReplacesItsGroups(t *testing.T) {
	old := &Report{Runs: []Run{{Group: "text", Seconds: 1}, {Group: "gateway", Seconds: 1}}, Figures: []Figure{{Group: "text", Name: "old"}, {Group: "gateway", Name: "kept"}}}
	newer := &Report{Runs: []Run{{Group: "image", Seconds: 2}, {Group: "text", Seconds: 2}}, Figures: []Figure{{Group: "image", Name: "added"}, {Group: "text", Name: "new"}}}
	var names []string
	var seconds []float64
	merged := old.With(newer)
	for _, f := range merged.Figures {
		names = append(names, f.Name)
	}
	for _, run := range merged.Runs {
		seconds = append(seconds, run.Seconds)
	}
	if !slices.Equal(names, []string{"new", "added", "kept"}) || !slices.Equal(seconds, []float64{2, 2, 1}) {
		t.Errorf("figures %q of runs of %v seconds", names, seconds)
	}
}
