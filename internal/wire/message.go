package wire

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
)

// message is the JSON of a request or of an answer.
type message struct {
	Model      string         `json:"model_name,omitempty"`
	Version    string         `json:"model_version,omitempty"`
	ID         string         `json:"id,omitempty"`
	Parameters parameters     `json:"parameters,omitempty"`
	Inputs     []tensorHeader `json:"inputs,omitempty"`
	// Outputs are the tensors of an answer; in a request they name the ones that are wanted.
	Outputs []tensorHeader `json:"outputs,omitempty"`
}

type tensorHeader struct {
	Name       string          `json:"name"`
	Datatype   Datatype        `json:"datatype,omitempty"`
	Shape      dims            `json:"shape,omitempty"`
	Parameters parameters      `json:"parameters,omitempty"`
	Data       json.RawMessage `json:"data,omitempty"`
}

// tensorError is a mistake in the named tensor.
type tensorError struct {
	name string
	err  error
}

func (e *tensorError) Error() string { return fmt.Sprintf("tensor %s: %v", clip(e.name), e.err) }
func (e *tensorError) Unwrap() error { return e.err }

// parse splits body into its JSON, which is headerLength bytes long (-1: all of it), and the binary data.
func parse(body []byte, headerLength int) (*message, []byte, error) {
	header, data := body, []byte(nil)
	if headerLength >= 0 {
		if headerLength > len(body) {
			return nil, nil, fmt.Errorf("the header length is %d but the body has %d bytes", headerLength, len(body))
		}
		header, data = body[:headerLength], body[headerLength:]
	}
	if len(data) > 0 && len(header) > maxHeaderBytes {
		return nil, nil, &limitError{"the JSON before the binary data is too long", fmt.Sprintf("%d bytes", maxHeaderBytes), fmt.Sprintf("%d bytes", len(header))}
	}
	if err := checkJSON(header); err != nil {
		return nil, nil, err
	}
	var m message
	if err := json.Unmarshal(header, &m); err != nil {
		return nil, nil, fmt.Errorf("parse the JSON: %w", err)
	}
	return &m, data, nil
}

// decode reads the tensors that headers announce, from their JSON or from binary, which has to be used up.
// Every tensor has to be one of specs and every spec that is not optional has to be there. The tensors' bytes, and
// floats that lie right, alias binary.
func decode(headers []tensorHeader, data []byte, specs []Spec, maxRows int) ([]Tensor, error) {
	tensors := make([]Tensor, 0, len(specs))
	for _, h := range headers {
		i := slices.IndexFunc(specs, func(s Spec) bool { return s.Name == h.Name })
		if i < 0 {
			return nil, &tensorError{h.Name, errors.New("the model has no such tensor")}
		}
		if find(tensors, h.Name) != nil {
			return nil, &tensorError{h.Name, errors.New("is there twice")}
		}
		t, rest, err := decodeTensor(h, data, &specs[i], maxRows)
		if err != nil {
			return nil, &tensorError{h.Name, err}
		}
		tensors, data = append(tensors, t), rest
	}
	for _, s := range specs {
		if !s.optional && find(tensors, s.Name) == nil {
			return nil, &tensorError{s.Name, errors.New("is missing")}
		}
	}
	if len(data) > 0 {
		return nil, fmt.Errorf("%d bytes follow the last tensor", len(data))
	}
	return tensors, nil
}

// decodeTensor reads one tensor and returns the binary data behind it.
func decodeTensor(h tensorHeader, data []byte, spec *Spec, maxRows int) (Tensor, []byte, error) {
	t := Tensor{Name: h.Name, Datatype: h.Datatype, Shape: h.Shape}
	if h.Datatype != spec.Datatype {
		return t, nil, fmt.Errorf("the datatype is %s, want %s", clip(string(h.Datatype)), spec.Datatype)
	}
	for name := range h.Parameters {
		if name != "binary_data_size" {
			return t, nil, fmt.Errorf("unknown parameter %s", clip(name))
		}
	}
	size, inBinary, err := h.Parameters.number("binary_data_size", math.MaxInt32)
	if err != nil {
		return t, nil, err
	}
	present := len(h.Data)
	if inBinary {
		if h.Data != nil {
			return t, nil, errors.New("has both data and binary_data_size")
		}
		if size > len(data) {
			return t, nil, fmt.Errorf("binary_data_size is %d but %d bytes are left", size, len(data))
		}
		present = size
	}
	count, err := spec.elements(h.Shape, maxRows, present/minSize(t.Datatype, inBinary)+1)
	if err != nil {
		return t, nil, err
	}
	if inBinary {
		return t, data[size:], t.decodeBinary(data[:size], count)
	}
	if h.Data == nil {
		return t, nil, errors.New("has neither data nor binary_data_size")
	}
	if err := t.decodeJSON(h.Data, count); err != nil {
		return t, nil, err
	}
	if spec.base64 {
		for i, text := range t.Bytes {
			if t.Bytes[i], err = base64.StdEncoding.AppendDecode(nil, text); err != nil {
				return t, nil, fmt.Errorf("element %d: want base64: %w", i, err)
			}
		}
	}
	return t, data, nil
}

// minSize is how many bytes an element takes at least.
func minSize(d Datatype, inBinary bool) int {
	if inBinary {
		return d.width()
	}
	return 2 // a digit and a comma
}

// decodeBinary fills t with count elements from data, which has to be used up.
func (t *Tensor) decodeBinary(data []byte, count int) error {
	if want := count * t.Datatype.width(); t.Datatype != BYTES && len(data) != want {
		return fmt.Errorf("the shape %v wants %d bytes, found %d", t.Shape, want, len(data))
	}
	switch t.Datatype {
	case FP32:
		var ok bool
		if t.Floats, ok = floatsOf(data); ok {
			return nil
		}
		t.Floats = make([]float32, count)
		for i := range t.Floats {
			t.Floats[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		}
	case INT64:
		t.Ints = make([]int64, count)
		for i := range t.Ints {
			t.Ints[i] = int64(binary.LittleEndian.Uint64(data[8*i:]))
		}
	case BOOL:
		t.Bools = make([]bool, count)
		for i, b := range data {
			t.Bools[i] = b != 0
		}
	case BYTES:
		return t.decodeByteStrings(data, count)
	}
	return nil
}

// decodeByteStrings reads elements that each have a length of four bytes in front.
func (t *Tensor) decodeByteStrings(data []byte, count int) error {
	if len(data) < 4*count {
		return fmt.Errorf("the shape %v wants %d lengths of 4 bytes, found %d bytes", t.Shape, count, len(data))
	}
	t.Bytes = make([][]byte, count)
	for i := range t.Bytes {
		if len(data) < 4 {
			return fmt.Errorf("element %d: its length is cut off", i)
		}
		size := binary.LittleEndian.Uint32(data)
		data = data[4:]
		if uint64(size) > uint64(len(data)) {
			return fmt.Errorf("element %d: its length is %d but %d bytes are left", i, size, len(data))
		}
		t.Bytes[i], data = data[:size:size], data[size:]
	}
	if len(data) > 0 {
		return fmt.Errorf("%d bytes follow the last element", len(data))
	}
	return nil
}

// binary returns t's data as the binary extension wants it, in t's own memory if it lies there like that.
func (t *Tensor) binary() (parts [][]byte) {
	if t.Datatype == FP32 {
		for _, values := range t.places() {
			view, ok := bytesOf(values)
			if !ok {
				for _, v := range values {
					view = binary.LittleEndian.AppendUint32(view, math.Float32bits(v))
				}
			}
			parts = append(parts, view)
		}
		return parts
	}
	to := make([]byte, 0, t.binarySize())
	switch t.Datatype {
	case INT64:
		for _, v := range t.Ints {
			to = binary.LittleEndian.AppendUint64(to, uint64(v))
		}
	case BOOL:
		for _, v := range t.Bools {
			bit := byte(0)
			if v {
				bit = 1
			}
			to = append(to, bit)
		}
	case BYTES:
		for _, v := range t.Bytes {
			to = append(binary.LittleEndian.AppendUint32(to, uint32(len(v))), v...)
		}
	}
	return [][]byte{to}
}

// binarySize is how many bytes binary returns.
func (t *Tensor) binarySize() int {
	switch t.Datatype {
	case FP32:
		size := 0
		for _, values := range t.places() {
			size += floatSize * len(values)
		}
		return size
	case INT64:
		return 8 * len(t.Ints)
	case BOOL:
		return len(t.Bools)
	}
	size := 4 * len(t.Bytes)
	for _, v := range t.Bytes {
		size += len(v)
	}
	return size
}

// json returns t's data as flat JSON.
func (t *Tensor) json() (json.RawMessage, error) {
	switch t.Datatype {
	case FP32:
		return json.Marshal(orEmpty(slices.Concat(t.places()...)))
	case INT64:
		return json.Marshal(orEmpty(t.Ints))
	case BOOL:
		return json.Marshal(orEmpty(t.Bools))
	}
	texts := make([]string, len(t.Bytes))
	for i, v := range t.Bytes {
		texts[i] = string(v)
	}
	return json.Marshal(texts)
}

func orEmpty[T any](values []T) []T {
	if values == nil {
		return []T{}
	}
	return values
}

// headersOf returns the JSON of tensors; asBinary says which of them go into the binary data.
func headersOf(tensors []Tensor, asBinary func(name string) bool) ([]tensorHeader, error) {
	headers := make([]tensorHeader, len(tensors))
	for i := range tensors {
		t := &tensors[i]
		headers[i] = tensorHeader{Name: t.Name, Datatype: t.Datatype, Shape: t.Shape}
		if asBinary(t.Name) {
			headers[i].Parameters = parameters{"binary_data_size": t.binarySize()}
			continue
		}
		data, err := t.json()
		if err != nil {
			return nil, &tensorError{t.Name, err}
		}
		headers[i].Data = data
	}
	return headers, nil
}

// dataAlignment is at what multiple the binary data begins in a body, so that what reads it into memory need not move it again.
const dataAlignment = 8

// assemble returns a body of m's JSON and the binary data of tensors, as parts that may be those of the tensors, with the length of the
// JSON, which is -1 if there is nothing behind it.
func assemble(m *message, tensors []Tensor, asBinary func(name string) bool) (parts [][]byte, headerLength int, err error) {
	header, err := json.Marshal(m)
	if err != nil {
		return nil, 0, fmt.Errorf("write the JSON: %w", err)
	}
	headerLength = -1
	for i := range tensors {
		if !asBinary(tensors[i].Name) {
			continue
		}
		if headerLength < 0 {
			for len(header)%dataAlignment != 0 {
				header = append(header, ' ')
			}
			headerLength, parts = len(header), append(parts, header)
		}
		parts = append(parts, tensors[i].binary()...)
	}
	if headerLength < 0 {
		parts = [][]byte{header}
	}
	return parts, headerLength, nil
}

// sizeOf is how many bytes parts have together.
func sizeOf(parts [][]byte) (size int) {
	for _, part := range parts {
		size += len(part)
	}
	return size
}
