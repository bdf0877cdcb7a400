package train

import (
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func losses(t *testing.T, lines []string) []float64 {
	t.Helper()
	values := make([]float64, len(lines))
	for i, l := range lines {
		v, err := strconv.ParseFloat(strings.Fields(l)[2], 64)
		if err != nil {
			t.Fatal(err)
		}
		values[i] = v
	}
	return values
}

// TestTwoProcessesTrainAsOne compares with one process that has batches of twice the size. The order of additions
// differs, and every step magnifies what the last one left.
func TestTwoProcessesTrainAsOne(t *testing.T) {
	const set = "steps=36 dropout=0 batch="
	want := curve(t, strings.Fields(set+"16")...)
	dir := t.TempDir()
	group := " 2 unix:" + filepath.Join(dir, "s")
	zero, one := startTiny(t, filepath.Join(dir, "w"), set+"8", "", "0"+group), startTiny(t, filepath.Join(dir, "unused"), set+"8", "", "1"+group)
	for name, c := range map[string]*child{"rank 0": zero, "rank 1": one} {
		lines, err := c.end("loss ")
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, strings.Join(c.log, "\n"))
		}
		got := losses(t, lines)
		if len(got) != len(want) {
			t.Fatalf("%s took %d steps, want %d", name, len(got), len(want))
		}
		for i := range want {
			if math.Abs(got[i]-want[i]) > 1e-5*want[i] {
				t.Errorf("%s: loss %d is %v, want %v", name, i+1, got[i], want[i])
			}
		}
	}
	read(t, filepath.Join(dir, "w"))
}

func TestAProcessOfAnotherRecipeIsRefused(t *testing.T) {
	dir := t.TempDir()
	group := " 2 unix:" + filepath.Join(dir, "s")
	zero, one := startTiny(t, filepath.Join(dir, "a"), "rate=1e-2", "", "0"+group), startTiny(t, filepath.Join(dir, "b"), "rate=1e-3", "", "1"+group)
	for name, c := range map[string]*child{"rank 0": zero, "rank 1": one} {
		lines, err := c.end("ERROR ")
		if err == nil || len(lines) != 1 || !strings.Contains(lines[0], "recipe rate is 1e-2 there and 1e-3 here") {
			t.Errorf("%s: %v %v", name, err, lines)
		}
	}
}

// TestALostProcessIsNamed kills one of two processes; the other writes a checkpoint, names it and ends, and both
// together go on from there.
func TestALostProcessIsNamed(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "w")
	group := " 2 unix:" + filepath.Join(dir, "s")
	zero, one := startTiny(t, out, "checkpoint=1000", "", "0"+group), startTiny(t, "unused", "checkpoint=1000", "draw 9", "1"+group)
	if !one.until("HOLD") || !one.until("loss 3 ") {
		t.Fatal(one.log)
	}
	if err := one.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	one.Wait()
	lines, err := zero.end("ERROR ")
	if err == nil || len(lines) != 1 || !strings.Contains(lines[0], "rank 1 (") || !strings.Contains(lines[0], "is lost") ||
		!strings.Contains(lines[0], "the same command goes on from "+checkpointPath(out)) {
		t.Fatalf("rank 0: %v %v", err, lines)
	}
	zero, one = startTiny(t, out, "checkpoint=1000", "", "0"+group), startTiny(t, "unused", "checkpoint=1000", "", "1"+group)
	for name, c := range map[string]*child{"rank 0": zero, "rank 1": one} {
		if lines, err := c.end("loss "); err != nil || len(lines) == 0 || len(lines) >= 48 {
			t.Errorf("%s went on for %d steps: %v", name, len(lines), err)
		}
	}
}
