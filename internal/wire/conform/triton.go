package conform

import (
	_ "embed"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"consilium/internal/analysis"
)

var (
	//go:embed triton.py
	tritonScript string
	//go:embed requirements.txt
	tritonRequirements string
)

// TritonVersion is the release of tritonclient that Triton uses.
const TritonVersion = "2.73.0"

// tritonJob is what triton.py reads.
type tritonJob struct {
	URL        string         `json:"url"`
	Model      string         `json:"model"`
	Inputs     []TritonInput  `json:"inputs"`
	Parameters map[string]any `json:"parameters"`
}

// TritonInput is one input tensor. Data is [][]byte for BYTES, else a slice of numbers.
type TritonInput struct {
	Name     string `json:"name"`
	Datatype string `json:"datatype"`
	Shape    []int  `json:"shape"`
	Data     any    `json:"data"`
	Text     bool   `json:"text"` // JSON carries the elements of Data as they are, not in base64
}

// TritonTensor is one output tensor, as numpy saw it. Data holds float64, bool or string values.
type TritonTensor struct {
	Datatype string `json:"datatype"`
	Shape    []int  `json:"shape"`
	Data     []any  `json:"data"`
}

// TritonAnswer is what tritonclient got, by form of the request and name of the output.
type TritonAnswer struct {
	Server, Metadata map[string]any
	Index            []map[string]any
	Answers          map[string]map[string]TritonTensor
	Refusals         map[string]string
}

// Triton calls the model at baseURL with PyPI's tritonclient and returns what came back, after checking that
// binary and JSON, with and without a version, all give the same. It skips where there is no Python with pip, or another one than
// those that the packages are pinned for.
func Triton(t *testing.T, baseURL, model string, parameters map[string]any, inputs ...TritonInput) *TritonAnswer {
	t.Helper()
	folder := Python(t, "tritonclient", TritonVersion, tritonRequirements)
	address, err := url.Parse(baseURL)
	if err != nil {
		t.Fatal(err)
	}
	var answer TritonAnswer
	Script(t, folder, tritonScript, tritonJob{URL: address.Host, Model: model, Inputs: inputs, Parameters: parameters}, &answer)
	want := answer.Answers["binary"]
	if len(want) == 0 {
		t.Fatalf("the binary answer is empty")
	}
	for form, got := range answer.Answers {
		if form == "one" {
			if len(got) != 1 {
				t.Errorf("asked for one output, got %d", len(got))
			}
			for name := range got {
				if !reflect.DeepEqual(got[name], want[name]) {
					t.Errorf("output %s asked for alone differs", name)
				}
			}
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("the %s answer differs from the binary one", form)
		}
	}
	for call, status := range map[string]string{"no such model": "404: ", "no such version": "404: ", "no inputs": "400: "} {
		if !strings.HasPrefix(answer.Refusals[call], status) {
			t.Errorf("%s: tritonclient got %q, want a refusal with status %s", call, answer.Refusals[call], status)
		}
	}
	if len(answer.Index) == 0 || answer.Index[0]["name"] != model || answer.Index[0]["state"] != "READY" {
		t.Errorf("the repository index is %v, want the ready model %s first", answer.Index, model)
	}
	return &answer
}

// Floats returns the tensor's data as float32.
func (t TritonTensor) Floats() []float32 {
	values := make([]float32, len(t.Data))
	for i, v := range t.Data {
		number, _ := v.(float64)
		values[i] = float32(number)
	}
	return values
}

// CheckTritonFeatures compares what tritonclient got for one batch with the features that the implementation made
// in process.
func CheckTritonFeatures(t *testing.T, answer *TritonAnswer, want []*analysis.Features) {
	t.Helper()
	got := answer.Answers["binary"]
	embedding, tokens := got["embedding"], got["tokens"]
	if len(embedding.Shape) != 2 || len(tokens.Shape) != 3 || embedding.Shape[0] != len(want) || tokens.Shape[0] != len(want) {
		t.Fatalf("shapes are %v and %v, want %d rows", embedding.Shape, tokens.Shape, len(want))
	}
	vectors, all := embedding.Floats(), tokens.Floats()
	dim, row := embedding.Shape[1], tokens.Shape[1]*tokens.Shape[2]
	for i, f := range want {
		if d := distance(vectors[i*dim:(i+1)*dim], f.Vector); d > tolerance {
			t.Errorf("item %d: the embedding differs by %g", i, d)
		}
		padded := make([]float32, row)
		copy(padded, f.Tokens)
		if d := distance(all[i*row:(i+1)*row], padded); d > tolerance {
			t.Errorf("item %d: the tokens differ by %g", i, d)
		}
	}
	if lengths, ok := got["lengths"]; ok {
		for i, f := range want {
			if int(lengths.Floats()[i]) != f.TokenCount {
				t.Errorf("item %d: length %v, want %d", i, lengths.Data[i], f.TokenCount)
			}
		}
	}
	if answer.Metadata["versions"].([]any)[0] != want[0].Model {
		t.Errorf("the version is %v, want %s", answer.Metadata["versions"], want[0].Model)
	}
}
