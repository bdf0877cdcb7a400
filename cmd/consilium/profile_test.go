package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestProfile(t *testing.T) {
	samples := make([]byte, 2*8000) // one second of silence, which is 98 frames
	le := binary.LittleEndian
	wav := append([]byte("RIFF"), le.AppendUint32(nil, uint32(36+len(samples)))...)
	wav = append(wav, "WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00\x10\x00data"...)
	wav = append(le.AppendUint32(wav, uint32(len(samples))), samples...)
	file := filepath.Join(t.TempDir(), "silence.wav")
	if err := os.WriteFile(file, wav, 0o644); err != nil {
		t.Fatal(err)
	}
	none := func(string) string { return "" }
	var out, log bytes.Buffer
	if err := run(t.Context(), []string{"profile", "audio", "--input", file, "--json"}, none, &out, &log); err != nil {
		t.Fatal(err)
	}
	var p modelProfile
	if err := json.Unmarshal(out.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	var work float64
	for _, l := range p.Layers {
		work += l.MultiplyAdds
	}
	// The convolutions of the net's config, counted by hand: input, 14 blocks of two, output.
	want := 98.0 * (2*64*64 + 14*(2*64*128+64*192) + 128*128)
	if p.Model != "audio" || p.Passes == 0 || !(p.Peak > 0) || math.Abs(work-want) > 0.5 {
		t.Errorf("%d passes of %s at a peak of %v with %.0f multiply-adds, want %.0f", p.Passes, p.Model, p.Peak, work, want)
	}
	abacus := func(name string) string { return map[string]string{"CONSILIUM_DEVICE": "abacus"}[name] }
	if err := run(t.Context(), []string{"profile", "audio", "--input", file}, abacus, &out, &log); err == nil || !strings.Contains(err.Error(), "abacus") {
		t.Errorf("got %v, want an error about the device", err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"profile"}, "usage"},
		{[]string{"profile", "audio"}, "usage"},
		{[]string{"profile", "ear", "--input", file}, "there are text, vision"},
		{[]string{"profile", "audio", "--input", file + "x"}, "no such file"},
	} {
		if err := run(t.Context(), c.args, none, &out, &log); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want an error with %q", c.args, err, c.want)
		}
	}
}

func TestProfileTable(t *testing.T) {
	p := &modelProfile{Passes: 4, Seconds: 0.01, Layers: []profileLayer{
		{Name: "up.weight", Kernel: "linear", Calls: 2, Seconds: 0.006, MultiplyAdds: 3e6},
		{Kernel: "softmax", Calls: 1.5, Seconds: 0.001},
	}}
	p.finish("text", 2e9)
	var b bytes.Buffer
	if err := p.table(&b); err != nil {
		t.Fatal(err)
	}
	want := `text: 10.00 ms a pass, the mean of 4; fp32 products of matrices reach 2 GFLOP/s
     ms   share  calls   MMAC  of peak  layer
  6.000  60.0 %      2  3.000   50.0 %  linear up.weight
  1.000  10.0 %    1.5                  softmax
  7.000  70.0 %         3.000   42.9 %  all layers
  3.000  30.0 %                         elsewhere: decoding, copying, waiting
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}
