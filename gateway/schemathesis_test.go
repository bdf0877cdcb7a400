package gateway

import (
	_ "embed"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"consilium/internal/wire/conform"
)

var (
	//go:embed testdata/schemathesis_requirements.txt
	fuzzerRequirements string
	//go:embed testdata/schemathesis.toml
	fuzzerConfig string
	//go:embed testdata/schemathesis_hooks.py
	fuzzerHooks string
)

// TestSchemathesis has PyPI's schemathesis make requests of openapi.yaml, good and bad, alone and in sequences, and make all of
// its checks on the answers. Most requests name what is there.
func TestSchemathesis(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	folder := conform.Python(t, "schemathesis", "4.32.5", fuzzerRequirements)
	f := whole(t)
	config, parameters := fuzzerConfig, f.known()
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		config += fmt.Sprintf("[dictionaries.%s]\nvalues = [%s]\n", name, strings.Join(parameters[name], ", "))
	}
	config = strings.Replace(config, "\n[[operations]]", "\n[parameters]\n"+bindings(parameters)+"\n[[operations]]", 1)
	dir := t.TempDir()
	for name, content := range map[string]string{"schemathesis.toml": config, "schemathesis_hooks.py": fuzzerHooks} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.CommandContext(t.Context(), "python3", "-m", "schemathesis.cli", "--no-color", "run", f.url+"/openapi.yaml", "--checks", "all", "--seed", "1", "--max-examples", "10")
	command.Env = append(os.Environ(), "PYTHONPATH="+folder+":"+dir)
	command.Dir = dir
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("schemathesis: %v\n%s", err, out)
	}
}

// bindings says that a parameter comes from the list of its name more often than not.
func bindings(lists map[string][]string) (lines string) {
	for _, name := range slices.Sorted(maps.Keys(lists)) {
		if name != "doomed" {
			lines += fmt.Sprintf("%q = { dictionary = %q, probability = 0.7 }\n", "path."+name, name)
		}
	}
	return lines
}
