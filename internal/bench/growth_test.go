package bench

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestGrown(t *testing.T) {
	sizes := []Size{{Size: 1, Seconds: 5}, {Size: 2, Seconds: 5}, {Size: 4, Seconds: 6}, {Size: 8, Seconds: 24}, {Size: 16, Seconds: 96, Resident: 2e6}}
	g := growing{name: "x", unit: "tokens"}
	if f := grown(g, sizes, 0); math.Abs(*f.Value-2) > 1e-12 {
		t.Errorf("the exponent is %v, want 2", *f.Value)
	}
	g.work = func(n float64) float64 { return n * n }
	f := grown(g, sizes, 0)
	if math.Abs(*f.Value-1) > 1e-12 {
		t.Errorf("the exponent against the work is %v, want 1", *f.Value)
	}
	var page strings.Builder
	f.Group = "growth"
	Markdown(&page, &Report{Runs: []Run{{Group: "growth"}}, Figures: []Figure{f}})
	if want := "| x | 16 tokens | 96000.000 | 6000000.0000 | 2 |\n"; !strings.Contains(page.String(), want) {
		t.Errorf("the page lacks %q:\n%s", want, page.String())
	}
}

func TestResident(t *testing.T) {
	forgetPeak()
	if now := resident("self", "VmRSS"); !(now > 1e6) || resident("self", "VmHWM") < 0.5*now || resident("self", "VmNone") != 0 {
		t.Errorf("this process holds %v bytes", now)
	}
}

func TestIdleProgram(t *testing.T) {
	program := filepath.Join(t.TempDir(), "serves")
	script := "#!/bin/sh\ntrap 'exit 0' INT\necho http://$CONSILIUM_LISTEN\nwhile :; do sleep 0.05; done\n"
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if megabytes, err := idleProgram(t.Context(), program); err != nil || !(megabytes > 0.1 && megabytes < 100) {
		t.Errorf("%v MB, %v", megabytes, err)
	}
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho no model >&2\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := idleProgram(t.Context(), program); err == nil || !strings.Contains(err.Error(), "no model") {
		t.Errorf("got %v, want what the program said", err)
	}
}

func TestSlower(t *testing.T) {
	f := slower(&Case{Name: "x"}, Row{Best: 10, Median: 8}, Row{Best: 60, Median: 40}, 0)
	if *f.Value != 5 || *f.Best != 6 {
		t.Errorf("%v times as long, %v at best, want 5 and 6", *f.Value, *f.Best)
	}
}

// TestToneIsASound: the file is what the encoder reads.
func TestToneIsASound(t *testing.T) {
	if b := tone(0.5); len(b) != 44+2*4000 {
		t.Errorf("%d bytes", len(b))
	}
}
