package postgres

import "consilium/internal/analysis"

// chosenBy adds the conditions of a filter on studies, which the query calls by alias.
func (s *search) chosenBy(alias string, filter *analysis.StudyFilter) {
	if filter.IDs != nil {
		s.and("%s.id = ANY(%s::uuid[])", alias, s.arg(filter.IDs))
	}
	if len(filter.Labels) > 0 {
		wanted := make(map[string][]string, len(filter.Labels))
		for name, value := range filter.Labels {
			wanted[name] = []string{value}
		}
		s.and("%s.label_values @> %s::jsonb", alias, s.arg(wanted))
	}
	if filter.From != "" {
		s.and("%s.study_date >= %s::text::date", alias, s.arg(filter.From))
	}
	if filter.To != "" {
		s.and("%s.study_date <= %s::text::date", alias, s.arg(filter.To))
	}
	if filter.Modality != "" {
		s.and("EXISTS (SELECT FROM artefacts f WHERE f.tenant_id = %[1]s.tenant_id AND f.study_id = %[1]s.id AND f.modality = %[2]s)", alias, s.arg(filter.Modality))
	}
}
