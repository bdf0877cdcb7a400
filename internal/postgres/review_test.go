package postgres_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	"consilium/internal/analysis"
	"consilium/internal/postgres"
)

// TestAnswersFromBeforeReviewAreServed stores answers as the schema before migration 3 had them.
func TestAnswersFromBeforeReviewAreServed(t *testing.T) {
	f := newFixture(t)
	study := f.create(t, f.ctx, "note")
	db, err := sql.Open("pgx", f.url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	provider, err := postgres.Migrator(db, f.url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.DownTo(f.ctx, 2); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ id, probability string }{
		{"0198c0de-0000-7000-8000-000000000001", "0.7"}, {"0198c0de-0000-7000-8000-000000000002", "0.6999999"},
	} {
		if err := f.exec(t, `INSERT INTO answers (tenant_id, study_id, id, question, strict, text_id, result, stages, trace_id)
			VALUES ('default', $1, $2, 'q?', false, $3, $4, '[]', $5)`, study.ID, row.id, study.Artefacts[0].ID,
			`{"answers": [{"text": "yes", "probability": `+row.probability+`}], "modalities": [], "models": {}}`, strings.Repeat("ab", 16)); err != nil {
			t.Fatal(err)
		}
	}
	if err := postgres.Migrate(context.Background(), f.url); err != nil {
		t.Fatal(err)
	}
	answers, err := f.Answers(f.ctx, study.ID, analysis.Page{Limit: 10})
	if err != nil || len(answers) != 2 {
		t.Fatalf("%d answers, %v", len(answers), err)
	}
	for i, want := range []analysis.Status{analysis.NeedsReview, analysis.Answered} {
		if a := answers[i]; a.Status != want || a.ReviewBelow != 0.7 || a.Result.Status(a.ReviewBelow) != want || a.Result.Reliance != nil || a.Result.Degraded != nil {
			t.Errorf("answer of %v: %+v, want %s", a.Result.Answers[0].Probability, a, want)
		}
	}
}

// TestAStatusCannotContradictItsAnswer tries to store what the constraint forbids.
func TestAStatusCannotContradictItsAnswer(t *testing.T) {
	f := newFixture(t)
	study := f.create(t, f.ctx, "note")
	for name, test := range map[string]struct {
		below  float64
		status analysis.Status
		stored bool
	}{
		"sure":              {0.5, analysis.Answered, true},
		"not sure":          {0.9, analysis.NeedsReview, true},
		"at the threshold":  {0.75, analysis.Answered, true},
		"pretends":          {0.9, analysis.Answered, false},
		"hides":             {0.5, analysis.NeedsReview, false},
		"unknown status":    {0.5, "maybe", false},
		"no status":         {0.5, "", false},
		"threshold above 1": {1.5, analysis.NeedsReview, false},
		"threshold below 0": {-0.5, analysis.Answered, false},
	} {
		answer := answerOf(study)
		answer.ReviewBelow, answer.Status = test.below, test.status
		if err := f.CreateAnswer(f.ctx, answer); (err == nil) != test.stored {
			t.Errorf("%s: %v", name, err)
		}
	}
}
