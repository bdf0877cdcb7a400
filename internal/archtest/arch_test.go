package archtest

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
)

const module = "consilium"

// A pkg is what the test knows of one folder of Go files.
type pkg struct {
	imports map[string]bool // packages of this module, of non-test files, as paths below the module
	outside map[string]bool // packages of other modules
	docs    []string
	files   []string
}

// load parses every Go file of the module, by the files themselves: no build tag hides one.
func load(t *testing.T) map[string]*pkg {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	packages := map[string]*pkg{}
	err = filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() {
			_, other := os.Stat(filepath.Join(file, "go.mod"))
			if file != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules" || other == nil) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") {
			return nil
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		p := packages[path.Dir(rel)]
		if p == nil {
			p = &pkg{imports: map[string]bool{}, outside: map[string]bool{}}
			packages[path.Dir(rel)] = p
		}
		p.files = append(p.files, rel)
		if strings.HasSuffix(file, "_test.go") {
			return nil
		}
		return p.read(file)
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range packages {
		if len(p.imports)+len(p.outside)+len(p.docs) == 0 && slices.IndexFunc(p.files, func(f string) bool { return !strings.HasSuffix(f, "_test.go") }) < 0 {
			delete(packages, name) // tests only
		}
	}
	return packages
}

func (p *pkg) read(file string) error {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return err
	}
	if parsed.Doc != nil && !ast.IsGenerated(parsed) {
		p.docs = append(p.docs, parsed.Doc.Text())
	}
	for _, spec := range parsed.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		switch inner, ok := strings.CutPrefix(name, module+"/"); {
		case name == module:
			p.imports["."] = true
		case ok:
			p.imports[inner] = true
		default:
			p.outside[name] = true
		}
	}
	return nil
}

// reach returns everything of the module that from imports, itself or through others.
func reach(packages map[string]*pkg, from string) map[string]bool {
	seen := map[string]bool{}
	var visit func(string)
	visit = func(name string) {
		p := packages[name]
		if p == nil {
			return
		}
		for imported := range p.imports {
			if !seen[imported] {
				seen[imported] = true
				visit(imported)
			}
		}
	}
	visit(from)
	return seen
}

// under reports whether a package is, or lies below, one of the folders.
func under(name string, folders ...string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool { return name == folder || strings.HasPrefix(name, folder+"/") })
}

func sorted(packages map[string]*pkg) []string {
	names := make([]string, 0, len(packages))
	for name := range packages {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// gatewaySide builds and tests without cgo and libtorch.
var gatewaySide = []string{".", "gateway", "migrations", "cmd/gateway", "cmd/fetch", "internal/analysis", "internal/pipeline", "internal/wire",
	"internal/cache", "internal/postgres", "internal/knowledge", "internal/blob", "internal/serve", "internal/weights", "internal/childproc", "internal/batch", "internal/media", "internal/dicom",
	"internal/chexpert", "internal/narrative", "internal/textmetric", "internal/reportdoc", "internal/reportpage", "internal/reportpdf", "internal/reportsr", "internal/fhir", "internal/jobs", "internal/importer"}

// services are the four programs that hold a model.
var services = []string{"services/text-encoder", "services/vision-encoder", "services/audio-encoder", "services/fusion"}

// rules says what a folder may not import, directly or through others.
var rules = []struct {
	who   []string
	never []string
	why   string
}{
	{who: gatewaySide, never: []string{"internal/tensor", "internal/layer", "internal/model", "services"}, why: "the gateway side builds without libtorch"},
	{who: []string{"internal/analysis"}, never: []string{"gateway", "internal", "services", "cmd", "migrations"}, why: "analysis imports the standard library only"},
	{who: []string{"internal/pipeline"}, never: []string{"internal/wire", "internal/cache", "internal/postgres", "gateway"}, why: "the pipeline sees interfaces"},
	{who: []string{"internal/wire", "internal/cache", "internal/media", "internal/batch"}, never: []string{"internal/postgres", "gateway", "internal/pipeline"}, why: "imports point from the nouns to the face"},
	{who: []string{"internal/reportdoc", "internal/reportpage", "internal/reportpdf", "internal/reportsr", "internal/fhir"}, never: []string{"gateway", "internal/postgres", "internal/pipeline"}, why: "a form of a report is made of what is stored"},
	{who: []string{"internal/dicom"}, never: []string{"internal/media"}, why: "media makes pictures of files, not the other way"},
	{who: []string{"internal/knowledge"}, never: []string{"internal/postgres", "internal/cache", "gateway"}, why: "knowledge sees interfaces"},
	{who: []string{"internal/jobs"}, never: []string{"internal/postgres", "internal/pipeline", "internal/wire", "gateway"}, why: "a job is nouns and an interface"},
	{who: []string{"internal/postgres"}, never: []string{"gateway"}, why: "imports point from the nouns to the face"},
	{who: []string{"internal/model", "internal/layer", "internal/tensor"}, never: []string{"internal/analysis", "services", "gateway"}, why: "a net knows tensors only"},
	{who: []string{"internal/tensor"}, never: []string{"internal/layer", "internal/model"}, why: "imports point from tensor to model"},
	{who: []string{"internal/layer"}, never: []string{"internal/model"}, why: "imports point from tensor to model"},
	{who: services, never: []string{"gateway", "internal/wire", "internal/postgres", "internal/cache", "internal/pipeline", "internal/serve", "internal/blob"}, why: "a service knows no HTTP and no database"},
}

func TestImportDirections(t *testing.T) {
	packages := load(t)
	for _, name := range sorted(packages) {
		reached := reach(packages, name)
		for _, rule := range rules {
			if !under(name, rule.who...) {
				continue
			}
			for imported := range reached {
				if under(imported, rule.never...) {
					t.Errorf("%s imports %s: %s", name, imported, rule.why)
				}
			}
		}
		for imported := range reached {
			if under(imported, "cmd") {
				t.Errorf("%s imports %s: nothing imports a program", name, imported)
			}
			if slices.ContainsFunc(services, func(s string) bool { return under(name, s) }) && under(imported, services...) && !sameService(name, imported) {
				t.Errorf("%s imports %s: no service imports another", name, imported)
			}
		}
	}
}

func sameService(a, b string) bool {
	return slices.ContainsFunc(services, func(s string) bool { return under(a, s) && under(b, s) })
}

// owners are the only folders that may import a module whose use is kept in one place.
var owners = map[string][]string{
	"github.com/sugarme/gotch":            {"internal/tensor"},
	"github.com/go-chi/chi":               {"gateway"},
	"codeberg.org/go-pdf/fpdf":            {"internal/reportpdf"},
	"github.com/disintegration/imaging":   {"internal/media", "internal/train"}, // the trainer draws its own variants
	"github.com/go-audio":                 {"internal/media"},
	"github.com/redis/go-redis":           {"internal/cache", "internal/childproc", "internal/allinone", "gateway", "cmd/gateway"},
	"github.com/jackc/pgx":                {"internal/postgres", "internal/childproc", "migrations", "gateway", "cmd"},
	"github.com/riverqueue/river":         {"internal/postgres"},
	"github.com/pressly/goose":            {"migrations", "internal/postgres"},
	"github.com/getkin/kin-openapi":       {"gateway"},
	"github.com/hashicorp/golang-lru":     {"internal/knowledge"},
	"github.com/neo4j/neo4j-go-driver":    {"internal/knowledge/neo4j"},
	"github.com/prometheus/client_golang": {"internal/serve", "internal/cache", "internal/batch", "internal/wire", "gateway"},
}

func TestModulesHaveOwners(t *testing.T) {
	packages := load(t)
	for _, name := range sorted(packages) {
		for imported := range packages[name].outside {
			first, _, _ := strings.Cut(imported, "/")
			if under(name, "internal/analysis") && strings.Contains(first, ".") {
				t.Errorf("%s imports %s: analysis imports the standard library only", name, imported)
			}
			for prefix, folders := range owners {
				if strings.HasPrefix(imported, prefix) && !under(name, folders...) {
					t.Errorf("%s imports %s, which belongs to %s", name, imported, strings.Join(folders, ", "))
				}
			}
			if under(name, services...) && (imported == "net/http" || imported == "database/sql") {
				t.Errorf("%s imports %s: a service knows no HTTP and no database", name, imported)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	packages := load(t)
	for _, name := range sorted(packages) {
		p := packages[name]
		if onlyGenerated(t, p) {
			continue
		}
		switch {
		case len(p.docs) == 0:
			t.Errorf("%s has no package comment", name)
		case len(p.docs) > 1:
			t.Errorf("%s has %d package comments, want one", name, len(p.docs))
		case under(name, "cmd") && !strings.HasPrefix(p.docs[0], "Command "+path.Base(name)+" "):
			t.Errorf("%s: the comment begins %q, want \"Command %s …\"", name, firstLine(p.docs[0]), path.Base(name))
		case !under(name, "cmd") && !strings.HasPrefix(p.docs[0], "Package "):
			t.Errorf("%s: the comment begins %q, want \"Package …\"", name, firstLine(p.docs[0]))
		}
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

func onlyGenerated(t *testing.T, p *pkg) bool {
	t.Helper()
	return !slices.ContainsFunc(p.files, func(file string) bool { return !isGenerated(t, file) })
}

func isGenerated(t *testing.T, file string) bool {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join("../..", file), nil, parser.PackageClauseOnly|parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return ast.IsGenerated(parsed)
}

// maxLines is the length from which a file holds more than one thought.
const maxLines = 500

func TestFilesAreShort(t *testing.T) {
	packages := load(t)
	for _, name := range sorted(packages) {
		for _, file := range packages[name].files {
			content, err := os.ReadFile(filepath.Join("../..", file))
			if err != nil {
				t.Fatal(err)
			}
			if lines := bytes.Count(content, []byte("\n")); lines > maxLines && !isGenerated(t, file) {
				t.Errorf("%s has %d lines, the limit is %d", file, lines, maxLines)
			}
		}
	}
}

// TestTheTestSees proves on a drawing of its own that a forbidden path is found through others.
func TestTheTestSees(t *testing.T) {
	packages := map[string]*pkg{
		"gateway":           {imports: map[string]bool{"internal/pipeline": true}},
		"internal/pipeline": {imports: map[string]bool{"internal/odd": true}},
		"internal/odd":      {imports: map[string]bool{"internal/tensor": true}},
	}
	if !reach(packages, "gateway")["internal/tensor"] {
		t.Error("a path through two packages was not found")
	}
	for folder := range load(t) {
		if strings.Contains("/"+folder+"/", "/helpers/") || slices.Contains([]string{"pkg", "common", "util", "utils", "types", "helpers", "handlers", "repository"}, path.Base(folder)) {
			t.Errorf("%s: a folder is named after what it is about", folder)
		}
	}
}
