package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// peer is a process that loads an engine once and then does what it is told, see peers/peer.py.
type peer struct {
	name    string
	version string
	cmd     *exec.Cmd
	orders  io.WriteCloser
	answers *bufio.Reader
	said    *ending
	ended   sync.Once
}

// order is what a peer is told, one line.
type order struct {
	Texts    [][]string `json:"texts,omitempty"`
	Pictures string     `json:"pictures,omitempty"`
	Count    int        `json:"count,omitempty"`
	JPEG     string     `json:"jpeg,omitempty"`
	Run      int        `json:"run,omitempty"`
}

// answer is what it says, one line.
type answer struct {
	Ready   string      `json:"ready"`
	Vectors [][]float32 `json:"vectors"`
	Seconds []float64   `json:"seconds"`
	Error   string      `json:"error"`
}

// startPeer runs cmd and waits until it is ready. The process ends with ctx, or with this process.
func startPeer(ctx context.Context, name string, cmd *exec.Cmd) (*peer, error) {
	p := &peer{name: name, cmd: cmd, said: &ending{}}
	cmd.Stderr = p.said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C reaches this process, whose context ends the peer
	cmd.WaitDelay = time.Second
	var err error
	if p.orders, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.answers = bufio.NewReaderSize(out, 1<<20)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	a, err := p.read()
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	p.version = a.Ready
	return p, nil
}

// Name implements Contender.
func (p *peer) Name() string {
	if p.version == "" {
		return p.name
	}
	return p.name + " (" + p.version + ")"
}

// Take implements Contender.
func (p *peer) Take(_ context.Context, c *Case) ([][]float32, error) {
	o := order{Texts: c.Texts}
	if c.Pictures != nil {
		o.Pictures, o.Count = c.Pictures.file, len(c.Pictures.inputs)
	}
	if c.JPEG != nil {
		o.JPEG = c.JPEG.file
	}
	a, err := p.tell(o)
	return a.Vectors, err
}

// Run implements Contender.
func (p *peer) Run(_ context.Context, n int) ([]float64, error) {
	a, err := p.tell(order{Run: n})
	if err == nil && len(a.Seconds) != n {
		err = fmt.Errorf("%s timed %d iterations, want %d", p.name, len(a.Seconds), n)
	}
	return a.Seconds, err
}

// tell sends an order and returns the answer.
func (p *peer) tell(o order) (answer, error) {
	line, err := json.Marshal(o)
	if err != nil {
		return answer{}, err
	}
	if _, err := p.orders.Write(append(line, '\n')); err != nil {
		p.Close() // then it has said everything
		return answer{}, fmt.Errorf("tell %s: %w; it said: %s", p.name, err, p.said)
	}
	return p.read()
}

func (p *peer) read() (a answer, err error) {
	line, err := p.answers.ReadBytes('\n')
	if err != nil {
		p.Close() // then it has said everything
		return a, fmt.Errorf("hear %s: %w; it said: %s", p.name, err, p.said)
	}
	if err := json.Unmarshal(line, &a); err != nil {
		return a, fmt.Errorf("hear %s: %w in %.200q", p.name, err, line)
	}
	if a.Error != "" {
		return a, fmt.Errorf("%s: %s", p.name, a.Error)
	}
	return a, nil
}

// Close ends the process; it is not asked how.
func (p *peer) Close() error {
	p.ended.Do(func() {
		p.orders.Close()
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	})
	return nil
}

// ending keeps the end of what a process says. The process's pipe is its only writer, and whoever reads has waited for the
// end of the process.
type ending struct{ last []byte }

// endingBytes is how much of it an error quotes.
const endingBytes = 1 << 11

func (e *ending) Write(b []byte) (int, error) {
	e.last = append(e.last, b...)
	e.last = e.last[max(0, len(e.last)-endingBytes):]
	return len(b), nil
}

func (e *ending) String() string { return strings.ToValidUTF8(strings.TrimSpace(string(e.last)), "") }
