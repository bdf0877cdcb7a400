package dataset

import (
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const filmsHeader = "id,file,patient_id,split,view,source_dataset,labels,mask_lung,mask_anatomy,mask_lesion\n"

func writeFilms(t *testing.T, table string) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.MkdirAll(filepath.Join(folder, "cxr"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "cxr", "metadata.csv"), []byte(table), 0o644); err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestReadFilms(t *testing.T) {
	folder := writeFilms(t, filmsHeader+
		"a,images/a.jpg,p2,train,PA,NIH ChestX-ray14,Pneumonia|Edema,masks_lung/a.png,,\n"+
		"b,images/b.jpg,p1,train,AP,x,No Finding,,masks_anatomy/b.png,masks_lesion/b.png\n"+
		"c,images/c.jpg,p1,val,AP,x,No Finding,,,masks_lesion/c.png\n"+
		"d,images/d.jpg,p0,test,L,x,,,,masks_lesion/d.png\n")
	films, err := ReadFilms(folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(films) != 4 {
		t.Fatalf("%d films", len(films))
	}
	a := films[0]
	if a.ID != "a" || a.Lung != filepath.Join(folder, "cxr", "masks_lung", "a.png") || a.Anatomy != "" || !a.Has("Edema") || a.Has("Effusion") || a.View != "PA" || !a.NIH || films[1].NIH {
		t.Errorf("the first film is %+v", a)
	}
	var folds []int
	for _, f := range films {
		folds = append(folds, Fold(films, f))
	}
	if folds[0] != 0 || folds[1] == 0 || folds[1] != folds[2] || folds[3] == folds[1] || folds[3] == 0 {
		t.Errorf("the films are in the folds %v: want the second and the third together and the last apart", folds)
	}
}

func TestBadFilmsAreNamed(t *testing.T) {
	for table, want := range map[string]string{
		"":                           "no rows",
		filmsHeader:                  "no rows",
		"id,file\na,b\n":             `no column "patient_id"`,
		filmsHeader + "a,b\n":        "wrong number of fields",
		filmsHeader + "\"a,b\n":      "metadata.csv",
		"\x00\x01\x02\x03\n\xff\xfe": "no column",
	} {
		if _, err := ReadFilms(writeFilms(t, table)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", table, err, want)
		}
	}
	if _, err := ReadFilms(t.TempDir()); err == nil {
		t.Error("a folder without a table is read")
	}
}

func TestReadMask(t *testing.T) {
	folder := t.TempDir()
	write := func(name string, img image.Image) string {
		f, err := os.Create(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := png.Encode(f, img); err != nil {
			t.Fatal(err)
		}
		return f.Name()
	}
	grey := image.NewGray(image.Rect(0, 0, 3, 2))
	grey.SetGray(2, 1, color.Gray{Y: LesionConsolidation})
	m, err := ReadMask(write("grey.png", grey))
	if err != nil {
		t.Fatal(err)
	}
	if m.GrayAt(2, 1).Y != LesionConsolidation || m.GrayAt(0, 0).Y != 0 {
		t.Errorf("read %v", m.Pix)
	}
	if _, err := ReadMask(write("colour.png", image.NewRGBA(image.Rect(0, 0, 3, 2)))); err == nil || !strings.Contains(err.Error(), "want grey") {
		t.Errorf("a coloured mask: %v", err)
	}
	if err := os.WriteFile(filepath.Join(folder, "half.png"), []byte("\x89PNG\r\n\x1a\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"half.png", "absent.png"} {
		if _, err := ReadMask(filepath.Join(folder, name)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
