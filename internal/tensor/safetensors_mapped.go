package tensor

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

// Mapped is a safetensors file in memory as the system maps it: a page of it is resident once somebody has read it, and
// the system may take it back.
type Mapped struct{ data []byte }

// MapSafetensors maps a file, which nobody may shorten meanwhile. Close ends it.
func MapSafetensors(path string) (*Mapped, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() < 8 {
		return nil, fmt.Errorf("map %s: %d bytes hold no header", path, info.Size())
	}
	data, err := syscall.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	return &Mapped{data}, nil
}

// Bytes is the file.
func (m *Mapped) Bytes() []byte { return m.data }

// Floats returns the values of a tensor of F32 where they lie; they end with Close.
func (m *Mapped) Floats(name string) ([]float32, error) {
	n := binary.LittleEndian.Uint64(m.data)
	if n > uint64(len(m.data)-8) {
		return nil, fmt.Errorf("header of %d bytes in a file of %d", n, len(m.data))
	}
	var header map[string]json.RawMessage
	var e entry
	if err := json.Unmarshal(m.data[8:8+n], &header); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if err := json.Unmarshal(header[name], &e); err != nil {
		return nil, fmt.Errorf("tensor %s: %w", name, err)
	}
	values := m.data[8+n:]
	begin, end := e.Offsets[0], e.Offsets[1]
	if e.DType != "F32" || begin < 0 || end < begin || end > int64(len(values)) || (8+int64(n)+begin)%4 != 0 {
		return nil, fmt.Errorf("tensor %s: bytes %d to %d of %s cannot be read where they lie", name, begin, end, e.DType)
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(values[begin:end]))), (end-begin)/4), nil
}

// Forget gives the pages that were read back to the system, which reads them again when they are needed.
func (m *Mapped) Forget() error { return syscall.Madvise(m.data, syscall.MADV_DONTNEED) }

// Close ends the mapping. It may be called more than once.
func (m *Mapped) Close() error {
	if m.data == nil {
		return nil
	}
	data := m.data
	m.data = nil
	return syscall.Munmap(data)
}
