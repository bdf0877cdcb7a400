package postgres_test

import (
	"slices"
	"testing"

	"consilium/internal/analysis"
)

func TestFilterChoosesStudies(t *testing.T) {
	f := newFixture(t)
	ids := map[string]string{}
	for _, s := range []struct {
		name, date, finding string
		contents            []string
	}{
		{"old", "2024-02-29", "Pneumonia|Effusion", []string{"note", "film"}},
		{"new", "2026-01-01", "Pneumonia", []string{"note"}},
		{"undated", "", "No Finding", []string{"note", "film", "sound"}},
	} {
		study, raw := studyOf(s.contents...)
		study.Date, study.Labels = s.date, map[string]string{"finding": s.finding, "ward": "7"}
		if err := f.CreateStudy(f.ctx, study, raw); err != nil {
			t.Fatal(err)
		}
		ids[s.name] = study.ID
		got, err := f.Study(f.ctx, study.ID)
		if err != nil || got.Date != s.date {
			t.Errorf("date %q came back as %q: %v", s.date, got.Date, err)
		}
	}
	for _, test := range []struct {
		name   string
		filter analysis.StudyFilter
		want   []string
	}{
		{"everything", analysis.StudyFilter{}, []string{"undated", "new", "old"}},
		{"one value of several", analysis.StudyFilter{Labels: map[string]string{"finding": "Effusion"}}, []string{"old"}},
		{"a value of two studies", analysis.StudyFilter{Labels: map[string]string{"finding": "Pneumonia", "ward": "7"}}, []string{"new", "old"}},
		{"all values at once are none", analysis.StudyFilter{Labels: map[string]string{"finding": "Pneumonia|Effusion"}}, nil},
		{"from a day on", analysis.StudyFilter{From: "2024-02-29"}, []string{"new", "old"}},
		{"up to a day", analysis.StudyFilter{To: "2025-12-31"}, []string{"old"}},
		{"modality", analysis.StudyFilter{Modality: analysis.Audio}, []string{"undated"}},
		{"ids", analysis.StudyFilter{IDs: []string{ids["old"], ids["undated"]}, Modality: analysis.Image}, []string{"undated", "old"}},
		{"no ids", analysis.StudyFilter{IDs: []string{}}, nil},
	} {
		studies, err := f.Studies(f.ctx, &test.filter, analysis.Page{Limit: 10})
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		var got []string
		for _, study := range studies {
			got = append(got, study.ID)
		}
		var want []string
		for _, name := range test.want {
			want = append(want, ids[name])
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: chose %v, want %v", test.name, got, want)
		}
	}
}
