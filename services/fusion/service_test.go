package fusion

import (
	"encoding/json"
	"errors"
	"flag"
	"math"
	"os"
	"strings"
	"sync"
	"testing"

	"consilium/internal/analysis"
	net "consilium/internal/model/fusion"
)

var update = flag.Bool("update", false, "write weights/golden.*.json from the committed weights")

func open(t *testing.T) *Service { return openGate(t, net.Learned) }

func openGate(t *testing.T, gate net.Rule) *Service {
	t.Helper()
	s, err := New(Config{Device: "cpu", Threads: 1, Gate: gate})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestProbe(t *testing.T) {
	for _, gate := range []net.Rule{net.Learned, net.EntropyShare} {
		t.Run(gate.String(), func(t *testing.T) {
			s := openGate(t, gate)
			if *update {
				r, err := analysis.FuseOne(t.Context(), s, s.goldenRequest())
				if err != nil {
					t.Fatal(err)
				}
				b, err := json.MarshalIndent(r, "", " ")
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(goldenPath(gate), b, 0o644); err != nil {
					t.Fatal(err)
				}
				t.Skipf("wrote %s; run again without -update", goldenPath(gate))
			}
			if err := s.Probe(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestGate has the article's rule in the weights of an answer, and in the digest that keeps its answers apart.
func TestGate(t *testing.T) {
	learned, share := open(t), openGate(t, net.EntropyShare)
	want, err := analysis.FuseOne(t.Context(), learned, learned.goldenRequest())
	if err != nil {
		t.Fatal(err)
	}
	got, err := analysis.FuseOne(t.Context(), share, share.goldenRequest())
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, m := range got.Modalities {
		sum += m.Entropy
	}
	for i, m := range got.Modalities {
		if m.Entropy != want.Modalities[i].Entropy || math.Abs(m.Weight-m.Entropy/sum) > 1e-4 {
			t.Errorf("%s has weight %v and entropy %v of %v; learned: %+v", m.Modality, m.Weight, m.Entropy, sum, want.Modalities[i])
		}
	}
	if d := share.Digest(); d != learned.Digest()+"+entropy-share" || got.Models["fusion"] != d {
		t.Errorf("digest %s, in the answer %s; learned: %s", d, got.Models["fusion"], learned.Digest())
	}
}

func TestProbeSeesAWrongAnswer(t *testing.T) {
	s := open(t)
	r, err := analysis.FuseOne(t.Context(), s, s.goldenRequest())
	if err != nil {
		t.Fatal(err)
	}
	bad := *r
	bad.Modalities = append([]analysis.ModalityWeight(nil), r.Modalities...)
	bad.Modalities[1].Weight = math.NaN()
	if err := compare(&bad, r); err == nil || !strings.Contains(err.Error(), "weight of image") {
		t.Errorf("got %v", err)
	}
}

func TestFuse(t *testing.T) {
	s := open(t)
	full := s.goldenRequest()
	for name, c := range map[string]struct {
		change     func(r *analysis.FuseRequest)
		modalities []analysis.Modality
		findings   bool
	}{
		"question about everything": {func(*analysis.FuseRequest) {}, analysis.Modalities, false},
		"question alone":            {func(r *analysis.FuseRequest) { r.Image, r.Audio = nil, nil }, analysis.Modalities[:1], false},
		"question and note":         {func(r *analysis.FuseRequest) { r.Text, r.Image, r.Audio = r.Question, nil, nil }, analysis.Modalities[:1], false},
		"report on everything": {func(r *analysis.FuseRequest) {
			r.Task, r.Text, r.Question = analysis.Report, r.Question, nil
		}, analysis.Modalities, true},
		"report on a sound": {func(r *analysis.FuseRequest) {
			r.Task, r.Question, r.Image = analysis.Report, nil, nil
		}, analysis.Modalities[2:], true},
	} {
		t.Run(name, func(t *testing.T) {
			r := *full
			c.change(&r)
			r.Candidates = 3
			got, err := analysis.FuseOne(t.Context(), s, &r)
			if err != nil {
				t.Fatal(err)
			}
			weight := 0.0
			for i, m := range got.Modalities {
				if m.Modality != c.modalities[i] {
					t.Errorf("modality %d is %s, want %s", i, m.Modality, c.modalities[i])
				}
				weight += m.Weight
			}
			if len(got.Modalities) != len(c.modalities) || math.Abs(weight-1) > 1e-4 {
				t.Errorf("%d modalities of weight %v", len(got.Modalities), weight)
			}
			if (got.Attention != nil) != (r.Image != nil) {
				t.Errorf("attention %v", got.Attention)
			}
			if c.findings {
				for _, f := range got.Findings {
					if f.Modality == analysis.Image && r.Image == nil {
						t.Errorf("%s was judged without an image", f.Label)
					}
					if f.Present != (f.Probability >= f.Threshold) {
						t.Errorf("%s: %+v", f.Label, f)
					}
				}
				if len(got.Findings) == 0 {
					t.Error("no findings")
				}
			} else if len(got.Answers) != 3 || got.Answers[0].Probability < got.Answers[1].Probability {
				t.Errorf("answers %+v", got.Answers)
			}
			if got.Models["fusion"] != s.Digest() {
				t.Errorf("models %v", got.Models)
			}
		})
	}
}

func TestFuseRefuses(t *testing.T) {
	s := open(t)
	for name, c := range map[string]struct {
		change func(r *analysis.FuseRequest)
		code   analysis.Code
		field  string
	}{
		"no question":       {func(r *analysis.FuseRequest) { r.Question = nil }, analysis.InvalidArgument, "question"},
		"report of nothing": {func(r *analysis.FuseRequest) { *r = analysis.FuseRequest{Task: analysis.Report} }, analysis.InvalidArgument, "features"},
		"report that asks":  {func(r *analysis.FuseRequest) { r.Task = analysis.Report }, analysis.InvalidArgument, "question"},
		"candidates":        {func(r *analysis.FuseRequest) { r.Candidates = -1 }, analysis.InvalidArgument, "candidates"},
		"unknown task":      {func(r *analysis.FuseRequest) { r.Task = "sing" }, analysis.InvalidArgument, "task"},
		"wrong modality":    {func(r *analysis.FuseRequest) { r.Image = r.Question }, analysis.InvalidArgument, "image"},
		"wrong width":       {func(r *analysis.FuseRequest) { r.Audio.TokenDim, r.Audio.TokenCount = 64, 9*r.Audio.TokenDim/64 }, analysis.InvalidArgument, "audio"},
		"wrong grid":        {func(r *analysis.FuseRequest) { r.Image.Rows, r.Image.Cols = 49, 1 }, analysis.InvalidArgument, "image"},
		"half the tokens":   {func(r *analysis.FuseRequest) { r.Question.Tokens = r.Question.Tokens[1:] }, analysis.InvalidArgument, "question"},
		"NaN":               {func(r *analysis.FuseRequest) { r.Image.Tokens[5] = float32(math.NaN()) }, analysis.InvalidArgument, "image"},
		"too many tokens": {func(r *analysis.FuseRequest) {
			r.Audio.TokenCount = maxTokens + 1
			r.Audio.Tokens = make([]float32, r.Audio.TokenCount*r.Audio.TokenDim)
		}, analysis.TooLarge, "audio"},
	} {
		t.Run(name, func(t *testing.T) {
			r := s.goldenRequest()
			c.change(r)
			_, err := analysis.FuseOne(t.Context(), s, r)
			var e *analysis.Error
			if !errors.As(err, &e) || e.Code != c.code || e.Field != c.field {
				t.Errorf("got %v, want %s about %s", err, c.code, c.field)
			}
		})
	}
	r := s.goldenRequest()
	for i := range r.Image.Tokens {
		r.Image.Tokens[i] *= 1e37
	}
	if got, err := analysis.FuseOne(t.Context(), s, r); err == nil {
		for _, a := range got.Answers {
			if math.IsNaN(a.Probability) {
				t.Errorf("answer %+v", a)
			}
		}
	}
	if err := s.Probe(t.Context()); err != nil {
		t.Errorf("after the refusals: %v", err)
	}
}

func TestFuseFromManyGoroutines(t *testing.T) {
	s := open(t)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if err := s.Probe(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
