package wordpiece

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"consilium/internal/weights"
	"golang.org/x/text/unicode/norm"
)

// vocabulary returns the pieces of all-MiniLM-L6-v2.
func vocabulary(t testing.TB) []byte {
	t.Helper()
	path, err := weights.Path("minilm/vocab.txt")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func tokenizer(t testing.TB) *Tokenizer {
	t.Helper()
	tok, err := New(vocabulary(t))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// golden is what testdata/make_golden.py wrote.
type golden struct {
	Strings []struct {
		Text []byte  `json:"text"`
		IDs  []int32 `json:"ids"`
	} `json:"strings"`
	Block  int      `json:"block"`
	Blocks []string `json:"blocks"`
}

func readGolden(t testing.TB) (g golden) {
	t.Helper()
	f, err := os.Open("testdata/golden.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(z).Decode(&g); err != nil {
		t.Fatal(err)
	}
	return g
}

func TestIDsEqualTheReference(t *testing.T) {
	tok, g := tokenizer(t), readGolden(t)
	if len(g.Strings) != 2000 {
		t.Fatalf("the golden holds %d strings, want 2000", len(g.Strings))
	}
	for i, s := range g.Strings {
		if got := tok.Append(nil, string(s.Text)); !slices.Equal(got, s.IDs) {
			t.Errorf("string %d, %.80q: got %v, want %v", i, s.Text, got, s.IDs)
		}
	}
}

func TestEveryCodePointEqualsTheReference(t *testing.T) {
	tok, g := tokenizer(t), readGolden(t)
	var ids []int32
	for block, want := range g.Blocks {
		h := sha256.New()
		var packed []byte
		for c := block * g.Block; c < (block+1)*g.Block; c++ {
			if !utf8.ValidRune(rune(c)) {
				continue
			}
			r := string(rune(c))
			ids = tok.Append(ids[:0], r+" a"+r+"b "+r+"\u0301c")
			packed = binary.LittleEndian.AppendUint16(packed, uint16(len(ids)))
			for _, id := range ids {
				packed = binary.LittleEndian.AppendUint16(packed, uint16(id))
			}
		}
		h.Write(packed)
		if got := hex.EncodeToString(h.Sum(nil))[:16]; got != want {
			t.Errorf("code points %#x to %#x: digest %s, want %s", block*g.Block, (block+1)*g.Block-1, got, want)
		}
	}
}

// TestNoPieceHoldsAReorderedMark guards the reason why Append needs no canonical ordering.
func TestNoPieceHoldsAReorderedMark(t *testing.T) {
	for _, r := range string(vocabulary(t)) {
		if norm.NFD.PropertiesString(string(r)).CCC() != 0 {
			t.Errorf("the vocabulary holds %U, whose place among other marks matters", r)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	const good = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n##a\na\n"
	if _, err := New([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ vocabulary, want string }{
		"empty":     {"", "line 1"},
		"gap":       {good + "\nb\n", "line 8"},
		"twice":     {good + "a\n", "lines 7 and 8"},
		"not UTF-8": {good + "\xff\n", "line 8"},
		"special":   {strings.Replace(good, "[SEP]", "x", 1), "[SEP]"},
		"no inner":  {strings.Replace(good, "##a", "b", 1), "##"},
		"too long":  {strings.Repeat("\n", maxVocabulary+2), "1048576"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := New([]byte(c.vocabulary)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error that names %s", err, c.want)
			}
		})
	}
}

func TestAppendFromManyGoroutines(t *testing.T) {
	tok, g := tokenizer(t), readGolden(t)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			var ids []int32
			for _, s := range g.Strings[:300] {
				if ids = tok.Append(ids[:0], string(s.Text)); !slices.Equal(ids, s.IDs) {
					t.Errorf("%.80q: got %v, want %v", s.Text, ids, s.IDs)
				}
			}
		})
	}
	wg.Wait()
}

func TestAppendAllocatesNothing(t *testing.T) {
	tok := tokenizer(t)
	ids := make([]int32, 0, 1024)
	text := "Naïve patients: 38.5 °C, 肺炎 ḗ 한국어 [MASK] " + strings.Repeat("x", 500)
	if n := testing.AllocsPerRun(100, func() { ids = tok.Append(ids[:0], text) }); n != 0 {
		t.Errorf("%v allocations a call, want none", n)
	}
}

func FuzzAppend(f *testing.F) {
	tok := tokenizer(f)
	for _, s := range readGolden(f).Strings[:200] {
		f.Add(string(s.Text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		ids := tok.Append([]int32{-7}, text)
		if ids[0] != -7 || len(ids)-1 > len(text) {
			t.Fatalf("%d ids for %d bytes", len(ids)-1, len(text))
		}
		for _, id := range ids[1:] {
			if id < 0 || int(id) >= tok.Len() {
				t.Fatalf("id %d outside the vocabulary of %d", id, tok.Len())
			}
		}
		again := tok.Append(nil, strings.ToValidUTF8(text, "\ufffd"))
		if !slices.Equal(again, ids[1:]) {
			t.Fatalf("%q: %v, with the bad bytes replaced %v", text, ids[1:], again)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	tok := tokenizer(b)
	const short = "The chest radiograph shows left lower lobe consolidation with a small pleural effusion."
	for name, text := range map[string]string{
		"16 tokens":  short,
		"256 tokens": strings.Repeat(short+" ", 16),
		"accents":    "Đường phố Nguyễn, café naïve, Übermaß, Ёлка України.",
		"Chinese":    "胸部X光片显示左下肺叶实变，伴有少量胸腔积液。",
	} {
		b.Run(name+" x 1000", func(b *testing.B) {
			b.ReportAllocs()
			ids := make([]int32, 0, 1024)
			for b.Loop() {
				for range 1000 {
					ids = tok.Append(ids[:0], text)
				}
			}
		})
	}
}
