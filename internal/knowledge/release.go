package knowledge

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// What a folder may hold. The Disease Ontology has some 12,000 terms in 1 MB.
const (
	maxFileBytes    = 64 << 20
	maxFiles        = 100
	maxReleaseTerms = maxClosure
	maxReleaseEdges = 10 * maxReleaseTerms
	maxNameBytes    = 1000
	maxTextBytes    = 8000
)

// Release is one state of the static layer.
type Release struct {
	Digest string // the first 16 hex digits of the SHA-256 of all that follows
	Title  string
	Terms  []Term // sorted by id
	Edges  []Fact // sorted by subject, relation and object
	// LeftOut are the edges that lead to terms which the release lacks.
	LeftOut []Fact
}

// sourceDO is the source of what the ontology says.
const sourceDO = "Disease Ontology"

// rootDO is the one term that HumanDO.tsv names as a parent without a row of its own.
var rootDO = Term{ID: "DOID:4", Kind: Disease, Name: "disease", Source: sourceDO}

// ReadFolder reads a release: HumanDO.tsv, the Disease Ontology's table of id, label and subClassOf; every *.obo beside it,
// parts of the same ontology with definitions and synonyms; and chexpert_mentions/*.txt, the phrases of the
// CheXpert labeler by finding. The obo files and phrases may be missing.
func ReadFolder(dir string) (*Release, error) {
	b := newBuilder()
	table, err := readFile(filepath.Join(dir, "HumanDO.tsv"))
	if err != nil {
		return nil, err
	}
	if err := b.table(table); err != nil {
		return nil, fmt.Errorf("read HumanDO.tsv: %w", err)
	}
	parts, err := readFiles(dir, "*.obo")
	if err != nil {
		return nil, err
	}
	title := sourceDO
	for _, name := range slices.Sorted(keysOf(parts)) {
		version, err := b.obo(parts[name])
		if err != nil {
			return nil, fmt.Errorf("read %s.obo: %w", name, err)
		}
		if version != "" && !strings.Contains(title, version) {
			title += ", " + version
		}
	}
	phrases, err := readFiles(filepath.Join(dir, "chexpert_mentions"), "*.txt")
	if err != nil {
		return nil, err
	}
	if err := b.findings(phrases); err != nil {
		return nil, err
	}
	return b.release(title + "; the findings of radiographs")
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read knowledge: %w", err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Base(path), err)
	}
	if len(content) > maxFileBytes {
		return nil, fmt.Errorf("read %s: the limit is %d bytes, it has more", filepath.Base(path), maxFileBytes)
	}
	return content, nil
}

// readFiles reads what matches pattern in dir, by name without extension.
func readFiles(dir, pattern string) (map[string][]byte, error) {
	names, err := fs.Glob(os.DirFS(dir), pattern)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", pattern, err)
	}
	if len(names) > maxFiles {
		return nil, fmt.Errorf("list %s: the limit is %d files, there are %d", pattern, maxFiles, len(names))
	}
	files := map[string][]byte{}
	for _, name := range names {
		if files[strings.TrimSuffix(name, filepath.Ext(name))], err = readFile(filepath.Join(dir, name)); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// builder collects a release.
type builder struct {
	terms map[string]*Term
	edges map[triple]Fact
}

func newBuilder() *builder { return &builder{terms: map[string]*Term{}, edges: map[triple]Fact{}} }

// term adds a term, or what is new about one that is known.
func (b *builder) term(t Term) {
	known := b.terms[t.ID]
	if known == nil {
		b.terms[t.ID] = &t
		return
	}
	known.Definition = cmp.Or(known.Definition, t.Definition)
	known.Synonyms = append(known.Synonyms, t.Synonyms...)
	if t.Name != known.Name {
		known.Synonyms = append(known.Synonyms, t.Name)
	}
}

func (b *builder) edge(subject string, relation Relation, object, source string) {
	f := Fact{Subject: subject, Relation: relation, Object: object, Source: source}
	if relation == DisjointWith && subject > object {
		f.Subject, f.Object = object, subject
	}
	b.edges[f.triple()] = f
}

// table reads HumanDO.tsv. Parents are named by label; a term with two parents has two rows.
func (b *builder) table(content []byte) error {
	r := csv.NewReader(bytes.NewReader(content))
	r.Comma, r.FieldsPerRecord, r.ReuseRecord = '\t', 3, true
	if header, err := r.Read(); err != nil || !slices.Equal(header, []string{"id", "label", "subClassOf"}) {
		return errors.Join(fmt.Errorf("want the columns id, label and subClassOf, found %q", header), err)
	}
	b.term(rootDO)
	byLabel := map[string]string{rootDO.Name: rootDO.ID}
	parents := map[[2]string]bool{} // of id and the parent's label
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		id, label, parent := row[0], row[1], row[2]
		line, _ := r.FieldPos(0)
		if err := checkTerm(id, label); err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
		if other, ok := byLabel[label]; ok && other != id {
			return fmt.Errorf("line %d: %q is the label of %s and of %s", line, label, other, id)
		}
		byLabel[label] = id
		b.term(Term{ID: id, Kind: Disease, Name: label, Source: sourceDO})
		parents[[2]string{id, parent}] = parent != ""
		if len(b.terms) > maxReleaseTerms || len(parents) > maxReleaseEdges {
			return fmt.Errorf("line %d: the limit is %d terms and %d edges, there are more", line, maxReleaseTerms, maxReleaseEdges)
		}
	}
	for p, there := range parents {
		if parent, ok := byLabel[p[1]]; ok {
			b.edge(p[0], IsA, parent, sourceDO)
		} else if there {
			return fmt.Errorf("%s is a kind of %q, which no row is about", p[0], p[1])
		}
	}
	return nil
}

func checkTerm(id, name string) error {
	if !TermID.MatchString(id) {
		return fmt.Errorf("want an id like %s, found %q", TermID, clip(id))
	}
	if name == "" || len(name) > maxNameBytes {
		return fmt.Errorf("%s: want a name of 1 to %d bytes, found %d", id, maxNameBytes, len(name))
	}
	return nil
}

// release checks what was collected and puts it in order.
func (b *builder) release(title string) (*Release, error) {
	r := &Release{Title: title}
	if len(b.terms) > maxReleaseTerms || len(b.edges) > maxReleaseEdges {
		return nil, fmt.Errorf("the limit is %d terms and %d edges, there are %d and %d", maxReleaseTerms, maxReleaseEdges, len(b.terms), len(b.edges))
	}
	for _, t := range b.terms {
		slices.Sort(t.Synonyms)
		t.Synonyms = slices.DeleteFunc(slices.Compact(t.Synonyms), func(s string) bool { return s == t.Name })
		slices.Sort(t.Phrases)
		t.Phrases = slices.Compact(t.Phrases)
		r.Terms = append(r.Terms, *t)
	}
	slices.SortFunc(r.Terms, func(x, y Term) int { return cmp.Compare(x.ID, y.ID) })
	for _, e := range b.edges {
		subject, object := b.terms[e.Subject], b.terms[e.Object]
		if subject == nil || object == nil {
			r.LeftOut = append(r.LeftOut, e)
			continue
		}
		if err := e.fits(subject.Kind, object.Kind); err != nil {
			return nil, fmt.Errorf("%s: %w", &e, err)
		}
		r.Edges = append(r.Edges, e)
	}
	slices.SortFunc(r.Edges, compareFacts)
	slices.SortFunc(r.LeftOut, compareFacts)
	if circle := r.circle(); circle != nil {
		return nil, fmt.Errorf("the is-a edges run in a circle at or above %v", circle)
	}
	raw, err := json.Marshal(struct {
		Title string
		Terms []Term
		Edges []Fact
	}{title, r.Terms, r.Edges})
	if err != nil {
		return nil, fmt.Errorf("digest the release: %w", err)
	}
	sum := sha256.Sum256(raw)
	r.Digest = hex.EncodeToString(sum[:8])
	return r, nil
}

// circle returns terms that is-a edges lead back to, nil if there are none: what is left when terms without
// parents are taken away again and again.
func (r *Release) circle() []string {
	parents, children := map[string]int{}, map[string][]string{}
	for _, e := range r.Edges {
		if e.Relation == IsA {
			parents[e.Subject]++
			children[e.Object] = append(children[e.Object], e.Subject)
		}
	}
	var free []string
	for _, t := range r.Terms {
		if parents[t.ID] == 0 {
			free = append(free, t.ID)
		}
	}
	for len(free) > 0 {
		id := free[len(free)-1]
		free = free[:len(free)-1]
		for _, child := range children[id] {
			if parents[child]--; parents[child] == 0 {
				free = append(free, child)
			}
		}
	}
	var left []string
	for id, n := range parents {
		if n > 0 {
			left = append(left, id)
		}
	}
	slices.Sort(left)
	if len(left) == 0 {
		return nil
	}
	return left[:min(len(left), 5)]
}
