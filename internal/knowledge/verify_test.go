package knowledge_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"consilium/internal/analysis"
	"consilium/internal/knowledge"
)

func TestVerification(t *testing.T) {
	f := newFixture(t)
	for name, test := range map[string]struct {
		known string // facts that are there, with commas
		fact  string
		code  analysis.Code
		says  string // in the field, the reason or the fact in the way
	}{
		"new":                       {"", "1673 is_a 0050117", "", ""},
		"may cause":                 {"", "552 may_cause pleural_effusion", "", ""},
		"unknown subject":           {"", "999 is_a 552", analysis.InvalidArgument, "subject: the term is unknown"},
		"unknown object":            {"", "552 is_a 999", analysis.InvalidArgument, "object: the term is unknown"},
		"no relation":               {"", "552 treats 874", analysis.InvalidArgument, "relation"},
		"itself":                    {"", "552 is_a 552", analysis.InvalidArgument, "object"},
		"kind of subject":           {"", "552 suggests 874", analysis.InvalidArgument, "subject"},
		"kind of object":            {"", "pneumonia suggests edema", analysis.InvalidArgument, "object"},
		"kinds differ":              {"", "pneumonia is_a 552", analysis.InvalidArgument, "object"},
		"cycle":                     {"", "850 is_a 0040084", analysis.Conflict, "DOID:552 is_a DOID:850 (Disease Ontology)"},
		"cycle by an added fact":    {"1673 is_a 0050117", "0050117 is_a 1673", analysis.Conflict, "DOID:1673 is_a DOID:0050117 (fact "},
		"cycle of added facts":      {"1673 is_a 114, 114 is_a 162", "162 is_a 1673", analysis.Conflict, "in a circle"},
		"below two disjoint":        {"874 is_a 162", "552 is_a 0060072", analysis.Conflict, "DOID:874 is_a DOID:162 (fact "},
		"below the disjoint":        {"", "0060072 is_a 162", analysis.Conflict, "disjoint_with DOID:162 (Disease Ontology)"},
		"below what became":         {"114 disjoint_with 850", "552 is_a 114", analysis.Conflict, "DOID:114 disjoint_with DOID:850 (fact "},
		"disjoint, but one is both": {"", "0050117 disjoint_with 552", analysis.Conflict, "DOID:874 is both"},
		"disjoint from its kind":    {"", "552 disjoint_with 850", analysis.Conflict, "is both"},
		"opposite":                  {"not 114 is_a 162", "114 is_a 162", analysis.Conflict, "the opposite is known"},
		"opposite of the static":    {"", "not 874 is_a 552", analysis.Conflict, "the opposite is known"},
		"opposite, entailed":        {"", "not 0040084 is_a 850", analysis.Conflict, "is a DOID:850"},
		"denied, entailed":          {"not 552 is_a 162", "850 is_a 162", analysis.Conflict, "not DOID:552 is_a DOID:162"},
		"disjoint, denied":          {"not 552 disjoint_with 114", "850 disjoint_with 114", analysis.Conflict, "not DOID:114 disjoint_with DOID:552"},
		"denied, disjoint above":    {"850 disjoint_with 114", "not 552 disjoint_with 114", analysis.Conflict, "below terms that are disjoint"},
		"ruled out, same":           {"", "pneumonia rules_out 552", analysis.Conflict, "FINDING:pneumonia same_as DOID:552 (Consilium)"},
		"ruled out, by a kind":      {"", "lung_opacity rules_out 850", analysis.Conflict, "contradicts"},
		"suggested, ruled out":      {"pneumothorax rules_out 552", "pneumothorax suggests 874", analysis.Conflict, "FINDING:pneumothorax rules_out DOID:552 (fact "},
		"both directions are one":   {"162 disjoint_with 114", "not 114 disjoint_with 162", analysis.Conflict, "the opposite is known"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := analysis.WithTenant(t.Context(), fmt.Sprintf("t-%x", name))
			f.exec(fmt.Sprintf("INSERT INTO tenants (tenant_id) VALUES ('t-%x')", name))
			for _, line := range strings.Split(test.known, ", ") {
				if line == "" {
					continue
				}
				if _, err := f.Add(ctx, fact(line), knowledge.Refuse); err != nil {
					t.Fatalf("add %s: %v", line, err)
				}
			}
			before := list(t, ctx, f.Graph)
			added, err := f.Add(ctx, fact(test.fact), knowledge.Refuse)
			if test.code == "" {
				if err != nil || added.Known || added.Fact.ID == "" || added.Fact.Seq != 1 {
					t.Errorf("added %+v, %v", added, err)
				}
				return
			}
			if analysis.CodeOf(err) != test.code || !strings.Contains(err.Error(), test.says) {
				t.Errorf("the error is %v, want %s with %q", err, test.code, test.says)
			}
			if after := list(t, ctx, f.another()); after != before {
				t.Errorf("a refused fact changed the graph from %q to %q", before, after)
			}
		})
	}
}

func TestProvenance(t *testing.T) {
	f := newFixture(t)
	for field, change := range map[string]func(*knowledge.Fact){
		"provenance.source":     func(x *knowledge.Fact) { x.Provenance = nil },
		"provenance.reference":  func(x *knowledge.Fact) { x.Provenance.Reference = strings.Repeat("x", 501) },
		"provenance.confidence": func(x *knowledge.Fact) { x.Provenance.Confidence = 1.5 },
		"subject":               func(x *knowledge.Fact) { x.Subject = "no id" },
	} {
		x := fact("552 is_a 162")
		change(&x)
		_, err := f.Add(f.ctx, x, knowledge.Refuse)
		var e *analysis.Error
		if !errors.As(err, &e) || e.Field != field || e.Code != analysis.InvalidArgument {
			t.Errorf("%s: %v", field, err)
		}
	}
	again := f.add("552 is_a 162", "552 is_a 162")
	if !again.Known || again.Fact.Provenance.Source != "a test" {
		t.Errorf("the same again is %+v", again)
	}
	if static := f.add("552 is_a 850"); !static.Known || static.Fact.Source != "Disease Ontology" {
		t.Errorf("what the static layer says is %+v", static)
	}
	one, err := f.Fact(f.ctx, again.Fact.ID)
	if err != nil || one.Subject != "DOID:552" || one.CreatedAt.IsZero() {
		t.Errorf("read %+v, %v", one, err)
	}
}
