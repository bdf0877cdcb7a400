package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"consilium/internal/analysis"
	"consilium/internal/blob"
)

// bring stores weights under a name.
func (f *fixture) bring(ctx context.Context, name, content string) (*analysis.ModelVersion, error) {
	weights, err := f.StageWeights(ctx, strings.NewReader(content))
	if err != nil {
		return nil, err
	}
	card := &analysis.ModelCard{Name: name, Licence: "CC0-1.0", SHA256: weights.SHA256(), Labels: []analysis.CardLabel{{Name: "a", Threshold: 0.25}}, Task: analysis.MultiLabel}
	version, err := f.CreateModel(ctx, card, weights)
	return version, errors.Join(err, weights.Discard())
}

func (f *fixture) mustBring(t *testing.T, ctx context.Context, name, content string) *analysis.ModelVersion {
	t.Helper()
	version, err := f.bring(ctx, name, content)
	if err != nil {
		t.Fatal(err)
	}
	return version
}

func (f *fixture) otherTenant(t *testing.T) context.Context {
	t.Helper()
	if err := f.exec(t, "INSERT INTO tenants (tenant_id) VALUES ('other')"); err != nil {
		t.Fatal(err)
	}
	return analysis.WithTenant(context.Background(), "other")
}

func (f *fixture) read(t *testing.T, ctx context.Context, version *analysis.ModelVersion) string {
	t.Helper()
	r, err := f.OpenModel(ctx, version)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestModelsHaveVersions(t *testing.T) {
	f := newFixture(t)
	other := f.otherTenant(t)
	first := f.mustBring(t, f.ctx, "nodule", "weights")
	second := f.mustBring(t, f.ctx, "nodule", "better weights")
	again := f.mustBring(t, f.ctx, "nodule", "weights")
	f.mustBring(t, f.ctx, "breast", "weights")
	theirs := f.mustBring(t, other, "nodule", "their weights")
	if first.Version != 1 || second.Version != 2 || again.Version != 3 || theirs.Version != 1 || first.ID == again.ID || first.Bytes != 7 || first.CreatedAt.IsZero() {
		t.Errorf("versions %+v, %+v, %+v and theirs %+v", first, second, again, theirs)
	}
	found, err := f.Models(f.ctx)
	var names []string
	for _, v := range found {
		names = append(names, fmt.Sprintf("%s@%d", v.Card.Name, v.Version))
	}
	if got := strings.Join(names, " "); err != nil || got != "breast@1 nodule@3 nodule@2 nodule@1" {
		t.Errorf("%v: %s", err, got)
	}
	newest, err := f.Model(f.ctx, "nodule", 0)
	if err != nil || newest.ID != again.ID || newest.Card.Labels[0].Threshold != 0.25 || newest.Digest() != "sha256:"+again.Card.SHA256 {
		t.Errorf("%v: %+v", err, newest)
	}
	if one, err := f.Model(f.ctx, "nodule", 2); err != nil || one.ID != second.ID {
		t.Errorf("%v: %+v", err, one)
	}
	if got := f.read(t, f.ctx, second); got != "better weights" {
		t.Errorf("weights %q", got)
	}
	for _, none := range []struct {
		ctx     context.Context
		name    string
		version int
	}{{f.ctx, "none", 0}, {f.ctx, "nodule", 4}, {other, "nodule", 2}, {other, "breast", 0}} {
		if _, err := f.Model(none.ctx, none.name, none.version); analysis.CodeOf(err) != analysis.NotFound {
			t.Errorf("%s@%d: %v", none.name, none.version, err)
		}
		if _, err := f.DeleteModel(none.ctx, none.name, none.version); analysis.CodeOf(err) != analysis.NotFound {
			t.Errorf("delete %s@%d: %v", none.name, none.version, err)
		}
	}
	if _, err := f.OpenModel(other, second); analysis.CodeOf(err) != analysis.NotFound {
		t.Errorf("their tenant reads our weights: %v", err)
	}
}

func TestDeletedModelsLeaveNothingBehind(t *testing.T) {
	f := newFixture(t)
	f.create(t, f.ctx, "weights") // an artefact of the same bytes
	first := f.mustBring(t, f.ctx, "nodule", "weights")
	second := f.mustBring(t, f.ctx, "nodule", "better weights")
	if ids, err := f.DeleteModel(f.ctx, "nodule", 2); err != nil || len(ids) != 1 || ids[0] != second.ID {
		t.Errorf("%v: %v", err, ids)
	}
	if n := f.files(t); n != 1 {
		t.Errorf("%d files, want that of the first version", n)
	}
	if third := f.mustBring(t, f.ctx, "nodule", "best weights"); third.Version != 3 {
		t.Errorf("version %d is given after 2 was deleted, want 3", third.Version)
	}
	if ids, err := f.DeleteModel(f.ctx, "nodule", 0); err != nil || len(ids) != 2 {
		t.Errorf("%v: %v", err, ids)
	}
	if n := f.files(t); n != 1 {
		t.Errorf("%d files, want that of the study", n)
	}
	if _, err := f.OpenModel(f.ctx, first); err != nil {
		t.Errorf("the study's bytes: %v", err)
	}
	if n := f.count(t, "model_versions"); n != 0 {
		t.Errorf("%d versions", n)
	}
}

func TestWeightsThatAreNotStored(t *testing.T) {
	f := newFixture(t)
	for range analysis.MaxModelVersions {
		f.mustBring(t, f.ctx, "nodule", "weights")
	}
	if _, err := f.bring(f.ctx, "nodule", "more"); analysis.CodeOf(err) != analysis.Conflict {
		t.Errorf("one version more: %v", err)
	}
	if files, blobs := f.files(t), f.count(t, "blobs"); files != 1 || blobs != 1 {
		t.Errorf("%d files and %d blobs, want 1", files, blobs)
	}
	weights, err := f.StageWeights(f.ctx, strings.NewReader("abandoned"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := weights.Discard(); err != nil {
			t.Error(err)
		}
	}
	if _, err := f.StageWeights(f.ctx, zeros{}); analysis.CodeOf(err) != analysis.TooLarge {
		t.Errorf("endless weights: %v", err)
	}
	if _, err := f.StageWeights(f.ctx, io.MultiReader(strings.NewReader("half"), broken{})); err == nil {
		t.Error("weights that break off were staged")
	}
	if n := f.files(t); n != 1 {
		t.Errorf("%d files, want 1", n)
	}
	// Bytes that models hold are not reclaimed, however old.
	if err := f.exec(t, "UPDATE blobs SET created_at = now() - interval '2 hours'"); err != nil {
		t.Fatal(err)
	}
	if err := f.ReclaimAbandoned(f.ctx); err != nil {
		t.Error(err)
	}
	if n := f.files(t); n != 1 {
		t.Errorf("%d files, want 1", n)
	}
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestModelsAreBroughtAndDeletedAtOnce(t *testing.T) {
	f := newFixture(t)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if _, err := f.bring(f.ctx, "nodule", "the same weights"); err != nil {
				t.Error(err)
			}
		})
		group.Go(func() {
			if _, err := f.DeleteModel(f.ctx, "nodule", 0); err != nil && analysis.CodeOf(err) != analysis.NotFound {
				t.Error(err)
			}
		})
	}
	group.Wait()
	versions, err := f.Models(f.ctx)
	if err != nil {
		t.Fatal(err)
	}
	want := min(1, len(versions))
	if files, blobs := f.files(t), f.count(t, "blobs"); files != want || blobs != want {
		t.Errorf("%d versions, %d files, %d blobs", len(versions), files, blobs)
	}
	for i := range versions {
		if got := f.read(t, f.ctx, &versions[i]); got != "the same weights" {
			t.Errorf("weights %q", got)
		}
	}
}

// failingAdoption refuses to store weights.
type failingAdoption struct{ *blob.Store }

func (failingAdoption) Adopt(string, *blob.Staged) error { return errors.New("the disk is full") }

func TestWeightsThatCannotBeWritten(t *testing.T) {
	f := newFixture(t)
	blobs, err := blob.Open(f.dir, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	full := &fixture{Store: f.open(t, failingAdoption{blobs}), ctx: f.ctx, url: f.url, dir: f.dir}
	if _, err := full.bring(f.ctx, "nodule", "weights"); analysis.CodeOf(err) != analysis.Internal {
		t.Errorf("a full disk: %v", err)
	}
	if files, blobs, names := f.files(t), f.count(t, "blobs"), f.count(t, "models"); files+blobs+names != 0 {
		t.Errorf("%d files, %d blobs, %d names", files, blobs, names)
	}
}
