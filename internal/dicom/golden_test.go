package dicom

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"consilium/internal/analysis"
)

// golden is what pydicom reads from a file, see testdata/make_golden.py.
type golden struct {
	File     string
	Elements string
	NoPixels string `json:"no_pixels"`
	Shape    []int
	Frames   []string
	Rendered string
	Means    []float64
}

func readGolden(t *testing.T) []golden {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []golden
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// samples returns the folder of sample files.
func samples(t testing.TB) string {
	t.Helper()
	data := os.Getenv("CONSILIUM_DATA")
	if data == "" {
		t.Skip("CONSILIUM_DATA is not set: the sample files of DICOM are not here")
	}
	return filepath.Join(data, "dicom")
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(samples(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// refused are the sample files that are not read, or whose pixels are not, and what the error says of them.
var refused = map[string]struct {
	parse bool
	code  analysis.Code
	says  string
}{
	"MR_truncated.dcm":               {true, analysis.InvalidArgument, "cut off: element (7FE0,0010) declares 8192 bytes, and 8130 are left"},
	"no_meta.dcm":                    {true, analysis.UnsupportedMedia, "not a DICOM file"}, // its first bytes are lost
	"rtplan.dcm":                     {false, analysis.UnsupportedMedia, `holds no picture; its modality is "RTPLAN"`},
	"JPEG2000.dcm":                   {false, analysis.UnsupportedMedia, "JPEG 2000 (1.2.840.10008.1.2.4.91)"},
	"RG1_J2KI.dcm":                   {false, analysis.UnsupportedMedia, "JPEG 2000 (1.2.840.10008.1.2.4.91)"},
	"US1_J2KI.dcm":                   {false, analysis.UnsupportedMedia, "JPEG 2000 (1.2.840.10008.1.2.4.91)"},
	"JPGLosslessP14SV1_1s_1f_8b.dcm": {false, analysis.UnsupportedMedia, "JPEG Lossless, First-Order Prediction (Process 14, Selection Value 1) (1.2.840.10008.1.2.4.70)"},
}

// TestSampleFiles reads every sample file, or refuses it by name, and compares elements and pixels with pydicom.
func TestSampleFiles(t *testing.T) {
	folder := samples(t)
	files, err := filepath.Glob(filepath.Join(folder, "*.dcm"))
	if err != nil {
		t.Fatal(err)
	}
	all := readGolden(t)
	if len(files) != len(all) {
		t.Errorf("there are %d sample files, and the golden has %d", len(files), len(all))
	}
	for _, want := range all {
		t.Run(want.File, func(t *testing.T) {
			no, isRefused := refused[want.File]
			check := func(err error) {
				t.Helper()
				if !isRefused || analysis.CodeOf(err) != no.code || !strings.Contains(err.Error(), no.says) {
					t.Errorf("refused with %v, want %s that says %q", err, no.code, no.says)
				}
			}
			f, err := Parse(read(t, want.File))
			if err != nil {
				check(err)
				return
			}
			if isRefused && no.parse {
				t.Error("the file was parsed")
			}
			if got := digest([]byte(strings.Join(describe(f.Dataset, 0), "\n"))); got != want.Elements {
				t.Errorf("the elements differ from pydicom's:\n%s", strings.Join(describe(f.Dataset, 0), "\n"))
			}
			m, err := f.Image()
			if err == nil {
				err = m.Decodable()
			}
			if err != nil {
				check(err)
				return
			}
			if isRefused {
				t.Fatal("the file was read")
			}
			if want.NoPixels != "" {
				t.Fatalf("pydicom does not read it: %s", want.NoPixels)
			}
			comparePixels(t, m, want)
		})
	}
}

func comparePixels(t *testing.T, m *Image, want golden) {
	shape := []int{m.Frames, m.Rows, m.Columns}
	if m.Samples > 1 {
		shape = append(shape, m.Samples)
	}
	if !slices.Equal(shape, want.Shape) {
		t.Fatalf("shape %v, want %v", shape, want.Shape)
	}
	for i := range m.Frames {
		frame, err := m.Frame(i)
		if err != nil {
			t.Fatal(err)
		}
		values := m.Values(frame)
		if want.Means != nil {
			// Two decoders of JPEG may differ by 1 in a sample; pydicom's means are of libjpeg.
			for c, mean := range means(values, m.Samples) {
				if math.Abs(mean-want.Means[c]) > 0.5 {
					t.Errorf("component %d has the mean %v, want %v", c, mean, want.Means[c])
				}
			}
			continue
		}
		var b []byte
		for _, v := range values {
			b = binary.LittleEndian.AppendUint32(b, uint32(v))
		}
		if digest(b) != want.Frames[i] {
			t.Errorf("frame %d differs from pydicom's", i)
		}
		if _, err := m.Render(i); err != nil {
			t.Errorf("render frame %d: %v", i, err)
		}
	}
	if want.Rendered != "" {
		p, err := m.Render(0)
		if err != nil {
			t.Fatal(err)
		}
		if digest(p.Image.(*image.Gray).Pix) != want.Rendered {
			t.Error("the rendered frame differs")
		}
	}
}

func means(values []int32, samples int) []float64 {
	sums := make([]float64, samples)
	for i, v := range values {
		sums[i%samples] += float64(v) / float64(len(values)/samples)
	}
	return sums
}

// describe writes the elements as testdata/make_golden.py does.
func describe(d *Dataset, depth int) []string {
	var lines []string
	for e := range d.All() {
		line := fmt.Sprintf("%d %08X %s", depth, uint32(e.Tag), e.VR)
		switch {
		case e.VR == SQ:
			lines = append(lines, line)
			for _, item := range e.Items {
				lines = append(lines, describe(item, depth+1)...)
			}
			continue
		case e.Tag == SpecificCharacterSet:
		case e.VR.Text():
			line += " " + strings.Join(e.Strings(), `\`)
		case e.Fragments != nil:
			line += " encapsulated"
		case e.VR[0] == 'O' || e.VR == UN:
			line += fmt.Sprintf(" %d", len(e.Value))
		default:
			var b []byte
			for _, v := range e.Floats() {
				b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
			}
			line += " " + hex.EncodeToString(b)
		}
		lines = append(lines, line)
	}
	return lines
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
