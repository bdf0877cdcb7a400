package fusion

import (
	"context"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"consilium/internal/analysis"
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

// BenchmarkFuse measures a question about a picture, the same with what its answer relies on, 32 questions at a time, and a report.
func BenchmarkFuse(b *testing.B) {
	s, err := New(Config{Device: "cpu"})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	question, report := s.goldenRequest(), onAll(s)
	question.Audio, report.Text, report.Audio = nil, nil, nil
	// other returns the question with other tokens in place of the picture's: their order, or their values too.
	other := func(scale float32) *analysis.FuseRequest {
		r, image := *question, *question.Image
		image.Tokens = nil
		for i := len(question.Image.Tokens); i > 0; i -= image.TokenDim {
			for _, v := range question.Image.Tokens[i-image.TokenDim : i] {
				image.Tokens = append(image.Tokens, v*scale)
			}
		}
		r.Image = &image
		return &r
	}
	var many []*analysis.FuseRequest
	for i := range 32 {
		many = append(many, other(1+float32(i)))
	}
	for _, c := range []struct {
		name     string
		requests []*analysis.FuseRequest
	}{
		{"question", many[:1]},
		{"reliance", []*analysis.FuseRequest{question, other(1), other(2)}},
		{"32 questions", many},
		{"report", []*analysis.FuseRequest{report}},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Fuse(b.Context(), c.requests); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("32 callers", func(b *testing.B) {
		for b.Loop() {
			var wg sync.WaitGroup
			for _, r := range many {
				wg.Go(func() {
					if _, err := s.Fuse(b.Context(), []*analysis.FuseRequest{r}); err != nil {
						b.Error(err)
					}
				})
			}
			wg.Wait()
		}
	})
}
