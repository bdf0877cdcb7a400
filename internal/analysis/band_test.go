package analysis

import "testing"

func TestBands(t *testing.T) {
	for _, c := range []struct {
		p    float64
		want Band
	}{{0, Low}, {0.7, Low}, {0.7001, FollowUp}, {0.95, FollowUp}, {0.951, High}, {1, High}} {
		findings := []Finding{{Probability: c.p}}
		if DefaultBands.Mark(findings); findings[0].Band != c.want {
			t.Errorf("%v is in band %s, want %s", c.p, findings[0].Band, c.want)
		}
	}
	for text, want := range map[string]Bands{"0.9,0.5": {0.9, 0.5}, " 1 , 0 ": {1, 0}, "0.6,0.6": {0.6, 0.6}} {
		var b Bands
		if err := b.UnmarshalText([]byte(text)); err != nil || b != want {
			t.Errorf("%q is %v, %v", text, b, err)
		}
	}
	for _, text := range []string{"", "0.9", "0.5,0.9", "1.1,0.5", "0.9,-0.1", "NaN,0.1", "0.9,NaN", "a,b", "0.9,0.5,0.1"} {
		var b Bands
		if err := b.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken for %v", text, b)
		}
	}
}
