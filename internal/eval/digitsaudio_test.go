package eval

import (
	"context"
	"os"
	"strings"
	"testing"

	"consilium/internal/weights"
)

// The figures of the model card, less what another processor's rounding may turn over.
func TestDigitsAudio(t *testing.T) {
	e := Env{Data: os.Getenv("CONSILIUM_DATA"), Out: &strings.Builder{}}
	if _, err := weights.Path("asterisk-digits"); err != nil && e.Data == "" {
		t.Skipf("CONSILIUM_DATA is not set, and %v", err)
	}
	figures, err := digitsAudio(context.Background(), e)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range figures {
		t.Logf("%s %.4f of %d", f.Metric, f.Value, f.N)
		least := map[string]float64{"accuracy": 0.97, "accuracy-unseen-speaker": 0.85, "accuracy-unseen-device": 0.8}[f.Metric]
		if f.Name != "digits-audio" || least == 0 || f.Value < least || f.Floor != 0.1 {
			t.Errorf("figure %+v, want at least %v over a floor of 0.1", f, least)
		}
	}
	if e.Data != "" && len(figures) < 2 {
		t.Errorf("%d figures with the data folder, want at least 2", len(figures))
	}
}
