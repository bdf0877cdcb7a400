package eval

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"

	"consilium/internal/weights"
)

// TestCalibrationPictures: none is measured on, and none comes twice.
func TestCalibrationPictures(t *testing.T) {
	data := os.Getenv("CONSILIUM_DATA")
	if data == "" {
		t.Skip("CONSILIUM_DATA names no data folder")
	}
	folder, err := weights.Path("easy-vqa")
	if err != nil {
		t.Skip(err)
	}
	folder = filepath.Join(folder, "data")
	seen := map[[32]byte]string{}
	for _, set := range []struct {
		name string
		read func(data, easyVQA string) (pictures, films [][]byte, err error)
		n    int
	}{{"calibrated on", CalibrationPictures, 2 * calibrationPictures}, {"measured", testPictures, measuredPictures}} {
		pictures, films, err := set.read(data, folder)
		if err != nil {
			t.Fatal(err)
		}
		if len(pictures) < set.n || len(films) < set.n/2 {
			t.Errorf("%s: %d pictures and %d films", set.name, len(pictures), len(films))
		}
		for _, file := range append(pictures, films...) {
			sum := sha256.Sum256(file)
			if before := seen[sum]; before != "" {
				t.Errorf("a picture that is %s is %s as well", set.name, before)
			}
			seen[sum] = set.name
		}
	}
}
