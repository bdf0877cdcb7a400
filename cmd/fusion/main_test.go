package main

import (
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"consilium/internal/analysis"
	"consilium/internal/wire"
	"consilium/internal/wire/conform"
	"consilium/services/fusion"
)

// features returns features of the right sizes whose values are drawn: what the net answers to them says nothing,
// but it says the same on both sides of the wire.
func features(modality analysis.Modality, vector, count, dim int) *analysis.Features {
	random := rand.New(rand.NewPCG(1, uint64(count)))
	draw := func(n int) []float32 {
		values := make([]float32, n)
		for i := range values {
			values[i] = float32(random.NormFloat64())
		}
		return values
	}
	return &analysis.Features{Modality: modality, Vector: draw(vector), Tokens: draw(count * dim), TokenCount: count, TokenDim: dim}
}

// TestProgram runs the program itself: what its clients, ours and Triton's, get is what the service makes in process.
func TestProgram(t *testing.T) {
	url := conform.Program(t, run)
	local, err := fusion.New(fusion.Config{Device: "cpu"})
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	remote, err := wire.NewFuser(url, wire.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Ready(t.Context()); err != nil {
		t.Errorf("not ready: %v", err)
	}
	if digest, err := remote.Digest(t.Context()); err != nil || digest != local.Digest() {
		t.Errorf("digest %s over the wire, %v; %s in process", digest, err, local.Digest())
	}
	question, note := features(analysis.Text, 384, 9, 384), features(analysis.Text, 384, 30, 384)
	image, audio := features(analysis.Image, 1280, 49, 1280), features(analysis.Audio, 256, 40, 128)
	image.Rows, image.Cols = 7, 7
	oblong := *image
	oblong.Rows, oblong.Cols = 49, 1
	conform.Fusion(t, local, remote, map[string]*analysis.FuseRequest{
		"question, image":      {Task: analysis.Question, Question: question, Image: image},
		"question, everything": {Task: analysis.Question, Question: question, Text: note, Image: image, Audio: audio, Candidates: 3},
		"question, audio":      {Task: analysis.Question, Question: question, Audio: audio, Candidates: 100},
		"report, everything":   {Task: analysis.Report, Text: note, Image: image, Audio: audio},
		"report, image":        {Task: analysis.Report, Image: image},
		"report, nothing":      {Task: analysis.Report},
		"no question":          {Task: analysis.Question, Image: image},
		"unknown task":         {Task: "dance", Image: image},
		"other grid":           {Task: analysis.Report, Image: &oblong},
		"narrow tokens":        {Task: analysis.Report, Text: features(analysis.Text, 384, 30, 383)},
		"too many tokens":      {Task: analysis.Report, Text: features(analysis.Text, 384, 2000, 384)},
		"swapped":              {Task: analysis.Report, Text: audio},
	})
	writer, err := wire.NewWriter(url, wire.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	effusion := analysis.Statement{Asserts: []analysis.Assertion{{Observation: "Pleural Effusion"}}}
	opacity := analysis.Statement{Asserts: []analysis.Assertion{{Observation: "Lung Opacity", Present: true}}, Side: analysis.RightSide, GroundGlass: true}
	findings := []analysis.Finding{{Label: "Effusion", Probability: 0.125, Threshold: 0.5, Modality: analysis.Image}, {Label: "Infiltration", Probability: 0.75, Threshold: 0.5, Present: true, Modality: analysis.Image}}
	conform.Writer(t, local.Writer(), writer, map[string]*analysis.SentenceRequest{
		"absent":              {Statement: effusion, Image: image, Findings: findings, Drafts: 4},
		"present":             {Statement: opacity, Image: image, Findings: findings, Drafts: analysis.MaxDrafts},
		"no findings":         {Statement: effusion, Image: image, Drafts: 1},
		"no drafts":           {Statement: effusion, Image: image},
		"too many drafts":     {Statement: effusion, Image: image, Drafts: analysis.MaxDrafts + 1},
		"no image":            {Statement: effusion, Drafts: 1},
		"other grid":          {Statement: effusion, Image: &oblong, Drafts: 1},
		"nothing to state":    {Image: image, Drafts: 1},
		"unknown observation": {Statement: analysis.Statement{Asserts: []analysis.Assertion{{Observation: "Joy"}}}, Image: image, Drafts: 1},
		"unknown side":        {Statement: analysis.Statement{Asserts: effusion.Asserts, Side: "north"}, Image: image, Drafts: 1},
	})
}

// TestProgramNamesEveryMistake has two settings of every service wrong and one of the fusion's own.
func TestProgramNamesEveryMistake(t *testing.T) {
	settings := map[string]string{"CONSILIUM_DEVICE": "abacus", "CONSILIUM_GPU_PRECISION": "fp8", "CONSILIUM_FUSION_GATE": "entropy"}
	err := run(t.Context(), nil, func(name string) string { return settings[name] }, io.Discard, io.Discard)
	for _, want := range []string{"CONSILIUM_DEVICE: want cpu", "CONSILIUM_GPU_PRECISION: want fp32, bf16 or fp16", "CONSILIUM_FUSION_GATE: want learned or entropy-share"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
