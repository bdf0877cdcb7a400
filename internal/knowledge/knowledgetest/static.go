// Package knowledgetest tests implementations of the static layer against its contract.
package knowledgetest

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"consilium/internal/knowledge"
)

// Release makes a small release: kinds of pneumonia under disease, and the findings of radiographs. more are further rows of
// id, label and parent.
func Release(t testing.TB, more ...string) *knowledge.Release {
	t.Helper()
	rows := []string{"id\tlabel\tsubClassOf",
		"DOID:7\tdisease of anatomical entity\tdisease", "DOID:850\tlung disease\tdisease of anatomical entity",
		"DOID:114\theart disease\tdisease of anatomical entity", "DOID:552\tpneumonia\tlung disease",
		"DOID:0050117\tdisease by infectious agent\tdisease", "DOID:874\tbacterial pneumonia\tpneumonia",
		"DOID:874\tbacterial pneumonia\tdisease by infectious agent", "DOID:0040084\tStreptococcus pneumonia\tbacterial pneumonia",
		"DOID:1673\tpneumothorax\tlung disease", "DOID:162\tcancer\tdisease", "DOID:50\tpneumonia, 100% _odd_ \\ name\tdisease"}
	obo := "[Term]\nid: DOID:552\nname: pneumonia\ndef: \"An inflamed lung.\" []\nsynonym: \"Acute  Pneumonia\" EXACT []\n\n" +
		"[Term]\nid: DOID:0060072\nname: benign neoplasm\nis_a: DOID:4 ! disease\ndisjoint_from: DOID:162 ! cancer\n"
	dir := t.TempDir()
	for name, content := range map[string]string{"HumanDO.tsv": strings.Join(append(rows, more...), "\n") + "\n", "slim.obo": obo, "chexpert_mentions/pneumonia.txt": "infection\n"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r, err := knowledge.ReadFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Static tests a store of the static layer; open returns an empty one.
func Static(t *testing.T, open func(t *testing.T) knowledge.Static) {
	first, second := Release(t), Release(t, "DOID:60\tnew disease\tdisease")
	loaded := func(t *testing.T) knowledge.Static {
		t.Helper()
		s := open(t)
		if err := s.Load(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		return s
	}

	t.Run("releases", func(t *testing.T) {
		s := loaded(t)
		if err := s.Ready(t.Context()); err != nil {
			t.Error(err)
		}
		has := func(want ...bool) {
			t.Helper()
			for i, r := range []*knowledge.Release{first, second} {
				if got, err := s.Has(t.Context(), r.Digest); err != nil || got != want[i] {
					t.Errorf("has release %d: %v, %v, want %v", i, got, err, want[i])
				}
			}
		}
		has(true, false)
		for _, r := range []*knowledge.Release{first, second} {
			if err := s.Load(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		has(true, true)
		for i, want := range []int{0, 1} {
			terms, err := s.Terms(t.Context(), []string{first.Digest, second.Digest}[i], []string{"DOID:60"})
			if err != nil || len(terms) != want {
				t.Errorf("release %d has %d terms of the second, %v", i, len(terms), err)
			}
		}
		if err := s.Keep(t.Context(), []string{second.Digest}); err != nil {
			t.Fatal(err)
		}
		has(false, true)
		if terms, err := s.Terms(t.Context(), first.Digest, []string{"DOID:552"}); err != nil || len(terms) != 0 {
			t.Errorf("a deleted release has %d terms, %v", len(terms), err)
		}
	})

	t.Run("terms", func(t *testing.T) {
		s := loaded(t)
		terms, err := s.Terms(t.Context(), first.Digest, []string{"FINDING:pneumonia", "DOID:552", "DOID:999", "DOID:552"})
		if err != nil || len(terms) != 2 {
			t.Fatalf("found %+v, %v", terms, err)
		}
		for i, id := range []string{"DOID:552", "FINDING:pneumonia"} {
			want := first.Terms[slices.IndexFunc(first.Terms, func(t knowledge.Term) bool { return t.ID == id })]
			if got := terms[i]; !equalTerms(got, want) {
				t.Errorf("%s is %+v, want %+v", id, got, want)
			}
		}
		if terms, err := s.Terms(t.Context(), first.Digest, nil); err != nil || len(terms) != 0 {
			t.Errorf("nothing finds %d terms, %v", len(terms), err)
		}
	})

	t.Run("find", func(t *testing.T) {
		s := loaded(t)
		for key, want := range map[string]string{
			"pneumonia":       "[DOID:552 FINDING:pneumonia DOID:50]",
			"pneumo":          "[DOID:552 FINDING:pneumonia DOID:1673 FINDING:pneumothorax DOID:50]",
			"acute pneumonia": "[DOID:552]",
			"infection":       "[FINDING:pneumonia]",
			"strep":           "[DOID:0040084]",
			"%":               "[]",
			"pneumonia, 100%": "[DOID:50]",
			"neumonia":        "[]",
			"no such thing":   "[]",
		} {
			terms, err := s.Find(t.Context(), first.Digest, key, 10)
			if err != nil {
				t.Fatal(err)
			}
			ids := []string{}
			for _, term := range terms {
				ids = append(ids, term.ID)
			}
			if got := fmt.Sprint(ids); got != want {
				t.Errorf("%q finds %s, want %s", key, got, want)
			}
		}
		if terms, err := s.Find(t.Context(), first.Digest, "pneumo", 2); err != nil || len(terms) != 2 {
			t.Errorf("at most 2 are %d, %v", len(terms), err)
		}
	})

	t.Run("edges", func(t *testing.T) {
		s := loaded(t)
		isA := []knowledge.Relation{knowledge.IsA}
		for _, test := range []struct {
			ids       []string
			along     knowledge.Direction
			relations []knowledge.Relation
			limit     int
			want      string
		}{
			{[]string{"DOID:874"}, knowledge.Up, isA, 10, "874 is_a 0050117, 874 is_a 552"},
			{[]string{"DOID:552"}, knowledge.Down, isA, 10, "874 is_a 552"},
			{[]string{"DOID:552"}, knowledge.Both, isA, 10, "552 is_a 850, 874 is_a 552"},
			{[]string{"DOID:552", "DOID:874"}, knowledge.Both, isA, 10, "0040084 is_a 874, 552 is_a 850, 874 is_a 0050117, 874 is_a 552"},
			{[]string{"DOID:552", "DOID:874"}, knowledge.Both, isA, 2, "0040084 is_a 874, 552 is_a 850"},
			{[]string{"DOID:552"}, knowledge.Both, []knowledge.Relation{knowledge.SameAs}, 10, "FINDING:pneumonia same_as 552"},
			{[]string{"DOID:162"}, knowledge.Both, []knowledge.Relation{knowledge.DisjointWith}, 10, "0060072 disjoint_with 162"},
			{[]string{"DOID:162"}, knowledge.Up, []knowledge.Relation{knowledge.DisjointWith}, 10, ""},
			{[]string{"DOID:999"}, knowledge.Both, knowledge.Relations, 10, ""},
			{nil, knowledge.Both, knowledge.Relations, 10, ""},
			{[]string{"DOID:552"}, knowledge.Both, nil, 10, ""},
		} {
			edges, err := s.Edges(t.Context(), first.Digest, test.ids, test.along, test.relations, test.limit)
			if err != nil {
				t.Fatal(err)
			}
			var list []string
			for _, e := range edges {
				if e.Source == "" || !e.Static() {
					t.Errorf("the edge %+v has no source", e)
				}
				list = append(list, strings.ReplaceAll(fmt.Sprintf("%s %s %s", e.Subject, e.Relation, e.Object), "DOID:", ""))
			}
			if got := strings.Join(list, ", "); got != test.want {
				t.Errorf("%v along %d by %v: %q, want %q", test.ids, test.along, test.relations, got, test.want)
			}
		}
	})
}

// equalTerms compares terms; no list is the same as an empty one.
func equalTerms(a, b knowledge.Term) bool {
	return slices.Equal(a.Synonyms, b.Synonyms) && slices.Equal(a.Phrases, b.Phrases) &&
		reflect.DeepEqual([]string{a.ID, string(a.Kind), a.Name, a.Definition, a.Source}, []string{b.ID, string(b.Kind), b.Name, b.Definition, b.Source})
}
