package wire

import (
	"encoding/base64"
	"math"
	"testing"

	"consilium/internal/analysis"
	"consilium/internal/wire/conform"
)

func TestTextConforms(t *testing.T) {
	conform.Text(t, reference{}, textClient(t, start(t, NewTextServer(reference{}, info()))))
}

var files = map[string][]byte{
	"good":      []byte("good one"),
	"another":   append([]byte("good\x00\xff"), make([]byte, 5000)...),
	"long":      []byte("good but long"),
	"garbled":   []byte("\x00\x01\x02"),
	"too large": append([]byte("good"), make([]byte, maxFileBytes)...),
}

func TestVisionConforms(t *testing.T) {
	client, err := NewVisionEncoder(start(t, NewVisionServer(reference{}, info())), options)
	if err != nil {
		t.Fatal(err)
	}
	conform.Vision(t, reference{}, client, files)
}

func TestAudioConforms(t *testing.T) {
	client, err := NewAudioEncoder(start(t, NewAudioServer(reference{}, info()))+"/", options)
	if err != nil {
		t.Fatal(err)
	}
	conform.Audio(t, reference{}, client, files)
}

// fuseRequests are requests of every subset of modalities, and bad ones.
func fuseRequests(t *testing.T) map[string]*analysis.FuseRequest {
	t.Helper()
	one := func(f []*analysis.Features, err error) *analysis.Features {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return f[0]
	}
	text := one(reference{}.EncodeText(t.Context(), []string{"a cough"}, false))
	image := one(reference{}.EncodeImage(t.Context(), [][]byte{files["good"]}))
	audio := one(reference{}.EncodeAudio(t.Context(), [][]byte{files["good"]}, false))
	with := func(f *analysis.Features, change func(*analysis.Features)) *analysis.Features {
		changed := *f
		change(&changed)
		return &changed
	}
	nan := make([]float32, textDim)
	nan[7] = float32(math.NaN())
	return map[string]*analysis.FuseRequest{
		"question, image":      {Task: analysis.Question, Question: text, Image: image},
		"question, everything": {Task: analysis.Question, Question: text, Text: text, Image: image, Audio: audio, Candidates: analysis.MaxAnswers},
		"report, text":         {Task: analysis.Report, Text: text},
		"report, audio":        {Task: analysis.Report, Audio: audio},
		"report, everything":   {Task: analysis.Report, Text: text, Image: image, Audio: audio},
		"unknown task":         {Task: "dance", Text: text},
		"no question":          {Task: analysis.Question, Image: image},
		"nothing":              {Task: analysis.Report},
		"NaN":                  {Task: analysis.Report, Text: with(text, func(f *analysis.Features) { f.Vector = nan })},
		"tokens missing":       {Task: analysis.Report, Text: with(text, func(f *analysis.Features) { f.Tokens = nil })},
		"count off":            {Task: analysis.Report, Text: with(text, func(f *analysis.Features) { f.TokenCount++ })},
		"grid off":             {Task: analysis.Report, Image: with(image, func(f *analysis.Features) { f.Rows = 8 })},
	}
}

func TestFusionConforms(t *testing.T) {
	client, err := NewFuser(start(t, NewFusionServer(reference{}, info())), options)
	if err != nil {
		t.Fatal(err)
	}
	conform.Fusion(t, reference{}, client, fuseRequests(t))
}

func TestTritonClientReadsText(t *testing.T) {
	texts := []string{"no acute findings", "右肺 opacité"}
	url := start(t, NewTextServer(reference{}, info()))
	answer := conform.Triton(t, url, TextModel, map[string]any{"strict": true}, conform.TritonInput{
		Name: "text", Datatype: "BYTES", Shape: []int{2}, Text: true, Data: [][]byte{[]byte(texts[0]), []byte(texts[1])},
	})
	want, err := reference{}.EncodeText(t.Context(), texts, true)
	if err != nil {
		t.Fatal(err)
	}
	conform.CheckTritonFeatures(t, answer, want)
}

func TestTritonClientReadsImages(t *testing.T) {
	images := [][]byte{files["good"], files["another"]}
	url := start(t, NewVisionServer(reference{}, info()))
	answer := conform.Triton(t, url, VisionModel, nil, conform.TritonInput{Name: "image", Datatype: "BYTES", Shape: []int{2}, Data: images})
	want, err := reference{}.EncodeImage(t.Context(), images)
	if err != nil {
		t.Fatal(err)
	}
	conform.CheckTritonFeatures(t, answer, want)
}

func TestTritonClientAsksTheFusion(t *testing.T) {
	request := fuseRequests(t)["question, image"]
	tensors, err := packFuseRequests([]*analysis.FuseRequest{request})
	if err != nil {
		t.Fatal(err)
	}
	var inputs []conform.TritonInput
	for _, tensor := range tensors {
		input := conform.TritonInput{Name: tensor.Name, Datatype: string(tensor.Datatype), Shape: tensor.Shape, Text: true}
		switch tensor.Datatype {
		case FP32:
			input.Data = tensor.Floats
		case INT64:
			input.Data = tensor.Ints
		default:
			input.Data = tensor.Bytes
		}
		inputs = append(inputs, input)
	}
	url := start(t, NewFusionServer(reference{}, info()))
	answer := conform.Triton(t, url, FusionModel, map[string]any{"candidates": 3}, inputs...).Answers["binary"]
	if got := answer["answer"]; len(got.Data) != 3 || got.Data[0] != "answer 0" {
		t.Errorf("answers are %v, want 3", got)
	}
	if got := answer["attention"]; len(got.Shape) != 2 || got.Shape[0] != 7 || got.Shape[1] != 7 || got.Data[3] != 1.0 {
		t.Errorf("attention has shape %v, want 7 x 7", got.Shape)
	}
}

// The protocol's JSON, written by hand, with nested data.
func TestPlainJSON(t *testing.T) {
	url := start(t, NewVisionServer(reference{}, info()))
	image := base64.StdEncoding.EncodeToString(files["good"])
	status, body := post(t, url+"/v2/models/vision/infer", nil, []byte(`{"id":"7","inputs":[{"name":"image","datatype":"BYTES","shape":[2],"data":[["`+image+`"],"`+image+`"]}],"outputs":[{"name":"grid"}]}`))
	want := `{"model_name":"vision","model_version":"sha256:reference","id":"7","outputs":[{"name":"grid","datatype":"INT64","shape":[2,2],"data":[7,7,7,7]}]}`
	if status != 200 || string(body) != want {
		t.Errorf("got %d %s, want 200 %s", status, body, want)
	}
}
