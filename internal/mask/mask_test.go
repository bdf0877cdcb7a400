package mask

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// draw makes a mask of lines in which # is on.
func draw(lines ...string) Mask {
	m := New(len(lines[0]), len(lines))
	for i, c := range strings.Join(lines, "") {
		m.On[i] = c == '#'
	}
	return m
}

func (m Mask) text() string {
	var b strings.Builder
	for i, on := range m.On {
		if i > 0 && i%m.Width == 0 {
			b.WriteByte('\n')
		}
		b.WriteByte(map[bool]byte{true: '#', false: '.'}[on])
	}
	return b.String()
}

func same(t *testing.T, got Mask, lines ...string) {
	t.Helper()
	if want := strings.Join(lines, "\n"); got.text() != want {
		t.Errorf("got\n%s\nwant\n%s", got.text(), want)
	}
}

func TestLungsKeepTheTwoLargestPartsWithoutHoles(t *testing.T) {
	m := draw(
		"##....####",
		"##....#..#",
		"......#..#",
		"###...####",
		"#.#.......",
		"###......#",
	)
	same(t, Lungs(m),
		"......####",
		"......####",
		"......####",
		"###...####",
		"###.......",
		"###.......",
	)
	same(t, Largest(m),
		"......####",
		"......####",
		"......####",
		"......####",
		"..........",
		"..........",
	)
	same(t, Largest(New(3, 1)), "...")
	same(t, Lungs(New(3, 1)), "...")
}

func TestPartsTouchAlongEdgesOnly(t *testing.T) {
	parts := draw("#.", ".#", ".#").Components()
	if len(parts) != 2 || parts[0].Area() != 2 || parts[1].Area() != 1 {
		t.Errorf("%d parts: %v", len(parts), parts)
	}
	same(t, draw("##", "#.").Fill(), "##", "#.") // what reaches the border is no hole
}

func TestMeasures(t *testing.T) {
	a, b := draw("##..", "##.."), draw(".##.", ".##.")
	if d := Dice(a, b); d != 0.5 {
		t.Errorf("Dice %v, want 0.5", d)
	}
	if d := Dice(New(2, 2), New(2, 2)); d != 1 {
		t.Errorf("Dice of nothing and nothing is %v", d)
	}
	if first, last, ok := b.Columns(); first != 1 || last != 2 || !ok {
		t.Errorf("columns %d to %d, %v", first, last, ok)
	}
	if _, _, ok := New(2, 2).Columns(); ok {
		t.Error("an empty mask has columns")
	}
	if x, y := b.Centre(); x != 1.5 || y != 0.5 {
		t.Errorf("centre %v %v", x, y)
	}
	same(t, a.And(b), ".#..", ".#..")
	same(t, a.Or(b), "###.", "###.")
}

func TestThresholdResamplesBetweenCentres(t *testing.T) {
	same(t, Threshold([]float32{1, -1, 1, -1}, 2, 2, 0, 4, 4), "##..", "##..", "##..", "##..")
	same(t, Threshold([]float32{3, -1}, 2, 1, 0, 8, 1), "#####...") // the zero lies at three quarters of the way
	same(t, Threshold([]float32{1, 1, -1, -1}, 4, 1, 0, 2, 1), "#.")
	same(t, Threshold([]float32{5}, 1, 1, 0, 2, 2), "##", "##")
}

func TestRuns(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 50 {
		m := New(1+rng.IntN(9), 1+rng.IntN(9))
		for i := range m.On {
			m.On[i] = rng.IntN(3) == 0
		}
		back, err := FromRuns(m.Runs(), m.Width, m.Height)
		if err != nil || !slices.Equal(back.On, m.On) {
			t.Fatalf("%v became %v: %v", m, back, err)
		}
	}
	if runs := draw("##.", ".##").Runs(); !slices.Equal(runs, []int{0, 2, 2, 2}) {
		t.Errorf("runs %v", runs)
	}
}

func TestBadRunsAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		runs          []int
		width, height int
	}{
		"too few":   {[]int{3}, 2, 2},
		"too many":  {[]int{3, 2}, 2, 2},
		"negative":  {[]int{5, -1}, 2, 2},
		"none":      {nil, 2, 2},
		"overflow":  {[]int{math.MaxInt, math.MaxInt}, 2, 2},
		"no size":   {nil, 0, 0},
		"backwards": {nil, -1, -1},
	} {
		if m, err := FromRuns(test.runs, test.width, test.height); err == nil {
			t.Errorf("%s: became %v", name, m)
		}
	}
}
