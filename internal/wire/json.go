package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

const (
	// maxDepth covers the message, its tensors and nested data of any of our shapes.
	maxDepth = 16
	// maxMembers bounds what stands outside of tensor data: every member there costs far more memory than bytes.
	maxMembers = 1024
	// dataDepth is the nesting at which the numbers of "data" and "shape" stand: { inputs [ { data [.
	dataDepth = 4
)

// checkJSON bounds the nesting and the number of members of text before anything is built from it. It does not
// check the syntax.
func checkJSON(text []byte) error {
	depth, members, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		if quoted {
			switch text[i] {
			case '\\':
				i++
			case '"':
				quoted = false
			}
			continue
		}
		switch text[i] {
		case '"':
			quoted = true
		case '[', '{':
			depth++
			if text[i] == '{' {
				members++
			}
		case ']', '}':
			depth--
		case ',':
			if depth < dataDepth {
				members++
			}
		}
		if depth > maxDepth {
			return &limitError{"the JSON is nested too deeply", fmt.Sprintf("%d levels", maxDepth), "more"}
		}
		if members > maxMembers {
			return &limitError{"the JSON has too many members", fmt.Sprintf("%d members", maxMembers), "more"}
		}
	}
	return nil
}

// dims is a shape that is refused, when read, before a long one costs memory.
type dims []int

func (d *dims) UnmarshalJSON(text []byte) error {
	if len(text) > 256 {
		return errors.New("a shape is too long")
	}
	return json.Unmarshal(text, (*[]int)(d))
}

// parameters are the named values that go with a message or a tensor.
type parameters map[string]any

func (p *parameters) UnmarshalJSON(text []byte) error {
	if len(text) > 4096 {
		return errors.New("the parameters are too long")
	}
	return json.Unmarshal(text, (*map[string]any)(p))
}

// flag returns a parameter that is true or false.
func (p parameters) flag(name string) (value, present bool, err error) {
	found, present := p[name]
	if !present {
		return false, false, nil
	}
	value, ok := found.(bool)
	if !ok {
		return false, true, fmt.Errorf("parameter %s: want true or false, found %v", name, found)
	}
	return value, true, nil
}

// number returns a parameter that is a whole number from 0 to max.
func (p parameters) number(name string, max int) (value int, present bool, err error) {
	found, present := p[name]
	if !present {
		return 0, false, nil
	}
	number, ok := found.(float64)
	if !ok || number != float64(int(number)) || number < 0 || number > float64(max) {
		return 0, true, fmt.Errorf("parameter %s: want a whole number from 0 to %d, found %v", name, max, found)
	}
	return int(number), true, nil
}

// flatten calls add with each scalar of data, JSON that is known to be well formed, whatever its nesting, and
// stops at the first error.
func flatten(data []byte, add func(scalar []byte) error) error {
	for i := 0; i < len(data); {
		start := i
		switch data[i] {
		case '[', ']', ',', ' ', '\t', '\r', '\n':
			i++
			continue
		case '{':
			return errors.New("tensor data holds an object")
		case '"':
			for i++; data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
			i++
		default:
			for i < len(data) && data[i] != ',' && data[i] != ']' && data[i] > ' ' {
				i++
			}
		}
		if err := add(data[start:i]); err != nil {
			return err
		}
	}
	return nil
}

// decodeJSON fills t with count elements from data.
func (t *Tensor) decodeJSON(data []byte, count int) error {
	// An element takes two bytes at least, so a shape cannot claim more memory than the body holds.
	capacity := min(count, len(data)/2+1)
	found := 0
	switch t.Datatype {
	case FP32:
		t.Floats = make([]float32, 0, capacity)
	case INT64:
		t.Ints = make([]int64, 0, capacity)
	case BOOL:
		t.Bools = make([]bool, 0, capacity)
	case BYTES:
		t.Bytes = make([][]byte, 0, capacity)
	}
	err := flatten(data, func(scalar []byte) error {
		if found++; found > count {
			return fmt.Errorf("the data has more than the %d elements of the shape %v", count, t.Shape)
		}
		return t.appendScalar(scalar)
	})
	if err != nil {
		return err
	}
	if found != count {
		return fmt.Errorf("the data has %d elements, the shape %v wants %d", found, t.Shape, count)
	}
	return nil
}

func (t *Tensor) appendScalar(scalar []byte) error {
	text := string(scalar)
	switch t.Datatype {
	case FP32:
		v, err := strconv.ParseFloat(text, 32)
		if err != nil {
			return fmt.Errorf("want an FP32 number, found %s", clip(text))
		}
		t.Floats = append(t.Floats, float32(v))
	case INT64:
		v, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("want an INT64 number, found %s", clip(text))
		}
		t.Ints = append(t.Ints, v)
	case BOOL:
		if text != "true" && text != "false" {
			return fmt.Errorf("want true or false, found %s", clip(text))
		}
		t.Bools = append(t.Bools, text == "true")
	case BYTES:
		var v string
		if err := json.Unmarshal(scalar, &v); err != nil || scalar[0] != '"' {
			return fmt.Errorf("want a string, found %s", clip(text))
		}
		t.Bytes = append(t.Bytes, []byte(v))
	}
	return nil
}
