package wire

import (
	"context"
	"fmt"
	"net/http/httptest"
	"slices"
	"testing"

	"consilium/internal/analysis"
)

// TestSharedFeaturesCrossOnce has three questions share their text, and two their image.
func TestSharedFeaturesCrossOnce(t *testing.T) {
	base := fuseRequests(t)["question, everything"]
	blank, silent := *base, *base
	grey, quiet := *base.Image, *base.Audio
	grey.Tokens = slices.Repeat([]float32{0.5}, len(grey.Tokens))
	quiet.Tokens, quiet.TokenCount = quiet.Tokens[:2*quiet.TokenDim], 2
	blank.Image, silent.Audio = &grey, &quiet
	noNote := blank
	noNote.Text = nil
	requests := []*analysis.FuseRequest{base, &blank, &silent, &noNote}
	inputs, err := packFuseRequests(requests)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]int64{
		"question_rows": {0, 0, 0, 0}, "text_rows": {0, 0, 0, -1}, "image_rows": {0, 1, 0, 1}, "audio_rows": {0, 0, 1, 0},
		"image_lengths": {49, 49}, "audio_lengths": {int64(base.Audio.TokenCount), 2}, "image_grid": {7, 7, 7, 7},
	} {
		if got := find(inputs, name); got == nil || !slices.Equal(got.Ints, want) {
			t.Errorf("%s is %+v, want %v", name, got, want)
		}
	}
	if n := len(find(inputs, "question_tokens").Floats); n != len(base.Question.Tokens) {
		t.Errorf("the question that all share has %d values on the wire, want %d", n, len(base.Question.Tokens))
	}
	back, err := unpackFuseRequests(&request{inputs: crossed(t, inputs, fusionContract.inputs, fusionContract.maxRows)})
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range back {
		for _, role := range roles {
			got, want := *role.of(r), *role.of(requests[i])
			if (got == nil) != (want == nil) || got != nil && (!slices.Equal(got.Tokens, want.Tokens) || !slices.Equal(got.Vector, want.Vector)) {
				t.Errorf("request %d has another %s", i, role.prefix)
			}
		}
	}
	if back[0].Question != back[3].Question || back[0].Image != back[2].Image || back[0].Image == back[1].Image {
		t.Error("what was shared is not shared any more, or the other way round")
	}
}

func TestBadCallsOfTheFusionAreRefused(t *testing.T) {
	good := func() []Tensor {
		base := fuseRequests(t)["question, image"]
		other := *base
		grey := *base.Image
		other.Image = &grey
		inputs, err := packFuseRequests([]*analysis.FuseRequest{base, &other})
		if err != nil {
			t.Fatal(err)
		}
		return crossed(t, inputs, fusionContract.inputs, fusionContract.maxRows)
	}
	for name, test := range map[string]struct {
		change func(inputs []Tensor) []Tensor
		field  string
		code   analysis.Code
	}{
		"row too large":        {setInt("image_rows", 1, 2), "image_rows", analysis.InvalidArgument},
		"row below none":       {setInt("image_rows", 0, -2), "image_rows", analysis.InvalidArgument},
		"too few rows":         {replace(ints("image_rows", []int64{0}, 1)), "image_rows", analysis.InvalidArgument},
		"question for one":     {without("question_rows"), "question_rows", analysis.InvalidArgument},
		"no lengths":           {without("image_lengths"), "image_lengths", analysis.InvalidArgument},
		"one length":           {replace(ints("image_lengths", []int64{98}, 1)), "image_lengths", analysis.InvalidArgument},
		"length of none":       {setInt("image_lengths", 0, 0), "image_lengths", analysis.InvalidArgument},
		"lengths too long":     {setInt("image_lengths", 1, 50), "image_lengths", analysis.InvalidArgument},
		"length overflows":     {setInt("image_lengths", 1, 1<<62), "image_lengths", analysis.InvalidArgument},
		"lengths too short":    {func(in []Tensor) []Tensor { return setInt("image_grid", 2, 6)(setInt("image_lengths", 1, 42)(in)) }, "image_lengths", analysis.InvalidArgument},
		"no grid":              {without("image_grid"), "image_grid", analysis.InvalidArgument},
		"one grid":             {replace(ints("image_grid", []int64{7, 7}, 1, 2)), "image_grid", analysis.InvalidArgument},
		"grid of other tokens": {setInt("image_grid", 2, 8), "image", analysis.InvalidArgument},
		"no embedding":         {without("image_embedding"), "image", analysis.InvalidArgument},
		"rows alone":           {replace(ints("text_rows", []int64{0, 0}, 2)), "text", analysis.InvalidArgument},
		"more sets than calls": {func(in []Tensor) []Tensor {
			return without("question_rows")(replace(byteStrings("task", [][]byte{[]byte("question")}))(in))
		}, "image_embedding", analysis.InvalidArgument},
		"too many": {replace(byteStrings("task", make([][]byte, analysis.MaxFuseRequests+1))), "task", analysis.TooLarge},
	} {
		_, err := unpackFuseRequests(&request{inputs: test.change(good())})
		e, ok := err.(*analysis.Error)
		if !ok || e.Code != test.code || e.Field != test.field {
			t.Errorf("%s: %v, want %s at %s", name, err, test.code, test.field)
		}
	}
}

func setInt(name string, at int, value int64) func([]Tensor) []Tensor {
	return func(tensors []Tensor) []Tensor {
		find(tensors, name).Ints[at] = value
		return tensors
	}
}

func without(name string) func([]Tensor) []Tensor {
	return func(tensors []Tensor) []Tensor {
		return slices.DeleteFunc(tensors, func(t Tensor) bool { return t.Name == name })
	}
}

func replace(other Tensor) func([]Tensor) []Tensor {
	return func(tensors []Tensor) []Tensor { return append(without(other.Name)(tensors), other) }
}

func TestBadAnswersToSeveralRequestsAreRefused(t *testing.T) {
	both := fuseRequests(t)
	good := func() []Tensor {
		results, err := reference{}.Fuse(t.Context(), []*analysis.FuseRequest{both["report, everything"], both["report, text"]})
		if err != nil {
			t.Fatal(err)
		}
		outputs, err := packResults(&request{}, results)
		if err != nil {
			t.Fatal(err)
		}
		return outputs
	}
	if results, err := unpackResults(good(), 2); err != nil || results[0].Attention == nil || results[1].Attention != nil || len(results[1].Findings) != 1 {
		t.Fatalf("%+v, %v", results, err)
	}
	for name, change := range map[string]func([]Tensor) []Tensor{
		"no counts":         without("counts"),
		"of three":          replace(ints("counts", make([]int64, 3*countKinds), 3, countKinds)),
		"counts too much":   setInt("counts", 2, 9),
		"counts too little": setInt("counts", 1, 1),
		"counts below 0":    setInt("counts", countKinds+1, -1),
		"half an attention": setInt("counts", 3, 6),
		"attention is gone": without("attention"),
		"moved an activation": func(tensors []Tensor) []Tensor {
			return setInt("counts", countKinds+4, 1)(setInt("counts", 4, 1)(tensors))
		},
	} {
		if results, err := unpackResults(change(good()), 2); err == nil {
			t.Errorf("%s: %+v", name, results)
		}
	}
}

// instant is a fusion that takes no time: what is left is the wire.
type instant struct{ result *analysis.Result }

func (i instant) Fuse(_ context.Context, requests []*analysis.FuseRequest) ([]*analysis.Result, error) {
	return slices.Repeat([]*analysis.Result{i.result}, len(requests)), nil
}

// BenchmarkQuestion sends a question as it is, with its image blanked, and shuffled.
func BenchmarkQuestion(b *testing.B) {
	text, err := reference{}.EncodeText(b.Context(), []string{"what is to be seen here"}, false)
	if err != nil {
		b.Fatal(err)
	}
	images := make([]*analysis.Features, 3)
	for i := range images {
		f, err := reference{}.EncodeImage(b.Context(), [][]byte{fmt.Appendf(nil, "good %d", i)})
		if err != nil {
			b.Fatal(err)
		}
		images[i] = f[0]
	}
	requests := make([]*analysis.FuseRequest, len(images))
	for i := range requests {
		requests[i] = &analysis.FuseRequest{Task: analysis.Question, Question: text[0], Image: images[i], Candidates: analysis.MaxAnswers}
	}
	result, err := reference{}.fuse(&analysis.FuseRequest{Task: analysis.Question, Question: text[0], Image: images[0], Candidates: 20})
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(NewFusionServer(instant{result}, info()))
	defer server.Close()
	client, err := NewFuser(server.URL, options)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Fuse(b.Context(), requests); err != nil {
			b.Fatal(err)
		}
	}
}
