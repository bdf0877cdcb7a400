package sandbox

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"consilium/internal/analysis"
)

// rewritten is a small model with other source.
func rewritten(t *testing.T, source string) []byte {
	t.Helper()
	raw, err := os.ReadFile(testdata("nobatch"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range r.File {
		content, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(content)
		if err != nil {
			t.Fatal(err)
		}
		if files[f.Name] = string(b); strings.HasSuffix(f.Name, "/__torch__.py") {
			files[f.Name] = source
		}
	}
	return zipOf(t, files)
}

const head = "class NoBatch(Module):\n  __parameters__ = []\n  __buffers__ = []\n  training : bool\n  _is_full_backward_hook : Optional[bool]\n" +
	"  def forward(self: __torch__.NoBatch,\n    x: Tensor) -> Tensor:\n"

// Source that was written to hurt the compiler, or to get round the list of operators, costs the child at most.
func TestHostileSource(t *testing.T) {
	for name, test := range map[string]struct{ source, says string }{
		"nothing":             {"", "cannot be loaded"},
		"garbage":             {"\x00\x01\x02", "cannot be loaded"},
		"nested deep":         {head + "    return " + strings.Repeat("(", 200000) + "x" + strings.Repeat(")", 200000) + "\n", "ended its process"},
		"a file as a method":  {head + "    y = (\"/etc/passwd\").from_file(False, 16)\n    return y\n", ""},
		"a file by ops":       {head + "    return ops.aten.from_file(\"/etc/passwd\", False, 16)\n", ""},
		"a file in a branch":  {head + "    if torch.gt(torch.len(x), 5):\n      y = torch.from_file(\"/etc/passwd\", False, 16)\n    else:\n      y = x\n    return y\n", "aten::from_file"},
		"another namespace":   {head + "    return ops.quantized.relu6(x)\n", "quantized::relu6"},
		"past the storage":    {head + "    return torch.as_strided(x, [1, 3], [1, 1 << 40])\n", ""},
		"restores itself":     {strings.Replace(head, "forward", "__setstate__", 1) + "    return x\n", "__setstate__"},
		"no forward":          {strings.Replace(head, "forward", "backward", 1) + "    return x\n", "no forward"},
		"forward takes three": {strings.Replace(head, "x: Tensor", "x: Tensor, y: Tensor, z: Tensor", 1) + "    return x\n", "3 arguments"},
		"recursion":           {head + "    return (self).forward(x, )\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Start(t.Context(), nodule, open(t, write(t, rewritten(t, test.source))))
			if err == nil {
				p.Close()
				t.Fatal("it passed")
			}
			if analysis.CodeOf(err) != analysis.InvalidArgument || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want %q", err, test.says)
			}
			t.Logf("%.300s", err)
		})
	}
}
