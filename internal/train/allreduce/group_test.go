package allreduce

import (
	"errors"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// groups joins world ranks in this process.
func groups(t *testing.T, world int, silence time.Duration) []*Group {
	t.Helper()
	return groupsAt(t, "unix:"+filepath.Join(t.TempDir(), "s"), world, silence)
}

func groupsAt(t *testing.T, address string, world int, silence time.Duration) []*Group {
	t.Helper()
	all := make([]*Group, world)
	var wait sync.WaitGroup
	for rank := range world {
		wait.Go(func() {
			g, err := join(t.Context(), rank, world, address, 10*time.Second, silence)
			if err != nil {
				t.Error(err)
			}
			all[rank] = g
		})
	}
	wait.Wait()
	if t.Failed() {
		t.FailNow()
	}
	t.Cleanup(func() {
		for _, g := range all {
			g.Close(nil)
		}
	})
	return all
}

// each runs fn on every rank at once and returns the errors.
func each(all []*Group, fn func(g *Group) error) []error {
	errs := make([]error, len(all))
	var wait sync.WaitGroup
	for i, g := range all {
		wait.Go(func() { errs[i] = fn(g) })
	}
	wait.Wait()
	return errs
}

func TestSumAndShare(t *testing.T) {
	t.Run("unix", func(t *testing.T) { sumAndShare(t, groups(t, 3, time.Minute)) })
	t.Run("tcp", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		free := l.Addr().String()
		l.Close()
		sumAndShare(t, groupsAt(t, free, 3, time.Minute))
	})
}

func sumAndShare(t *testing.T, all []*Group) {
	t.Helper()
	const n = 300_000 // more than a socket's buffer
	for _, err := range each(all, func(g *Group) error {
		got, err := g.Share([]byte{byte('a' + g.Rank())})
		if err != nil || string(got) != "a" {
			t.Errorf("rank %d got %q, %v", g.Rank(), got, err)
		}
		v := make([]float32, n)
		for round := range 3 {
			for i := range v {
				v[i] = float32(g.Rank()+1) * float32(i+round) / 2
			}
			if err := g.Sum(v); err != nil {
				return err
			}
			for i, x := range v {
				if want := 3 * float32(i+round); x != want {
					t.Errorf("rank %d: sum %d is %v, want %v", g.Rank(), i, x, want)
					return nil
				}
			}
		}
		return nil
	}) {
		if err != nil {
			t.Error(err)
		}
	}
}

func TestALostRankIsNamed(t *testing.T) {
	t.Run("gone", func(t *testing.T) {
		all := groups(t, 3, time.Minute)
		all[2].links[0].conn.Close() // as the kernel does for a killed process
		for rank, err := range each(all[:2], func(g *Group) error { return g.Sum([]float32{1}) }) {
			if err == nil || !strings.Contains(err.Error(), "rank 2 (") {
				t.Errorf("rank %d: %v, want the name of rank 2", rank, err)
			}
		}
	})
	t.Run("silent", func(t *testing.T) {
		address := "unix:" + filepath.Join(t.TempDir(), "s")
		var g *Group
		var wait sync.WaitGroup
		wait.Go(func() {
			var err error
			if g, err = join(t.Context(), 0, 2, address, 10*time.Second, 100*time.Millisecond); err != nil {
				t.Error(err)
			}
		})
		var conn net.Conn
		for conn == nil {
			conn, _ = net.Dial("unix", strings.TrimPrefix(address, "unix:"))
		}
		defer conn.Close()
		if _, err := conn.Write([]byte{frameData, 8, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0}); err != nil {
			t.Fatal(err)
		}
		wait.Wait()
		defer g.Close(nil)
		var lost *LostError
		if err := g.Sum([]float32{1}); !errors.As(err, &lost) || lost.Rank != 1 || !strings.Contains(err.Error(), "timeout") {
			t.Errorf("got %v, want that rank 1 timed out", err)
		}
	})
	t.Run("said why", func(t *testing.T) {
		all := groups(t, 2, time.Minute)
		all[1].Close(errors.New("the disk is full"))
		if err := all[0].Sum([]float32{1}); err == nil || !strings.Contains(err.Error(), "rank 1") || !strings.Contains(err.Error(), "the disk is full") {
			t.Errorf("got %v", err)
		}
	})
}

func TestFinish(t *testing.T) {
	all := groups(t, 3, time.Minute)
	all[0].Close(nil)
	for rank, err := range each(all[1:], func(g *Group) error { return g.Sum([]float32{1}) }) {
		if !errors.Is(err, ErrFinished) {
			t.Errorf("rank %d: %v", rank+1, err)
		}
	}
}

func TestDifferentLengths(t *testing.T) {
	all := groups(t, 2, time.Minute)
	errs := each(all, func(g *Group) error { return g.Sum(make([]float32, 2+g.Rank())) })
	if errs[0] == nil || !strings.Contains(errs[0].Error(), "rank 1 sent 12 bytes, want 2 numbers") || errs[1] == nil {
		t.Errorf("got %v", errs)
	}
}

func TestJoinNamesWhoIsMissing(t *testing.T) {
	address := "unix:" + filepath.Join(t.TempDir(), "s")
	var errs []error
	var wait sync.WaitGroup
	wait.Go(func() {
		_, err := join(t.Context(), 0, 3, address, 2*time.Second, time.Minute)
		errs = append(errs, err)
	})
	g, err := join(t.Context(), 1, 3, address, 2*time.Second, time.Minute)
	wait.Wait()
	if err == nil {
		g.Close(nil)
	}
	if errs[0] == nil || !strings.Contains(errs[0].Error(), "rank 2 did not call") {
		t.Errorf("got %v", errs[0])
	}
	if _, err := join(t.Context(), 1, 2, "unix:"+filepath.Join(t.TempDir(), "none"), 50*time.Millisecond, time.Minute); err == nil || !strings.Contains(err.Error(), "rank 0 does not listen") {
		t.Errorf("got %v", err)
	}
	for _, c := range [][2]int{{0, 1}, {-1, 2}, {2, 2}} {
		if _, err := Join(t.Context(), c[0], c[1], address); err == nil {
			t.Errorf("joined as rank %d of %d", c[0], c[1])
		}
	}
}

func TestStrangersAreTurnedAway(t *testing.T) {
	address := "unix:" + filepath.Join(t.TempDir(), "s")
	var wait sync.WaitGroup
	var all [2]*Group
	wait.Go(func() { all[0], _ = join(t.Context(), 0, 2, address, 10*time.Second, time.Minute) })
	for _, hello := range [][]byte{
		{frameData, 0xff, 0xff, 0xff, 0xff},             // too long
		{'x', 0, 0, 0, 0, frameData, 1, 0, 0, 0, 7},     // too short
		{frameData, 8, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0}, // another number of ranks
		[]byte("GET / HTTP/1.1\r\n\r\n"),                // another protocol
	} {
		var conn net.Conn
		for conn == nil {
			conn, _ = net.Dial("unix", strings.TrimPrefix(address, "unix:"))
		}
		conn.Write(hello)
		conn.Close()
	}
	g, err := join(t.Context(), 1, 2, address, 10*time.Second, time.Minute)
	wait.Wait()
	if err != nil || all[0] == nil {
		t.Fatal(err)
	}
	for _, err := range each([]*Group{all[0], g}, func(g *Group) error { return g.Sum([]float32{1}) }) {
		if err != nil {
			t.Error(err)
		}
	}
	g.Close(nil)
	all[0].Close(nil)
}
