package wire

import (
	"math"
	"slices"
	"strings"
	"testing"
)

// Values that lie in several places are sent as, and held to the same as, those that lie in one.
func TestJoinedIsOneTensor(t *testing.T) {
	infinite := float32(math.Inf(1))
	for name, test := range map[string]struct {
		places [][]float32
		at     string // where what is not finite is said to be
	}{
		"one place":          {[][]float32{{1, 2, 3}}, ""},
		"two places":         {[][]float32{{1}, {2, 3}}, ""},
		"an empty one":       {[][]float32{{}, {1, 2}, {}}, ""},
		"infinite, first":    {[][]float32{{1, infinite}, {3}}, "position 1"},
		"infinite, further":  {[][]float32{{1, 2}, {3}, {4, infinite}}, "position 4"},
		"no number, further": {[][]float32{{1}, {float32(math.NaN())}}, "position 1"},
	} {
		whole := slices.Concat(test.places...)
		one, many := floats("x", whole, len(whole)), joined("x", test.places, len(whole))
		if got, want := slices.Concat(many.binary()...), slices.Concat(one.binary()...); !slices.Equal(got, want) || many.binarySize() != len(want) {
			t.Errorf("%s: %d bytes of which %d are announced, want the %d of one place", name, len(got), many.binarySize(), len(want))
		}
		err := many.checkFinite()
		if (err != nil) != (test.at != "") || err != nil && !strings.HasSuffix(err.Error(), test.at) {
			t.Errorf("%s: %v, want %q", name, err, test.at)
		}
		if err != nil {
			continue // JSON has no such number
		}
		got, gotErr := many.json()
		want, wantErr := one.json()
		if gotErr != nil || wantErr != nil || string(got) != string(want) {
			t.Errorf("%s: as JSON %s (%v), want %s (%v)", name, got, gotErr, want, wantErr)
		}
	}
}
