package train

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"consilium/internal/analysis"
	"consilium/internal/dataset"
	"consilium/internal/media"
	"consilium/internal/model/efficientnet"
	"consilium/internal/tensor"
	"consilium/internal/weights"
)

func TestVaryFilm(t *testing.T) {
	film := image.NewGray(image.Rect(0, 0, 400, 300))
	for i := range film.Pix {
		film.Pix[i] = uint8(i % 400 / 2)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, film); err != nil {
		t.Fatal(err)
	}
	vary := func(seed uint64) []byte {
		out, err := varyFilm(b.Bytes(), rand.New(rand.NewPCG(seed, 0)))
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	first := vary(1)
	if !bytes.Equal(first, vary(1)) || bytes.Equal(first, vary(2)) {
		t.Error("a variant is not decided by its seed")
	}
	img, err := png.Decode(bytes.NewReader(first))
	if err != nil {
		t.Fatal(err)
	}
	size := img.Bounds().Size()
	if img.ColorModel() != color.GrayModel || size.X > 400 || size.X < variedSide/2 || size.Y < variedSide/3 {
		t.Errorf("a variant is %v of %v", size, img.ColorModel())
	}
	if _, err := varyFilm([]byte("no picture"), rand.New(rand.NewPCG(1, 0))); err == nil {
		t.Error("what is no picture is varied")
	}
}

func TestElsewhere(t *testing.T) {
	tone := make([]float32, 4000)
	for i := range tone {
		tone[i] = float32(0.3 * math.Sin(float64(i)/5))
	}
	rng := func() *rand.Rand { return rand.New(rand.NewPCG(5, 0)) }
	x := elsewhere(rng(), tone)
	if !slices.Equal(x, elsewhere(rng(), tone)) {
		t.Error("a variant is not decided by its seed")
	}
	peak := float32(0)
	for _, v := range x {
		peak = max(peak, v, -v)
	}
	if len(x) < 3400 || len(x) > 4800 || math.Abs(float64(peak)-0.9) > 1e-6 {
		t.Errorf("%d samples with the peak %v", len(x), peak)
	}
	for _, v := range elsewhere(rng(), make([]float32, 4000)) {
		if v != v {
			t.Fatal("silence becomes NaN")
		}
	}
	if _, err := varySound([]byte("no sound"), rng()); analysis.CodeOf(err) == "" {
		t.Error("what is no sound is varied")
	}
}

func TestFilmLabels(t *testing.T) {
	var films []dataset.Radiograph
	for i := range 2 * minPositives {
		f := dataset.Radiograph{Labels: []string{"No Finding"}}
		if i%2 == 0 {
			f.Labels = []string{"Edema", "Pneumonia"}
		}
		if i == 0 {
			f.Labels = append(f.Labels, "Hernia")
		}
		films = append(films, f)
	}
	if got := filmLabels(films); !slices.Equal(got, []string{"Edema", "Pneumonia"}) {
		t.Errorf("labels %v", got)
	}
}

// A few steps on four films that differ plainly, and the weights that come out, as the service reads them.
func TestRadiographsRecipe(t *testing.T) {
	path, err := weights.Path("efficientnet-lite0.pth")
	if err != nil {
		t.Fatal(err)
	}
	r, err := ReadRecipe("radiographs", []string{"epochs=12", "batch=4", "warmup=2", "rate=1e-3", "dropout=0", "average=0"})
	if err != nil {
		t.Fatal(err)
	}
	var s Settings
	task := &radiographTask{labels: []string{"Edema", "Pneumonia"}, trunk: &featureSet{Dim: efficientnet.CutGrid * efficientnet.CutGrid}}
	if err := r.Decode(&s, &task.settings); err != nil {
		t.Fatal(err)
	}
	engine := tensor.NewEngine(tensor.Options{Device: tensor.CPU, Threads: 1, Grad: true})
	defer engine.Close()
	err = engine.Do(t.Context(), func(a *tensor.Arena) (err error) {
		a.NoGrad(func() {
			var net *efficientnet.Model
			if net, err = efficientnet.Load(a, path); err != nil {
				return
			}
			defer net.Free(a)
			task.start = net.Top().Weights(a)
			for i := range 4 {
				img := image.NewGray(image.Rect(0, 0, efficientnet.Side, efficientnet.Side))
				for j := range img.Pix {
					img.Pix[j] = uint8(j * (1 + i%2*40) / 7)
				}
				x := a.FromFloat32(media.ImageTensor(img, efficientnet.Side), 1, 3, efficientnet.Side, efficientnet.Side)
				task.trunk.Rows = append(task.trunk.Rows, a.Halfs(a.Contiguous(net.Trunk(a, x))))
				task.films = append(task.films, film{images: []int{i}, labels: []float32{0, float32(i % 2)}})
			}
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	task.val = task.films
	var losses []float64
	var log strings.Builder
	env := Env{Out: filepath.Join(t.TempDir(), "w"), Log: &log, onStep: func(_ int, loss float64) { losses = append(losses, loss) }}
	if err := fit(t.Context(), r, s, task, env, engine); err != nil {
		t.Fatal(err)
	}
	if first, last := losses[0], losses[len(losses)-1]; !(last < first/3) {
		t.Errorf("the loss goes from %.3f to %.3f", first, last)
	}
	if !strings.Contains(log.String(), "Pneumonia 1.000") {
		t.Errorf("validation says %s", log.String())
	}
	raw, metadata, err := tensor.ReadSafetensors(env.Out)
	if err != nil || metadata["labels"] != `["Edema","Pneumonia"]` {
		t.Fatalf("metadata %v, %v", metadata, err)
	}
	if err := engine.Do(t.Context(), func(a *tensor.Arena) error { efficientnet.LoadTop(a, raw).Free(a); return nil }); err != nil {
		t.Error(err)
	}
}
