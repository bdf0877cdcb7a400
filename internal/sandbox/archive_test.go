package sandbox

import (
	"archive/zip"
	"bytes"
	"hash/crc32"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

func zipOf(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f, err := w.Create(name)
		if err == nil {
			_, err = f.Write([]byte(files[name]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// bomb is half a megabyte that unpacks to half a gigabyte.
func bomb(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create("a/data/0")
	if err != nil {
		t.Fatal(err)
	}
	for zeros, n := make([]byte, 1<<20), 0; n < 512; n++ {
		if _, err := f.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// lying is an archive whose file declares fewer bytes than it holds.
func lying(t *testing.T) []byte {
	t.Helper()
	packed := zipOf(t, map[string]string{"a/data/0": strings.Repeat("0", 1<<20)})
	r, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := r.File[0].OpenRaw()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.CreateRaw(&zip.FileHeader{Name: "a/data/0", Method: zip.Deflate, CRC32: crc32.ChecksumIEEE([]byte("0000")),
		CompressedSize64: r.File[0].CompressedSize64, UncompressedSize64: 4})
	if err != nil {
		t.Fatal(err)
	}
	var content bytes.Buffer
	if _, err := content.ReadFrom(raw); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(content.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRepack(t *testing.T) {
	raw, err := os.ReadFile(testdata("nodule"))
	if err != nil {
		t.Fatal(err)
	}
	packed, err := repack(raw)
	if err != nil {
		t.Fatal(err)
	}
	r, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.File {
		if f.Method != zip.Store || strings.HasSuffix(f.Name, ".debug_pkl") || strings.Contains(f.Name, "serialization_id") {
			t.Errorf("%s, method %d", f.Name, f.Method)
		}
		if _, err := unpack(f, 1<<20); err != nil {
			t.Error(err)
		}
	}
	again, err := repack(packed)
	if err != nil || !bytes.Equal(again, packed) {
		t.Errorf("packed again it differs: %v", err)
	}
}

func TestBadArchives(t *testing.T) {
	whole := map[string]string{"a/data.pkl": "x", "a/constants.pkl": "x", "a/version": "3\n"}
	with := func(name, content string) []byte {
		files := maps.Clone(whole)
		files[name] = content
		return zipOf(t, files)
	}
	if _, err := repack(zipOf(t, whole)); err != nil {
		t.Fatal(err)
	}
	many := map[string]string{}
	for i := range maxEntries + 1 {
		many["a/data/"+strings.Repeat("1", 1+i%9)+string(rune('a'+i%26))+strings.Repeat("b", i/26%90)] = ""
	}
	for name, test := range map[string]struct {
		archive []byte
		says    string
	}{
		"two folders":     {with("b/version", "3"), "more than one folder"},
		"no folder":       {with("version", "3"), "outside of a folder"},
		"lies":            {lying(t), "data/0"},
		"cut":             {with("a/data/0", "x")[:100], "no archive"},
		"a long version":  {with("a/version", strings.Repeat("3", 100)), "too large"},
		"restores itself": {with("a/code/__torch__.py", "def __setstate__(self)"), "__setstate__"},
		"own classes":     {with("a/code/__torch__.py", "x : __torch__.torch.classes.quantized.Y"), "torch.classes"},
		"classes of type": {with("a/constants.pkl", "__torch__.torch\nclasses.X"), "torch.classes"},
	} {
		if _, err := repack(test.archive); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %q", name, err, test.says)
		}
	}
	// What libtorch does not need is left out, whatever its name.
	packed, err := repack(with("a/../../etc/passwd", "x"))
	if err != nil || bytes.Contains(packed, []byte("passwd")) {
		t.Errorf("a path that climbs: %v", err)
	}
}

func FuzzRepack(f *testing.F) {
	raw, err := os.ReadFile(testdata("nodule"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(raw[:len(raw)/2])
	f.Add([]byte("PK\x03\x04"))
	f.Fuzz(func(_ *testing.T, data []byte) { _, _ = repack(data) })
}
