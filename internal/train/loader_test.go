package train

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// batches takes n batches from a position on and returns them with the positions behind them.
func batches(t *testing.T, from position, s share, n int) (all []tinyBatch, after []position) {
	t.Helper()
	task := &tinyTask{settings: tinySettings{Batch: 8}}
	l, err := newLoader(t.Context(), task, 3, from, s)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	for range n {
		b, p, err := l.next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all, after = append(all, b), append(after, p)
	}
	return all, after
}

func TestLoaderContinuesAnywhere(t *testing.T) {
	want, after := batches(t, position{}, share{0, 1}, 40) // epochs of 12
	for _, n := range []int{1, 7, 12, 13, 24, 39} {
		got, _ := batches(t, after[n-1], share{0, 1}, 40-n)
		if !reflect.DeepEqual(got, want[n:]) {
			t.Errorf("from batch %d on the batches are others", n)
		}
	}
	if reflect.DeepEqual(want[0], want[12]) {
		t.Error("two epochs begin alike")
	}
}

func TestLoaderSharesTheDraws(t *testing.T) {
	whole, _ := batches(t, position{}, share{0, 1}, 30)
	for rank := range 3 {
		part, after := batches(t, position{}, share{rank, 3}, 10)
		for i, b := range part {
			if !reflect.DeepEqual(b, whole[3*i+rank]) {
				t.Errorf("rank %d: batch %d is not draw %d", rank, i, 3*i+rank)
			}
		}
		if again, _ := batches(t, after[4], share{rank, 3}, 5); !reflect.DeepEqual(again, part[5:]) {
			t.Errorf("rank %d does not continue", rank)
		}
	}
}

func TestLoaderRefusesAnImpossiblePosition(t *testing.T) {
	task := &tinyTask{settings: tinySettings{Batch: 8}}
	for _, p := range []position{{Draws: 3}, {Draws: 3, Random: []byte("x"), Epoch: []byte("y")}, {Draws: 12, Random: []byte("x")}} {
		if _, err := newLoader(t.Context(), task, 3, p, share{0, 1}); err == nil {
			t.Errorf("continued from %v", p)
		}
	}
}

// boundedTask makes batches only when it is let, and counts those that it has begun.
type boundedTask struct {
	tinyTask
	begun atomic.Int32
	let   chan error
}

func (t *boundedTask) Draw(rng *rand.Rand, i int) func() (tinyBatch, error) {
	prepare := t.tinyTask.Draw(rng, i)
	return func() (tinyBatch, error) {
		t.begun.Add(1)
		if err := <-t.let; err != nil {
			return tinyBatch{}, err
		}
		return prepare()
	}
}

// TestLoaderIsBounded lets one batch after the other be made, and sees how many have been begun.
func TestLoaderIsBounded(t *testing.T) {
	task := &boundedTask{tinyTask: tinyTask{settings: tinySettings{Batch: 8}}, let: make(chan error)}
	l, err := newLoader(t.Context(), task, 3, position{}, share{0, 1})
	if err != nil {
		t.Fatal(err)
	}
	const taken = 20
	go func() {
		for range taken {
			task.let <- nil
		}
		task.let <- errUnreadable
		close(task.let)
	}()
	failed := 0
	for i := range taken + 1 {
		if _, _, err := l.next(t.Context()); errors.Is(err, errUnreadable) {
			failed++ // batches are made side by side, so any of the last may have been the one
		} else if err != nil {
			t.Fatal(err)
		}
		if n := int(task.begun.Load()); n > i+1+ahead {
			t.Fatalf("%d batches were begun when %d had been taken", n, i+1)
		}
	}
	for range ahead {
		if _, _, err := l.next(t.Context()); errors.Is(err, errUnreadable) {
			failed++
		}
	}
	if failed != 1 {
		t.Errorf("%d batches failed, want 1", failed)
	}
	l.close()
}

var errUnreadable = errors.New("an unreadable example")

// TestMemoryStaysFlat trains for twelve epochs on batches of 4 MB and compares what is resident after the second and
// after the last epoch.
func TestMemoryStaysFlat(t *testing.T) {
	var at []int64
	resident := func(step int, _ float64) {
		if step%12 != 0 {
			return
		}
		b, err := os.ReadFile("/proc/self/statm")
		if err != nil {
			t.Skip("resident memory is read from /proc, which this system lacks")
		}
		pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		at = append(at, pages*int64(os.Getpagesize()))
	}
	env := Env{Out: filepath.Join(t.TempDir(), "w"), Log: io.Discard, onStep: resident}
	if err := runTiny(t.Context(), tinyRecipe(t, "bulk=1000000", "steps=144"), env, nil); err != nil {
		t.Fatal(err)
	}
	if grown := at[len(at)-1] - at[1]; grown > 16<<20 {
		t.Errorf("ten epochs of 48 MB left %d bytes", grown)
	}
}
