package fusion

import (
	"context"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"consilium/internal/analysis"
	"consilium/internal/tensor"
)

// onAll is a report on all modalities.
func onAll(s *Service) *analysis.FuseRequest {
	r := s.goldenRequest()
	r.Task, r.Text, r.Question = analysis.Report, r.Question, nil
	return r
}

func TestFindingsOfTheImageSayWhereTheyWereSeen(t *testing.T) {
	s := open(t)
	result, err := analysis.FuseOne(t.Context(), s, onAll(s))
	if err != nil {
		t.Fatal(err)
	}
	x, err := s.Explain(t.Context(), onAll(s))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, f := range result.Findings {
		if i := slices.Index(x.Answers, f.Label); x.Fused[i] != f.Probability {
			t.Errorf("%s has the probability %v, and %v without a gradient", f.Label, f.Probability, x.Fused[i])
		}
		if (f.Activation != nil) != (f.Modality == analysis.Image) {
			t.Errorf("%s is judged from %s and has the activation %v", f.Label, f.Modality, f.Activation)
		}
		if g := f.Activation; g != nil {
			seen++
			if g.Rows != 7 || g.Cols != 7 || len(g.Values) != 49 || slices.Min(g.Values) < 0 || slices.Max(g.Values) != 1 && slices.Max(g.Values) != 0 {
				t.Errorf("%s was seen at %+v", f.Label, g)
			}
		}
	}
	if seen < 2 {
		t.Errorf("%d findings were seen on the image", seen)
	}
	without := onAll(s)
	without.Image = nil
	if result, err = analysis.FuseOne(t.Context(), s, without); err != nil || len(result.Findings) == 0 || result.Findings[0].Activation != nil {
		t.Errorf("without an image: %+v, %v", result, err)
	}
}

// TestReportsLeaveNoMemory compares the resident memory after many reports with that after many more.
func TestReportsLeaveNoMemory(t *testing.T) {
	resident := func() int64 {
		b, err := os.ReadFile("/proc/self/statm")
		if err != nil {
			t.Skip("resident memory is read from /proc, which this system lacks")
		}
		pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return pages * int64(os.Getpagesize())
	}
	s := open(t)
	r := onAll(s)
	r.Text, r.Audio = nil, nil
	reports := func(n int) {
		for range n {
			if _, err := analysis.FuseOne(t.Context(), s, r); err != nil {
				t.Fatal(err)
			}
		}
	}
	reports(150) // the allocators' pools and Go's heap reach their size
	before := resident()
	reports(150) // each records some megabytes
	if grown := resident() - before; grown > 16<<20 {
		t.Errorf("150 reports left %d bytes of resident memory", grown)
	}
}

func TestWithRandomWeights(t *testing.T) {
	s := open(t)
	var digests []string
	for _, seed := range []uint64{1, 2, 1} {
		err := s.WithRandomWeights(seed, func(random *Service) error {
			result, err := analysis.FuseOne(t.Context(), random, onAll(s))
			if err != nil {
				return err
			}
			f := result.Findings[0]
			digests = append(digests, strconv.FormatFloat(f.Probability, 'g', -1, 64))
			if random.Digest() == s.Digest() || result.Models["fusion"] != random.Digest() {
				t.Errorf("random weights have the digest %s", random.Digest())
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if digests[0] != digests[2] || digests[0] == digests[1] {
		t.Errorf("the seeds 1, 2 and 1 gave %v", digests)
	}
	if err := s.WithRandomWeights(1, func(*Service) error { return context.Canceled }); err == nil {
		t.Error("the error of use is lost")
	}
}

// BenchmarkReport measures what the activations cost.
func BenchmarkReport(b *testing.B) {
	s, err := New(Config{Device: "cpu", Threads: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	r := onAll(s)
	r.Text, r.Audio = nil, nil
	b.Run("with", func(b *testing.B) {
		for b.Loop() {
			if _, err := analysis.FuseOne(b.Context(), s, r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("without", func(b *testing.B) {
		for b.Loop() {
			err := s.engine.Do(b.Context(), func(a *tensor.Arena) error {
				a.Float64s(s.model.Forward(a, s.batch(a, r)).Logits)
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}
