package reportdoc

import (
	"strings"

	"consilium/internal/analysis"
)

// Term is a concept of SNOMED CT.
type Term struct{ Code, Display string }

// terms are the concepts for the labels of the platform's own models that mean one for certain.
var terms = map[string]Term{
	"atelectasis":      {"46621007", "Atelectasis"},
	"cardiomegaly":     {"8186001", "Cardiomegaly"},
	"consolidation":    {"95436008", "Lung consolidation"},
	"edema":            {"19242006", "Pulmonary edema"},
	"effusion":         {"60046008", "Pleural effusion"},
	"pleural effusion": {"60046008", "Pleural effusion"},
	"emphysema":        {"87433001", "Pulmonary emphysema"},
	"pneumonia":        {"233604007", "Pneumonia"},
	"pneumothorax":     {"36118008", "Pneumothorax"},
	"cough":            {"49727002", "Cough"},
}

// Term returns the concept that a finding's label means, false if none is certain. What a model that a user brought means
// by its labels, nobody knows.
func (d *Document) Term(f *analysis.Finding) (Term, bool) {
	if b := d.Report.Result.Brought; b != nil && f.Model == b.Digest {
		return Term{}, false
	}
	term, ok := terms[strings.ToLower(f.Label)]
	return term, ok
}

// Replaced returns what a person wrote in place of a sentence on a finding, "" if nobody did.
func (d *Document) Replaced(f *analysis.Finding) string {
	var texts []string
	for _, section := range d.Report.Narrative.Sections {
		for _, s := range section.Sentences {
			for _, e := range s.Evidence {
				if e.Same(f) && s.WrittenBy == analysis.ByPerson {
					texts = append(texts, Plain(s.Text))
				}
			}
		}
	}
	return strings.Join(texts, " ")
}
