package allreduce

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// A frame is one byte that says what it is, a little-endian uint32 length, and that many bytes.
const (
	frameData = 'd' // what the caller sent
	framePing = 'p' // a sign of life
	frameStop = 's' // the other side leaves; the bytes say why
)

// maxFrame bounds what the other side can make this one hold.
const maxFrame = 1 << 30

// link is a connection to one rank. A process computes for minutes between two messages, so each side gives a sign of
// life from time to time and takes the other for lost when there is none.
type link struct {
	conn     net.Conn
	rank     int
	silence  time.Duration
	received chan []byte // closed when err is set
	err      error
	closed   chan struct{}
	once     sync.Once
	writing  sync.Mutex
}

func newLink(conn net.Conn, rank int, silence time.Duration) *link {
	l := &link{conn: conn, rank: rank, silence: silence, received: make(chan []byte), closed: make(chan struct{})}
	go l.read()
	go l.ping()
	return l
}

func (l *link) read() {
	defer close(l.received)
	for {
		kind, b, err := l.frame()
		if err == nil && kind == frameStop {
			err = fmt.Errorf("it stopped: %s", b)
			if len(b) == 0 {
				err = ErrFinished
			}
		}
		if err != nil {
			l.err = err
			l.close()
			return
		}
		if kind != frameData {
			continue
		}
		select {
		case l.received <- b:
		case <-l.closed:
			l.err = net.ErrClosed
			return
		}
	}
}

func (l *link) frame() (kind byte, payload []byte, err error) {
	if err := l.conn.SetReadDeadline(time.Now().Add(l.silence)); err != nil {
		return 0, nil, err
	}
	var head [5]byte
	if _, err := io.ReadFull(l.conn, head[:]); err != nil {
		return 0, nil, err
	}
	n := int64(binary.LittleEndian.Uint32(head[1:]))
	if n > maxFrame {
		return 0, nil, fmt.Errorf("a message of %d bytes, at most %d are allowed", n, maxFrame)
	}
	var b bytes.Buffer // grows with what arrives, not with what was announced
	for int64(b.Len()) < n {
		if err := l.conn.SetReadDeadline(time.Now().Add(l.silence)); err != nil {
			return 0, nil, err
		}
		if _, err := io.CopyN(&b, l.conn, min(1<<20, n-int64(b.Len()))); err != nil {
			return 0, nil, err
		}
	}
	return head[0], b.Bytes(), nil
}

func (l *link) ping() {
	t := time.NewTicker(l.silence / 8)
	defer t.Stop()
	for {
		select {
		case <-l.closed:
			return
		case <-t.C:
			_ = l.write(framePing, nil) // whoever waits for the rank learns of a failure by reading
		}
	}
}

// send writes one frame. A rank that computes does not read, so there is no limit of time but that of its silence,
// which the reading side keeps.
func (l *link) send(kind byte, payload []byte) error {
	err := l.write(kind, payload)
	if err == nil {
		return nil
	}
	for range l.received { // the reading side ends too, and may know why
	}
	if l.err != nil && !errors.Is(l.err, io.EOF) && !errors.Is(l.err, net.ErrClosed) {
		err = l.err
	}
	return l.lost(err)
}

func (l *link) write(kind byte, payload []byte) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	b := make([]byte, 0, 5+len(payload))
	b = append(binary.LittleEndian.AppendUint32(append(b, kind), uint32(len(payload))), payload...)
	_, err := l.conn.Write(b)
	return err
}

// receive waits for the other side's next message.
func (l *link) receive() ([]byte, error) {
	b, ok := <-l.received
	if !ok {
		return nil, l.lost(l.err)
	}
	return b, nil
}

func (l *link) lost(err error) error {
	if l.rank == 0 && errors.Is(err, ErrFinished) {
		return ErrFinished
	}
	return &LostError{Rank: l.rank, Address: l.conn.RemoteAddr().String(), Err: err}
}

// stop tells the other side why and closes.
func (l *link) stop(why string) {
	select {
	case <-l.closed:
	default:
		_ = l.conn.SetWriteDeadline(time.Now().Add(l.silence))
		_ = l.write(frameStop, []byte(why)) // it may be gone already
		l.close()
	}
}

func (l *link) close() {
	l.once.Do(func() {
		close(l.closed)
		l.conn.Close()
	})
}
