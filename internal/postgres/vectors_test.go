package postgres_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"consilium/internal/analysis"
)

var spaces = analysis.Spaces{analysis.Text: "a t", analysis.Image: "a i", analysis.Audio: "a s"}

func unit(r *rand.Rand) []float32 {
	values, sum := make([]float32, analysis.VectorDim), 0.0
	for i := range values {
		values[i] = float32(r.NormFloat64())
		sum += float64(values[i]) * float64(values[i])
	}
	for i := range values {
		values[i] /= float32(math.Sqrt(sum))
	}
	return values
}

// index gives every artefact without a vector one of those that values returns, and says how many it gave.
func (f *fixture) indexAll(t *testing.T, values func(*analysis.Unindexed) []float32) (n int) {
	t.Helper()
	for {
		before := n
		if err := f.WithUnindexed(context.Background(), spaces, 7, func(list []analysis.Unindexed) error {
			for i := range list {
				n++
				if err := f.SetVector(context.Background(), &list[i], spaces[list[i].Artefact.Modality], values(&list[i]), ""); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if n == before {
			return n
		}
	}
}

func TestStudiesAreFoundByTheirNearestVector(t *testing.T) {
	f := newFixture(t)
	r := rand.New(rand.NewPCG(1, 1))
	vectors := map[string]map[analysis.Modality][]float32{}
	const n = 30
	for i := range n {
		contents := []string{fmt.Sprint("note ", i), fmt.Sprint("film ", i)}
		study, raw := studyOf(contents[:1+i%2]...)
		study.Labels = map[string]string{"third": fmt.Sprint(i % 3)}
		if err := f.CreateStudy(f.ctx, study, raw); err != nil {
			t.Fatal(err)
		}
		vectors[study.ID] = map[analysis.Modality][]float32{}
	}
	if pending, err := f.PendingVectors(f.ctx, spaces, 100); err != nil || pending != n+n/2 {
		t.Errorf("%d are pending, want %d: %v", pending, n+n/2, err)
	}
	if got := f.indexAll(t, func(u *analysis.Unindexed) []float32 {
		v := unit(r)
		vectors[u.StudyID][u.Artefact.Modality] = v
		return v
	}); got != n+n/2 {
		t.Errorf("indexed %d", got)
	}
	query := unit(r)
	type hit struct {
		id       string
		distance float64
	}
	want := func(modality analysis.Modality) (hits []hit) {
		for id, of := range vectors {
			best := hit{id, 3}
			for m, v := range of {
				if modality != "" && m != modality {
					continue
				}
				dot := 0.0
				for i := range v {
					dot += float64(v[i]) * float64(query[i])
				}
				best.distance = min(best.distance, 1-dot)
			}
			if best.distance < 3 {
				hits = append(hits, best)
			}
		}
		slices.SortFunc(hits, func(a, b hit) int {
			if a.distance < b.distance {
				return -1
			}
			return 1
		})
		return hits
	}
	search := func(filter analysis.StudyFilter, limit int, without string) (ids []string) {
		t.Helper()
		q := &analysis.VectorQuery{Values: query, Spaces: spaces, Filter: filter, Limit: limit, Without: without}
		for {
			hits, exact, err := f.SearchVectors(f.ctx, q)
			if err != nil || !exact {
				t.Fatal(exact, err)
			}
			for _, h := range hits {
				ids = append(ids, h.StudyID)
				if math.Abs(h.Distance-want(h.Modality)[slices.IndexFunc(want(h.Modality), func(w hit) bool { return w.id == h.StudyID })].distance) > 1e-5 {
					t.Errorf("%s has the distance %v", h.StudyID, h.Distance)
				}
			}
			if len(hits) < limit {
				return ids
			}
			q.After = &hits[len(hits)-1]
		}
	}
	idsOf := func(hits []hit) (ids []string) {
		for _, h := range hits {
			ids = append(ids, h.id)
		}
		return ids
	}
	outer := t
	for _, extension := range []string{"with pgvector", "without it"} {
		t.Run(extension, func(t *testing.T) {
			if extension == "without it" {
				if err := f.exec(t, "DROP EXTENSION vector CASCADE"); err != nil {
					t.Fatal(err)
				}
				f.Store = f.open(outer, nil)
			}
			if got := search(analysis.StudyFilter{}, 4, ""); !slices.Equal(got, idsOf(want(""))) {
				t.Errorf("found %v, want %v", got, idsOf(want("")))
			}
			if got := search(analysis.StudyFilter{Modality: analysis.Image}, 4, ""); !slices.Equal(got, idsOf(want(analysis.Image))) {
				t.Errorf("by image found %v, want %v", got, idsOf(want(analysis.Image)))
			}
			nearest := idsOf(want(""))[0]
			if got := search(analysis.StudyFilter{Labels: map[string]string{"third": "1"}}, 4, nearest); len(got) < n/3-1 || len(got) > n/3 || slices.Contains(got, nearest) {
				t.Errorf("by label found %v", got)
			}
		})
	}
	if hits, _, err := f.SearchVectors(analysis.WithTenant(f.ctx, "nobody"), &analysis.VectorQuery{Values: query, Spaces: spaces, Limit: 5}); err != nil || len(hits) > 0 {
		t.Errorf("another tenant found %v, %v", hits, err)
	}
	other := analysis.Spaces{analysis.Text: "b t", analysis.Image: "b i"}
	if hits, _, err := f.SearchVectors(f.ctx, &analysis.VectorQuery{Values: query, Spaces: other, Limit: 5}); err != nil || len(hits) > 0 {
		t.Errorf("in another space found %v, %v", hits, err)
	}
	if pending, err := f.PendingVectors(f.ctx, other, 100); err != nil || pending != n+n/2 {
		t.Errorf("%d are pending for other models: %v", pending, err)
	}
}

func TestANewerArtefactReplacesTheVector(t *testing.T) {
	f := newFixture(t)
	study := f.create(t, f.ctx, "one", "two", "three", "four") // the fourth is a text again
	seen := map[string]bool{}
	f.indexAll(t, func(u *analysis.Unindexed) []float32 {
		seen[u.Artefact.ID] = true
		return unit(rand.New(rand.NewPCG(2, 2)))
	})
	if len(seen) != 3 || seen[study.Artefacts[0].ID] || !seen[study.Artefacts[3].ID] {
		t.Errorf("vectors were made of %v", seen)
	}
	if vectors, err := f.Vectors(f.ctx, study.ID, spaces); err != nil || len(vectors) != 3 {
		t.Errorf("vectors %v, %v", vectors, err)
	}
	if err := f.DeleteStudy(f.ctx, study.ID); err != nil {
		t.Fatal(err)
	}
	if n := f.count(t, "study_vectors"); n != 0 {
		t.Errorf("%d vectors of a deleted study", n)
	}
}
