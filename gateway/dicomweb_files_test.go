package gateway

import (
	"bytes"
	"image"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"consilium/internal/dicom"
)

// TestRealFiles sends the sample files of the data folder, each by itself, and looks at what was stored.
func TestRealFiles(t *testing.T) {
	data := os.Getenv("CONSILIUM_DATA")
	if data == "" {
		t.Skip("CONSILIUM_DATA is unset")
	}
	const stored = ""
	want := map[string]string{ // why it is not stored
		"JPEG2000.dcm": "C122", "JPGLosslessP14SV1_1s_1f_8b.dcm": "C122", "RG1_J2KI.dcm": "C122", "US1_J2KI.dcm": "C122",
		"MR_truncated.dcm": "C000", "rtplan.dcm": "0122", "no_meta.dcm": "C000",
	}
	paths, err := filepath.Glob(filepath.Join(data, "dicom", "*.dcm"))
	if err != nil || len(paths) == 0 {
		t.Fatal("no files", err)
	}
	f := newFixture(t, nil)
	for _, path := range paths {
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			status, answer := f.stow("/dicom-web/studies", raw)
			failures := append(answer.items(t, failedSOPSequence), answer.items(t, otherFailuresSequence)...)
			got := stored
			for _, item := range failures {
				got = hex(item.text(failureReason))
				t.Logf("%s: %s", got, item.text(errorComment))
			}
			if got != want[name] {
				t.Fatalf("status %d, reason %q, want %q", status, got, want[name])
			}
			if got != stored {
				return
			}
			location := answer.items(t, referencedSOPSequence)[0].text(retrieveURL)
			_, files := f.get(location, `multipart/related; type="application/dicom"; transfer-syntax=*`)
			before, err := dicom.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			after, err := dicom.Parse(files[0])
			if err != nil {
				t.Fatal(err)
			}
			samePixels(t, before, after)
			_, frames := f.get(location+"/frames/1", `multipart/related; type="application/octet-stream"`)
			if len(frames) != 1 || len(frames[0]) == 0 {
				t.Error("no frame")
			}
			response, picture := f.do(http.MethodGet, location+"/rendered", http.Header{"Accept": {"image/png"}}, nil)
			config, _, err := image.DecodeConfig(bytes.NewReader(picture))
			if rows, _ := before.Dataset.Int(dicom.Rows); err != nil || int64(config.Height) != rows {
				t.Errorf("rendered %s, %v, %v", response.Status, config, err)
			}
		})
	}
}

func samePixels(t *testing.T, before, after *dicom.File) {
	t.Helper()
	a, err := before.Image()
	if err != nil {
		t.Fatal(err)
	}
	b, err := after.Image()
	if err != nil {
		t.Fatal(err)
	}
	if a.Frames != b.Frames {
		t.Fatalf("%d frames became %d", a.Frames, b.Frames)
	}
	for i := range a.Frames {
		x, err := a.Frame(i)
		if err != nil {
			t.Fatal(err)
		}
		y, err := b.Frame(i)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(x.Data, y.Data) {
			t.Errorf("frame %d changed", i+1)
		}
	}
}
