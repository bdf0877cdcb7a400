package sandbox

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// A frame is one byte of its kind, four of its length, little-endian, and its bytes.
const (
	frameSpec    = 's' // to the child: a Spec as JSON
	frameInput   = 'i' // to the child: one picture and its text, float32, little-endian
	frameReady   = 'r' // from the child: the model passed, empty
	frameLogits  = 'l' // from the child: float32, little-endian
	frameRefused = 'e' // from the child: a complaint as JSON
	frameFailed  = 'f' // from the child: why it cannot run any model, as text
)

// maxComplaint bounds a complaint's JSON.
const maxComplaint = 8 << 10

func writeFrame(w io.Writer, kind byte, body []byte) error {
	head := binary.LittleEndian.AppendUint32([]byte{kind}, uint32(len(body)))
	if _, err := w.Write(head); err != nil {
		return err
	}
	_, err := w.Write(body)
	return err
}

// readFrame reads a frame of at most limit bytes.
func readFrame(r io.Reader, limit int) (kind byte, body []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.LittleEndian.Uint32(head[1:])
	if uint64(n) > uint64(limit) {
		return 0, nil, fmt.Errorf("a frame of %d bytes, more than %d", n, limit)
	}
	body = make([]byte, n)
	_, err = io.ReadFull(r, body)
	return head[0], body, err
}

func packFloats(values []float32) []byte {
	out := make([]byte, 0, 4*len(values))
	for _, v := range values {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
	}
	return out
}

func unpackFloats(raw []byte) []float32 {
	out := make([]float32, len(raw)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return out
}
