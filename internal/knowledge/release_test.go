package knowledge

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const smallTable = "id\tlabel\tsubClassOf\n" +
	"\"DOID:7\"\t\"disease of anatomical entity\"\t\"disease\"\n" +
	"\"DOID:850\"\t\"lung disease\"\t\"disease of anatomical entity\"\n" +
	"\"DOID:552\"\t\"pneumonia\"\t\"lung disease\"\n" +
	"\"DOID:0050117\"\t\"disease by infectious agent\"\t\"disease\"\n" +
	"\"DOID:874\"\t\"bacterial pneumonia\"\t\"pneumonia\"\n" +
	"\"DOID:874\"\t\"bacterial pneumonia\"\t\"disease by infectious agent\"\n" +
	"\"DOID:162\"\t\"cancer\"\t\"disease\"\n"

const smallOBO = "format-version: 1.2\ndata-version: doid/releases/2026-07-31/subsets/DO_RAD_slim.obo\n\n" +
	"[Term]\nid: DOID:552\nname: pneumonia\ndef: \"A lung disease, \\\"inflamed\\\".\" [url:x]\nsynonym: \"acute pneumonia\" EXACT []\nis_a: DOID:850 ! lung disease\n\n" +
	"[Term]\nid: DOID:0060072\nname: benign neoplasm\nis_a: DOID:4 ! disease\nis_a: DOID:99 ! not here\ndisjoint_from: DOID:162 ! cancer\n\n" +
	"[Term]\nid: DOID:1\nname: old\nis_obsolete: true\n\n" +
	"[Typedef]\nid: part_of\nname: part of\n"

// folder writes files and returns where they are.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestReadFolder(t *testing.T) {
	dir := folder(t, map[string]string{"HumanDO.tsv": smallTable, "slim.obo": smallOBO,
		"chexpert_mentions/pneumonia.txt": "pneumonia\ninfection", "chexpert_mentions/enlarged_cardiomediastinum.txt": "_mediastinum\n"})
	r, err := ReadFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	terms := map[string]Term{}
	for _, term := range r.Terms {
		terms[term.ID] = term
	}
	if got := terms["DOID:552"]; got.Definition != `A lung disease, "inflamed".` || !slices.Equal(got.Synonyms, []string{"acute pneumonia"}) || got.Kind != Disease {
		t.Errorf("pneumonia is %+v", got)
	}
	if got := terms["FINDING:pneumonia"]; !slices.Equal(got.Phrases, []string{"infection", "pneumonia"}) || got.Kind != Finding {
		t.Errorf("the finding pneumonia is %+v", got)
	}
	if got := terms["FINDING:enlarged_cardiomediastinum"].Phrases; !slices.Equal(got, []string{"mediastinum"}) {
		t.Errorf("phrases of the mediastinum are %q", got)
	}
	if _, ok := terms["DOID:1"]; ok {
		t.Error("an obsolete term was read")
	}
	has := func(list []Fact, want string) bool {
		return slices.ContainsFunc(list, func(f Fact) bool { return strings.HasPrefix(f.String(), want+" (") })
	}
	for _, want := range []string{"DOID:874 is_a DOID:552", "DOID:874 is_a DOID:0050117", "DOID:7 is_a DOID:4", "DOID:0060072 disjoint_with DOID:162",
		"FINDING:pneumonia is_a FINDING:consolidation", "FINDING:pneumonia same_as DOID:552", "FINDING:abnormality disjoint_with FINDING:no_finding"} {
		if !has(r.Edges, want) {
			t.Errorf("the edge %s is missing", want)
		}
	}
	if !has(r.LeftOut, "DOID:0060072 is_a DOID:99") {
		t.Error("an edge to nowhere is not listed")
	}
	if !strings.Contains(r.Title, "2026-07-31") {
		t.Errorf("the title is %q", r.Title)
	}
	again, err := ReadFolder(dir)
	if err != nil || again.Digest != r.Digest {
		t.Errorf("the digest is %s, then %s (%v)", r.Digest, again.Digest, err)
	}
}

func TestReadFolderRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"no table":       {nil, "HumanDO.tsv"},
		"columns":        {map[string]string{"HumanDO.tsv": "a\tb\tc\n"}, "want the columns"},
		"id":             {map[string]string{"HumanDO.tsv": "id\tlabel\tsubClassOf\nx\ty\tdisease\n"}, "line 2: want an id"},
		"no name":        {map[string]string{"HumanDO.tsv": "id\tlabel\tsubClassOf\nDOID:9\t\tdisease\n"}, "want a name"},
		"parent":         {map[string]string{"HumanDO.tsv": "id\tlabel\tsubClassOf\nDOID:9\tnine\tten\n"}, `kind of "ten"`},
		"label twice":    {map[string]string{"HumanDO.tsv": "id\tlabel\tsubClassOf\nDOID:9\tnine\tdisease\nDOID:10\tnine\tdisease\n"}, "the label of"},
		"circle":         {map[string]string{"HumanDO.tsv": "id\tlabel\tsubClassOf\nDOID:9\tnine\tten\nDOID:10\tten\tnine\n"}, "circle"},
		"obo quotes":     {map[string]string{"HumanDO.tsv": smallTable, "x.obo": "[Term]\nid: DOID:9\nname: n\ndef: \"open\n"}, "does not end"},
		"obo name":       {map[string]string{"HumanDO.tsv": smallTable, "x.obo": "[Term]\nid: DOID:9\n"}, "want a name"},
		"obo parent":     {map[string]string{"HumanDO.tsv": smallTable, "x.obo": "[Term]\nid: DOID:9\nname: n\nis_a: 4\n"}, "want an id"},
		"obo long line":  {map[string]string{"HumanDO.tsv": smallTable, "x.obo": strings.Repeat("x", 2<<20)}, "too long"},
		"fields":         {map[string]string{"HumanDO.tsv": "id\tlabel\tsubClassOf\nDOID:9\tnine\n"}, "wrong number of fields"},
		"obo own parent": {map[string]string{"HumanDO.tsv": smallTable, "x.obo": "[Term]\nid: DOID:9\nname: n\nis_a: DOID:9\n"}, "circle"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ReadFolder(folder(t, test.files)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want %q in it", err, test.want)
			}
		})
	}
}

// TestWholeOntology reads the published files: every finding maps to terms that exist.
func TestWholeOntology(t *testing.T) {
	data := os.Getenv("CONSILIUM_DATA")
	if data == "" {
		t.Skip("CONSILIUM_DATA is not set")
	}
	r, err := ReadFolder(filepath.Join(data, "kg"))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d terms, %d edges, %d left out, digest %s", r.Title, len(r.Terms), len(r.Edges), len(r.LeftOut), r.Digest)
	if len(r.Terms) < 12000 || len(r.Edges) < 12000 {
		t.Errorf("%d terms and %d edges", len(r.Terms), len(r.Edges))
	}
	for _, f := range r.LeftOut {
		t.Errorf("%s leads to a term that is not there", &f)
	}
}

func TestTermOf(t *testing.T) {
	for label, want := range map[string]string{"Effusion": "FINDING:pleural_effusion", "Pleural Effusion": "FINDING:pleural_effusion", "Pleural_Thickening": "FINDING:pleural_thickening",
		"No Finding": "FINDING:no_finding", "left hand": "", "": ""} {
		if id, ok := TermOf(label); id != want || ok != (want != "") {
			t.Errorf("the term of %q is %q, %v; want %q", label, id, ok, want)
		}
	}
}
