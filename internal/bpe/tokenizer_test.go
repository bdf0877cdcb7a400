package bpe_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"consilium/internal/bpe"
	"consilium/internal/gguf"
	"consilium/internal/weights"
)

// bytesOnly is a vocabulary of the 256 bytes, as printable characters, and then more.
func bytesOnly(more ...string) []string {
	var tokens []string
	next := rune(0x100)
	for b := range rune(256) {
		r := b
		if b < '!' || b > '~' && b < 0xa1 || b == 0xad {
			r = next
			next++
		}
		tokens = append(tokens, string(r))
	}
	return append(tokens, more...)
}

func TestEncode(t *testing.T) {
	tok, err := bpe.New(bytesOnly("he", "lo", "hel", "hello", "Ġhe", "<|end|>"), []string{"h e", "l o", "he l", "hel lo", "Ġ he"})
	if err != nil {
		t.Fatal(err)
	}
	const he, lo, hel, hello, spaceHe, end = 256, 257, 258, 259, 260, 261
	for _, c := range []struct {
		text string
		want []int
	}{
		{"", nil},
		{"hello", []int{hello}},
		{"hel", []int{hel}},
		{" he", []int{spaceHe}}, // of two merges the earlier one goes first
		{"he he", []int{he, spaceHe}},
		{"1he", []int{'1', he}},
		{"<|end|>", []int{'<', '|', 'e', 'n', 'd', '|', '>'}}, // a control token cannot be written
		{"\xff\x00", []int{0xff, 0}},
	} {
		if got := tok.Encode(c.text); !slices.Equal(got, c.want) {
			t.Errorf("%q is %v, want %v", c.text, got, c.want)
		}
		if got := tok.Decode(c.want); got != c.text {
			t.Errorf("%v is %q, want %q", c.want, got, c.text)
		}
	}
	if got := tok.Decode([]int{-1, end, 999, lo}); got != "<|end|>lo" {
		t.Errorf("control and unknown ids are %q", got)
	}
	if id, ok := tok.ID("<|end|>"); !ok || id != end || tok.Size() != 262 {
		t.Errorf("the control token is %d, %v of %d", id, ok, tok.Size())
	}
}

func TestAByteWithoutATokenIsLeftOut(t *testing.T) {
	tok, err := bpe.New([]string{"a", "b", "ab"}, []string{"a b"})
	if err != nil {
		t.Fatal(err)
	}
	if got := tok.Encode("axb"); !slices.Equal(got, []int{2}) {
		t.Errorf("found %v", got)
	}
}

func TestVocabulariesThatAreWrong(t *testing.T) {
	for _, c := range []struct {
		name           string
		tokens, merges []string
		says           string
	}{
		{"twice", bytesOnly("he", "he"), nil, `"he"`},
		{"a merge of one", bytesOnly("he"), []string{"he"}, `"he"`},
		{"a merge of nothing known", bytesOnly("he"), []string{"h x"}, `"h x"`},
	} {
		if _, err := bpe.New(c.tokens, c.merges); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// published returns the tokenizer of the published file.
func published(t *testing.T) *bpe.Tokenizer {
	t.Helper()
	path, err := weights.Path("smollm2.gguf")
	if err != nil {
		t.Skip(err)
	}
	f, err := gguf.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := f.Strings("tokenizer.ggml.tokens")
	if err != nil {
		t.Fatal(err)
	}
	merges, err := f.Strings("tokenizer.ggml.merges")
	if err != nil {
		t.Fatal(err)
	}
	tok, err := bpe.New(tokens, merges)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// TestGolden compares with PyPI tokenizers; testdata/make_golden.py wrote the file.
func TestGolden(t *testing.T) {
	b, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden []struct {
		Text string
		IDs  []int
	}
	if err := json.Unmarshal(b, &golden); err != nil {
		t.Fatal(err)
	}
	tok := published(t)
	for _, g := range golden {
		if got := tok.Encode(g.Text); !slices.Equal(got, g.IDs) {
			t.Errorf("%q is %v, want %v", g.Text, got, g.IDs)
		}
		if got := tok.Decode(g.IDs); got != strings.ReplaceAll(g.Text, "\x04", "") { // no token has this byte
			t.Errorf("%v is %q, want %q", g.IDs, got, g.Text)
		}
	}
}

func FuzzRoundTrip(f *testing.F) {
	tok, err := bpe.New(bytesOnly("he", "lo", "hel", "Ġhe"), []string{"h e", "l o", "he l", "Ġ he"})
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"hello he", " 'll 12 \xff\n\n x", "½é心"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got := tok.Decode(tok.Encode(text)); got != text {
			t.Errorf("%q comes back as %q", text, got)
		}
	})
}
