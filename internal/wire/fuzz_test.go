package wire

import (
	"bytes"
	"reflect"
	"slices"
	"testing"
)

// FuzzDecode reads arbitrary bytes as a request to, and an answer of, every model. What is accepted has the shape
// that it claims, and reads the same after it was written again.
func FuzzDecode(f *testing.F) {
	_, body := bin(textInput(`"shape":[2],"parameters":{"binary_data_size":11}`), append(lengths(3), append([]byte("abc"), lengths(0)...)...)...)
	f.Add(body, len(body)-11)
	f.Add([]byte(textInput(`"shape":[1],"data":["\u00e9\ud800"]`)), -1)
	f.Add([]byte(`{"inputs":[{"name":"image","datatype":"BYTES","shape":[1],"data":["Z29vZA=="]}]}`), -1)
	f.Add([]byte(`{"outputs":[{"name":"attention","datatype":"FP32","shape":[2,2],"data":[[1,0.5],[-1e3,4]]},{"name":"finding_present","datatype":"BOOL","shape":[2],"data":[true,false]}]}`), -1)
	f.Add([]byte(`{"outputs":[{"name":"grid","datatype":"INT64","shape":[1,2],"parameters":{"binary_data_size":16}}]}0123456789abcdef`), 92)
	f.Add(append([]byte(textInput(`"shape":[1],"parameters":{"binary_data_size":4}`)), lengths(0xFFFFFFFF)...), 82)
	f.Fuzz(func(t *testing.T, body []byte, headerLength int) {
		m, data, err := parse(body, headerLength)
		if err != nil {
			return
		}
		for _, c := range []*contract{textContract, visionContract, audioContract, fusionContract} {
			for _, side := range []struct {
				headers []tensorHeader
				specs   []Spec
			}{{m.Inputs, c.inputs}, {m.Outputs, c.outputs}} {
				specs := make([]Spec, len(side.specs))
				copy(specs, side.specs)
				for i := range specs {
					specs[i].optional = true // so that one tensor gets past the others' absence
				}
				tensors, err := decode(side.headers, data, specs, c.maxRows)
				if err == nil {
					checkAgain(t, tensors, specs, c.maxRows)
				}
			}
		}
	})
}

// crossed writes tensors as binary data and returns what the other side reads.
func crossed(t *testing.T, tensors []Tensor, specs []Spec, maxRows int) []Tensor {
	t.Helper()
	binary := func(string) bool { return true }
	headers, err := headersOf(tensors, binary)
	if err != nil {
		t.Fatal(err)
	}
	parts, headerLength, err := assemble(&message{Inputs: headers}, tensors, binary)
	if err != nil {
		t.Fatal(err)
	}
	m, data, err := parse(bytes.Join(parts, nil), headerLength)
	if err != nil {
		t.Fatalf("parse what was written: %v", err)
	}
	read, err := decode(m.Inputs, data, specs, maxRows)
	if err != nil {
		t.Fatalf("decode what was written: %v", err)
	}
	return read
}

func checkAgain(t *testing.T, tensors []Tensor, specs []Spec, maxRows int) {
	t.Helper()
	again := crossed(t, tensors, specs, maxRows)
	for i, tensor := range tensors {
		count := 1
		for _, size := range tensor.Shape {
			count *= size
		}
		if n := len(tensor.Floats) + len(tensor.Ints) + len(tensor.Bools) + len(tensor.Bytes); n != count {
			t.Fatalf("%s of shape %v holds %d elements", tensor.Name, tensor.Shape, n)
		}
		// Compared as bytes, in which one NaN equals the same NaN.
		if !reflect.DeepEqual(tensor.Shape, again[i].Shape) || !bytes.Equal(slices.Concat(tensor.binary()...), slices.Concat(again[i].binary()...)) {
			t.Fatalf("%s changed on the way", tensor.Name)
		}
	}
}
