package fusion

import (
	"reflect"
	"sync"
	"testing"

	"consilium/internal/analysis"
	net "consilium/internal/model/fusion"
	"consilium/internal/tensor/kernels"
)

// varied returns questions and reports that differ and have things in common.
func varied(s *Service) []*analysis.FuseRequest {
	full := s.goldenRequest()
	without, other, note, report, film := *full, *full, *full, *full, *full
	without.Image = nil
	shuffled := *full.Image
	shuffled.Tokens = append(append([]float32(nil), full.Image.Tokens[shuffled.TokenDim:]...), full.Image.Tokens[:shuffled.TokenDim]...)
	other.Image = &shuffled
	note.Text = full.Question
	report.Task, report.Text, report.Question = analysis.Report, full.Question, nil
	film.Task, film.Question, film.Audio = analysis.Report, nil, nil
	return []*analysis.FuseRequest{full, &without, &other, &note, &report, &film}
}

// TestCompanyDoesNotCount: a request is answered alike alone, in a call with others and beside other calls.
func TestCompanyDoesNotCount(t *testing.T) {
	for name, level := range map[string]kernels.Level{"on kernels": kernels.Best(), "on libtorch": kernels.Plain} {
		t.Run(name, func(t *testing.T) {
			s, err := newAt(Config{Device: "cpu", Threads: 1}, level)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			requests := varied(s)
			var want []*analysis.Result
			for _, r := range requests {
				alone, err := analysis.FuseOne(t.Context(), s, r)
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, alone)
			}
			var group sync.WaitGroup
			for range 8 {
				group.Go(func() {
					got, err := s.Fuse(t.Context(), requests)
					if err != nil || !reflect.DeepEqual(got, want) {
						t.Errorf("a call of all: %v, %v; alone %v", got, err, want)
					}
				})
				for i, r := range requests {
					group.Go(func() {
						if got, err := analysis.FuseOne(t.Context(), s, r); err != nil || !reflect.DeepEqual(got, want[i]) {
							t.Errorf("request %d beside others: %v, %v; alone %v", i, got, err, want[i])
						}
					})
				}
			}
			group.Wait()
		})
	}
}

// TestLibtorchServesTheSame: where there are no kernels, the probes pass too.
func TestLibtorchServesTheSame(t *testing.T) {
	for _, gate := range []net.Rule{net.Learned, net.EntropyShare} {
		s, err := newAt(Config{Device: "cpu", Threads: 1, Gate: gate}, kernels.Plain)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Probe(t.Context()); err != nil {
			t.Error(err)
		}
		if err := s.Aligner().Probe(t.Context()); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestNothingIsAnsweredAfterTheEnd(t *testing.T) {
	s, err := New(Config{Device: "cpu", Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	r := s.goldenRequest()
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Fuse(t.Context(), []*analysis.FuseRequest{r}); err == nil {
		t.Error("it fuses")
	}
	if _, err := s.Align(t.Context(), r.Image); err == nil {
		t.Error("it aligns")
	}
	if _, err := s.Explain(t.Context(), r); err == nil {
		t.Error("it explains")
	}
}
