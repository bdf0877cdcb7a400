package train

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"consilium/internal/media"
	"consilium/internal/model/wavenet"
	"consilium/internal/tensor"
)

// writeWAV writes half a second of a tone at 8 kHz.
func writeWAV(t *testing.T, path string, hz float64) {
	t.Helper()
	const n = 4000
	b := []byte("RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00\x10\x00data")
	b = binary.LittleEndian.AppendUint32(b, 2*n)
	for i := range n {
		b = binary.LittleEndian.AppendUint16(b, uint16(int16(8000*math.Sin(2*math.Pi*hz*float64(i)/8000))))
	}
	writeFileIn(t, path, b)
}

func writeFileIn(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// audioFolder holds two digits by two speakers, a cough and a bark; whatever must not be opened is no sound at all.
func audioFolder(t *testing.T) string {
	t.Helper()
	data := t.TempDir()
	audio := filepath.Join(data, "audio")
	writeFileIn(t, filepath.Join(audio, "metadata.csv"), []byte("file,task,label,split\n"+
		"cough/a.wav,cough_covid,cough,train\ncough/b.wav,cough_covid,cough,test\nesc10/c.wav,environment,dog_bark,train\n"))
	writeWAV(t, filepath.Join(audio, "cough/a.wav"), 300)
	writeFileIn(t, filepath.Join(audio, "cough/b.wav"), []byte("a test clip"))
	writeWAV(t, filepath.Join(audio, "esc10/c.wav"), 900)
	for digit, hz := range map[string]float64{"0": 500, "1": 1500} {
		for _, index := range []string{"5", "8", "9"} {
			writeWAV(t, filepath.Join(audio, "fsdd_full", digit+"_ann_"+index+".wav"), hz)
			writeFileIn(t, filepath.Join(audio, "fsdd_full", digit+"_bob_"+index+".wav"), []byte("a clip of the speaker left out"))
		}
		writeFileIn(t, filepath.Join(audio, "fsdd_full", digit+"_ann_0.wav"), []byte("a test clip"))
	}
	return data
}

func TestAudioTrainsOnTrainingClipsAlone(t *testing.T) {
	data := audioFolder(t)
	run := func() []byte {
		path := filepath.Join(t.TempDir(), "w.safetensors")
		var out strings.Builder
		r, err := ReadRecipe("audio", []string{"seed=7", "leave_out=bob", "epochs=2"})
		if err != nil {
			t.Fatal(err)
		}
		if err := Train(t.Context(), r, Env{Data: data, Out: path, Device: tensor.CPU, Threads: 1, Log: &out}); err != nil {
			t.Fatal(err)
		}
		if strings.Count(out.String(), "validation: loss") != 2 || !strings.Contains(out.String(), "6 training and 2 validation clips") {
			t.Errorf("the log says %s", out.String())
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	first := run()
	raw, metadata, err := tensor.DecodeSafetensors(first)
	if err != nil {
		t.Fatal(err)
	}
	config, err := wavenet.ParseConfig(metadata)
	if err != nil || metadata["left_out"] != "bob" || !slices.Equal(config.Classes, []string{"0", "1", "cough", "dog bark"}) {
		t.Errorf("metadata %v, %v", metadata, err)
	}
	if len(raw["head.weight"].Values) != 4*256 {
		t.Errorf("the head has %d weights", len(raw["head.weight"].Values))
	}
	if !bytes.Equal(first, run()) {
		t.Error("the same seed gives other weights")
	}
}

func TestAudioNamesAnUnknownSpeaker(t *testing.T) {
	r, err := ReadRecipe("audio", []string{"leave_out=carol"})
	if err != nil {
		t.Fatal(err)
	}
	err = Train(t.Context(), r, Env{Data: audioFolder(t), Out: "unused", Device: tensor.CPU, Threads: 1, Log: &strings.Builder{}})
	if err == nil || !strings.Contains(err.Error(), "carol") && !strings.Contains(err.Error(), "bob") {
		t.Errorf("got %v", err)
	}
}

func TestAugment(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{media.MinSoundSamples, 2000, 40_000} {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(rng.NormFloat64() / 4)
		}
		before := slices.Clone(x)
		for range 200 {
			features := augment(rng, x, nil)
			if len(features)%media.MelBands != 0 || len(features) < 8*media.MelBands || len(features) > 215*media.MelBands {
				t.Fatalf("%d samples give %d values", n, len(features))
			}
			for i, v := range features {
				if !(v >= -1 && v <= 1) {
					t.Fatalf("value %d is %v", i, v)
				}
			}
		}
		if !slices.Equal(x, before) {
			t.Fatal("augmentation changed the clip itself")
		}
	}
	a := augment(rand.New(rand.NewPCG(3, 4)), make([]float32, 4000), nil)
	if !slices.Equal(a, augment(rand.New(rand.NewPCG(3, 4)), make([]float32, 4000), nil)) {
		t.Error("the same seed augments differently")
	}
}
