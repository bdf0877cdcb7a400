package analysis

import "testing"

func TestPrecisionNames(t *testing.T) {
	for name, want := range map[string]Precision{"fp32": FP32, "int8": Int8} {
		var p Precision
		if err := p.UnmarshalText([]byte(name)); err != nil || p != want {
			t.Errorf("%s was read as %q, %v", name, p, err)
		}
	}
	var p Precision
	if err := p.UnmarshalText([]byte("int4")); err == nil {
		t.Errorf("int4 was read as %q", p)
	}
}
