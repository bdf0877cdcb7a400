// Package allreduce adds vectors up over several processes.
//
// It is a star: every rank sends its vector to rank 0, which adds them in the order of the ranks and sends the sum
// back, so that all ranks hold the same bits. Connections are neither encrypted nor authenticated: they belong on
// the loopback device or on a private network.
package allreduce

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"strings"
	"time"
)

// ErrFinished is returned to the other ranks when rank 0 has closed its group without a reason.
var ErrFinished = errors.New("rank 0 has finished")

// LostError says which rank no longer takes part.
type LostError struct {
	Rank    int
	Address string
	Err     error
}

func (e *LostError) Error() string {
	return fmt.Sprintf("rank %d (%s) is lost: %v", e.Rank, e.Address, e.Err)
}

func (e *LostError) Unwrap() error { return e.Err }

// Group is the processes of one run. Its methods are called by one goroutine, in the same order on every rank.
type Group struct {
	rank, world int
	links       []*link // on rank 0 one to each other rank, by rank, the first nil; elsewhere one, to rank 0
}

const (
	joinLimit = 2 * time.Minute  // for all ranks to be there
	silence   = 20 * time.Second // without a sign of life, after which a rank is lost
)

// Join makes the group of world processes of which this one is rank. Address is where rank 0 listens and the others
// call: HOST:PORT or unix:PATH. It waits until all are there.
func Join(ctx context.Context, rank, world int, address string) (*Group, error) {
	return join(ctx, rank, world, address, joinLimit, silence)
}

func join(ctx context.Context, rank, world int, address string, limit, silence time.Duration) (*Group, error) {
	if world < 2 || rank < 0 || rank >= world {
		return nil, fmt.Errorf("join a group: rank %d of %d, want at least 2 processes and ranks from 0", rank, world)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	}
	g := &Group{rank: rank, world: world}
	var err error
	if rank == 0 {
		err = g.listen(ctx, network, address, silence)
	} else {
		err = g.call(ctx, network, address, silence)
	}
	if err != nil {
		g.Close(err)
		return nil, fmt.Errorf("join the group at %s as rank %d of %d: %w", address, rank, world, err)
	}
	return g, nil
}

// Rank returns which process this is, from 0.
func (g *Group) Rank() int { return g.rank }

// World returns how many processes there are.
func (g *Group) World() int { return g.world }

// listen waits for every other rank to call.
func (g *Group) listen(ctx context.Context, network, address string, silence time.Duration) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, network, address)
	if err != nil {
		return err
	}
	defer listener.Close()
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	g.links = make([]*link, g.world)
	for missing := g.world - 1; missing > 0; {
		conn, err := listener.Accept()
		if err != nil {
			var absent []string
			for rank := 1; rank < g.world; rank++ {
				if g.links[rank] == nil {
					absent = append(absent, fmt.Sprint(rank))
				}
			}
			return fmt.Errorf("rank %s did not call: %w", strings.Join(absent, ", "), errors.Join(ctx.Err(), err))
		}
		l := newLink(conn, -1, silence)
		hello, err := l.receive()
		rank, world := -1, -1
		if err == nil && len(hello) == 8 {
			rank, world = int(binary.LittleEndian.Uint32(hello)), int(binary.LittleEndian.Uint32(hello[4:]))
		}
		switch {
		case rank < 1 || world < 2: // whoever it was, it is no rank
			l.close()
		case world != g.world:
			l.stop(fmt.Sprintf("it counts %d ranks, rank %d counts %d", g.world, rank, world))
		case rank >= g.world || g.links[rank] != nil:
			l.stop(fmt.Sprintf("there is a rank %d already", rank))
		default:
			l.rank = rank
			g.links[rank] = l
			missing--
		}
	}
	return nil
}

// call reaches rank 0, which may begin to listen later.
func (g *Group) call(ctx context.Context, network, address string, silence time.Duration) error {
	var dialer net.Dialer
	for {
		conn, err := dialer.DialContext(ctx, network, address)
		if err == nil {
			l := newLink(conn, 0, silence)
			g.links = []*link{l}
			return l.send(frameData, binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, uint32(g.rank)), uint32(g.world)))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("rank 0 does not listen: %w", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Share returns rank 0's bytes on every rank; those of the others do not matter.
func (g *Group) Share(b []byte) ([]byte, error) {
	if g.rank > 0 {
		return g.links[0].receive()
	}
	return b, g.broadcast(b)
}

func (g *Group) broadcast(b []byte) error {
	for _, l := range g.links[1:] {
		if err := l.send(frameData, b); err != nil {
			return g.fail(err)
		}
	}
	return nil
}

// Sum replaces v, which is as long on every rank, by the sum over all ranks.
func (g *Group) Sum(v []float32) error {
	if g.rank > 0 {
		if err := g.links[0].send(frameData, encode(v)); err != nil {
			return err
		}
		b, err := g.links[0].receive()
		if err != nil {
			return err
		}
		return g.each(0, b, len(v), func(i int, x float32) { v[i] = x })
	}
	for rank, l := range g.links {
		if l == nil {
			continue
		}
		b, err := l.receive()
		if err == nil {
			err = g.each(rank, b, len(v), func(i int, x float32) { v[i] += x })
		}
		if err != nil {
			return g.fail(err)
		}
	}
	return g.broadcast(encode(v))
}

// fail tells the ranks that are left why it ends.
func (g *Group) fail(err error) error {
	g.Close(err)
	return err
}

// Close leaves the group. The other ranks are told the reason, or from rank 0, if it is nil, that all is done. Only
// the first call counts.
func (g *Group) Close(reason error) {
	text := ""
	if reason != nil {
		text = reason.Error()
	}
	for _, l := range g.links {
		if l != nil {
			l.stop(text)
		}
	}
}

func encode(v []float32) []byte {
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

func (g *Group) each(rank int, b []byte, n int, set func(i int, x float32)) error {
	if len(b) != 4*n {
		return fmt.Errorf("rank %d sent %d bytes, want %d numbers", rank, len(b), n)
	}
	for i := range n {
		set(i, math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:])))
	}
	return nil
}
