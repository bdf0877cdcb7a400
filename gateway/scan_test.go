package gateway

import "testing"

func TestHalved(t *testing.T) {
	for _, test := range []struct {
		literal string
		want    bool
	}{
		{`""`, false},
		{`"plain \n \\ \" \u0041"`, false},
		{`"\ud83d\ude00"`, false},
		{`"\uD83D\uDE00 and \ud83d\ude00"`, false},
		{`"\\ud83d"`, false}, // a backslash, and then letters
		{`"\\\ud83d"`, true},
		{`"\ud83d"`, true},
		{`"\ude00"`, true},
		{`"\ude00\ud83d"`, true},
		{`"\ud83d\ud83d\ude00"`, true},
		{`"\ud83d \ude00"`, true},
		{`"\ud83d\n"`, true},
		{`"\ud83d\u0041"`, true},
		{`"😀"`, false},
	} {
		if got := halved([]byte(test.literal)); got != test.want {
			t.Errorf("%s: %v", test.literal, got)
		}
	}
}
