package eval

import (
	"os"
	"strings"
	"testing"
)

// TestCalibrationTexts: none is measured on, and none comes twice.
func TestCalibrationTexts(t *testing.T) {
	data := os.Getenv("CONSILIUM_DATA")
	if data == "" {
		t.Skip("CONSILIUM_DATA names no data folder")
	}
	measured, err := variedTexts(data, 500)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, text := range measured {
		seen[strings.ToLower(text)] = true
	}
	questions, _, err := questionsAndNames(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range questions {
		if q.test {
			seen[strings.ToLower(q.text)] = true
		}
	}
	sets, err := CalibrationTexts(data)
	if err != nil {
		t.Fatal(err)
	}
	for i, set := range sets {
		if len(set) < 900 {
			t.Errorf("set %d has %d texts", i, len(set))
		}
		for _, text := range set {
			if key := strings.ToLower(text); seen[key] {
				t.Errorf("%q is measured on, tested on or comes twice", text)
			} else {
				seen[key] = true
			}
		}
	}
}
