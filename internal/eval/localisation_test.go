package eval

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"consilium/internal/analysis"
	"consilium/services/fusion"
)

// pointer is a fusion that points at the cell which its picture's vector names, and looks at the first. The one of
// random weights, a real net, is made of the shipped one.
type pointer struct{ *fusion.Service }

func (p pointer) Fuse(_ context.Context, requests []*analysis.FuseRequest) ([]*analysis.Result, error) {
	at := func(cell int) *analysis.Grid {
		g := &analysis.Grid{Rows: 7, Cols: 7, Values: make([]float32, 49)}
		g.Values[cell] = 1
		return g
	}
	return []*analysis.Result{{
		Findings:  []analysis.Finding{{Label: "Pneumonia", Modality: analysis.Image, Activation: at(int(requests[0].Image.Vector[0]))}, {Label: "Cough", Modality: analysis.Audio}},
		Attention: at(0),
	}}, nil
}

// films encodes each file as the cell that its bytes name, with tokens that a real net takes.
type films struct{}

func (films) EncodeImage(_ context.Context, images [][]byte) ([]*analysis.Features, error) {
	var cell int
	if _, err := fmt.Sscan(string(images[0]), &cell); err != nil {
		return nil, err
	}
	f := &analysis.Features{Modality: analysis.Image, Vector: []float32{float32(cell)}, TokenCount: 49, TokenDim: 1280, Rows: 7, Cols: 7}
	for i := range 49 * 1280 {
		f.Tokens = append(f.Tokens, float32(math.Sin(float64(cell+i*i%977))))
	}
	return []*analysis.Features{f}, nil
}

func TestPointingGame(t *testing.T) {
	folder := t.TempDir()
	write := func(name string, b []byte) {
		path := filepath.Join(folder, "cxr", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("metadata.csv", []byte("id,file,source_dataset,patient_id,split,view,age,sex,labels,mask_lung,mask_anatomy,mask_lesion,bboxes_xywh_rel\n"+
		"a,a.jpg,COVID,p1,train,PA,,,Pneumonia,,,mask.png,\n"+ // hit: cell 8, the second of the second row
		"b,b.jpg,COVID,p1,test,PA,,,Pneumonia,,,mask.png,\n"+ // missed: cell 7
		"c,c.jpg,COVID,p2,test,PA,,,Pneumonia,,,empty.png,\n"+ // nothing drawn
		"d,d.jpg,NIH,p3,test,PA,,,Pneumonia,,,,\"[[\"\"Pneumonia\"\", 0.4, 0.4, 0.2, 0.2], [\"\"Pneumonia\"\", 0, 0, 0.2, 0.2], [\"\"Mass\"\", 0, 0, 1, 1]]\"\n"+ // hit in the middle
		"e,e.jpg,NIH,p4,train,PA,,,Pneumonia,,,,\"[[\"\"Pneumonia\"\", 0, 0, 1, 1]]\"\n"+ // trained on
		"f,f.jpg,NIH,p5,val,PA,,,Pneumonia,,,,\"[[\"\"Pneumonia\"\", 0, 0, 1, 1]]\"\n"+ // chosen on
		"g,g.jpg,NIH,p6,test,PA,,,Pneumonia,,,,\n"))
	for name, cell := range map[string]int{"a": 8, "b": 7, "c": 8, "d": 24} {
		write(name+".jpg", fmt.Append(nil, cell))
	}
	mask := image.NewGray(image.Rect(0, 0, 70, 140))
	for name, value := range map[string]uint8{"empty.png": 0, "mask.png": 2} {
		mask.SetGray(15, 30, color.Gray{Y: value}) // the pixel in the middle of cell 8 alone
		var b strings.Builder
		if err := png.Encode(&b, mask); err != nil {
			t.Fatal(err)
		}
		write(name, []byte(b.String()))
	}
	service, err := fusion.New(fusion.Config{Device: "cpu", Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	var log strings.Builder
	measured, err := localisation(t.Context(), Env{Data: folder, Out: &log, Models: Models{Radiographs: films{}, Fuser: pointer{service}}})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][2]float64{
		"pointing-game":                {2. / 3, 1. / 3},                      // a and d; the centre of the picture hits d
		"pointing-game-attention":      {1. / 3, 1. / 3},                      // d, of which the first cell is in a box
		"pointing-game-centre":         {1. / 3, (1./49 + 1./49 + 2./49) / 3}, // one cell would hit a and b each, two d
		"pointing-game-random-weights": {math.NaN(), (1./49 + 1./49 + 2./49) / 3},
	}
	for _, f := range measured {
		w, ok := want[f.Metric]
		if !ok || f.N != 3 || math.Abs(f.Value-w[0]) > 1e-9 || math.Abs(f.Floor-w[1]) > 1e-9 || f.Value < 0 || f.Value > 1 {
			t.Errorf("%+v, want %v", f, w)
		}
	}
	if len(measured) != len(want) || !strings.Contains(log.String(), "2 lesion masks and 2 boxes; 2 films left out") {
		t.Errorf("%d figures; %s", len(measured), log.String())
	}
	if _, err := localisation(t.Context(), Env{}); err == nil || !strings.Contains(err.Error(), "data folder") {
		t.Errorf("without data: %v", err)
	}
}

func TestAnEmptyMapPointsNowhere(t *testing.T) {
	everywhere := target{holds: func(float64, float64) bool { return true }}
	if everywhere.hit(&analysis.Grid{Rows: 1, Cols: 2, Values: []float32{0, 0}}) != 0 || everywhere.hit(&analysis.Grid{Rows: 1, Cols: 2, Values: []float32{0, 0.1}}) != 1 {
		t.Error("an empty map points, or a full one does not")
	}
}

func TestIntervalsDrawGroups(t *testing.T) {
	// Ten patients, of whom one has all hits: drawn case by case, the interval would be far narrower.
	var values []float64
	var patients []string
	for i := range 100 {
		patient := 0
		if i >= 50 {
			patient = 1 + i%9
		}
		values, patients = append(values, share(patient == 0)), append(patients, fmt.Sprint(patient))
	}
	f := meanByGroup("x", "y", values, patients, 0.2)
	if f.Value != 0.5 || f.N != 100 || f.Floor != 0.2 || f.Low != 0 || f.High < 0.7 {
		t.Errorf("%+v", f)
	}
	if again := meanByGroup("x", "y", values, patients, 0.2); again != f {
		t.Errorf("the same cases gave %+v and %+v", f, again)
	}
}
