package gateway

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"consilium/internal/dicom"
	"consilium/internal/wire/conform"
)

var (
	//go:embed testdata/dicomweb_client.py
	clientScript string
	//go:embed testdata/requirements.txt
	clientRequirements string
)

// TestDicomwebClient runs PyPI's dicomweb-client against the gateway: with three files made here, and with real ones if
// there are any.
func TestDicomwebClient(t *testing.T) {
	folder := conform.Python(t, "dicomweb-client", "0.61.2", clientRequirements)
	var made []string
	for i := range 3 {
		path := filepath.Join(t.TempDir(), fmt.Sprintf("%d.dcm", i))
		file := film("1.2.1", fmt.Sprintf("1.2.1.%d", i/2), fmt.Sprintf("1.2.1.9.%d", i), dicom.NewText(dicom.NumberOfFrames, dicom.IS, "1"), &dicom.Element{Tag: dicom.PixelData, VR: dicom.OB, Value: []byte("abcde" + string(rune('f'+i)))})
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		made = append(made, path)
	}
	studies := map[string][]string{"made": made}
	if data := os.Getenv("CONSILIUM_DATA"); data != "" {
		studies["CT"] = []string{filepath.Join(data, "dicom", "CT_small.dcm")}
		studies["a chest radiograph"] = []string{filepath.Join(data, "dicom", "RG1_UNCR.dcm")}
	}
	for name, files := range studies {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil)
			var got struct {
				Stored, Studies, StudyInstances, Series, Instances, Metadata, Files, Streamed, Missing, OwnRows int
				Again, Pixels, Array                                                                            bool
				Frames                                                                                          map[string][]bool
				Rendered                                                                                        map[string][]int
				Names, Removed                                                                                  []string
			}
			conform.Script(t, folder, clientScript, map[string]any{"url": f.url + "/dicom-web", "files": files}, &got)
			n := len(files)
			if got.Stored != n || got.Studies != 1 || got.StudyInstances != n || got.Instances != n || got.Metadata != n || got.Files != n || got.Series != (n+1)/2 || got.OwnRows == 0 || got.Missing != 404 {
				t.Errorf("got %+v", got)
			}
			if !got.Again || !got.Pixels || !got.Array || !reflect.DeepEqual(got.Frames, map[string][]bool{"any": {true}, "named": {true, true}, "streamed": {true}}) {
				t.Errorf("got %+v", got)
			}
			if !reflect.DeepEqual(got.Rendered, map[string][]int{"jpeg": {0xFF, 0xD8, 0xFF, got.Rendered["jpeg"][3]}, "png": {0x89, 'P', 'N', 'G'}}) {
				t.Errorf("rendered %v", got.Rendered)
			}
			for _, name := range got.Names {
				if name != "" {
					t.Errorf("the name %q is still there", name)
				}
			}
			for _, removed := range got.Removed {
				if removed != "YES" {
					t.Errorf("identity removed: %q", removed)
				}
			}
		})
	}
}
