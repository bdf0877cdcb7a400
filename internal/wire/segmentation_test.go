package wire

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"

	"consilium/internal/analysis"
	"consilium/internal/mask"
	"consilium/internal/wire/conform"
)

// Segment makes masks of the bytes of the pictures.
func (reference) Segment(ctx context.Context, images [][]byte) ([]*analysis.Segmentation, error) {
	made := make([]*analysis.Segmentation, len(images))
	for i, image := range images {
		if err := file("image", image); err != nil {
			return nil, err
		}
		made[i] = &analysis.Segmentation{Rows: 4, Cols: 8, Model: referenceDigest}
		values := draw(image, len(analysis.Structures)*32)
		for j, name := range analysis.Structures {
			cells := mask.New(8, 4)
			for k := range cells.On {
				cells.On[k] = values[j*32+k] > 0
			}
			made[i].Masks = append(made[i].Masks, analysis.Mask{Structure: name, Runs: cells.Runs(), Confidence: float64(float32(1) / float32(j+2))})
		}
	}
	return made, ctx.Err()
}

func segmenter(t *testing.T, url string) *Segmenter {
	t.Helper()
	client, err := NewSegmenter(url, options)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestSegmentationConforms(t *testing.T) {
	conform.Segmentation(t, reference{}, segmenter(t, start(t, NewSegmentationServer(reference{}, info()))), files)
}

func TestVisionAndSegmentationShareAServer(t *testing.T) {
	broken := errors.New("the weights are gone")
	var probe error
	own := info()
	own.Digest, own.Probe = "sha256:masks", func(context.Context) error { return probe }
	url := start(t, Beside(NewVisionServer(reference{}, info()), NewSegmentationServer(reference{}, own)))
	vision, err := NewVisionEncoder(url, options)
	if err != nil {
		t.Fatal(err)
	}
	conform.Vision(t, reference{}, vision, files)
	masks := segmenter(t, url)
	made, err := masks.Segment(t.Context(), [][]byte{files["good"]})
	if err != nil || made[0].Model != "sha256:masks" {
		t.Fatalf("%v: %v", made, err)
	}
	for _, ready := range []func(context.Context) error{vision.Ready, masks.Ready} {
		if err := ready(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if digest, err := masks.Digest(t.Context()); err != nil || digest != "sha256:masks" {
		t.Errorf("digest %s: %v", digest, err)
	}
	index := func(url string) []map[string]string {
		response, err := http.Post(url+"/v2/repository/index", "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var list []map[string]string
		if err := json.NewDecoder(response.Body).Decode(&list); err != nil {
			t.Fatal(err)
		}
		return list
	}
	if list := index(url); len(list) != 2 || list[0]["name"] != VisionModel || list[1]["name"] != SegmentationModel || list[1]["state"] != "READY" {
		t.Errorf("the index is %v", list)
	}

	probe = broken // another server: a result of a probe lives for a second
	url = start(t, Beside(NewVisionServer(reference{}, info()), NewSegmentationServer(reference{}, own)))
	if list := index(url); list[0]["state"] != "READY" || list[1]["state"] != "UNAVAILABLE" {
		t.Errorf("the index is %v", list)
	}
	response, err := http.Get(url + "/v2/health/ready")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusServiceUnavailable || strings.Contains(string(body), "weights") {
		t.Errorf("with a broken segmentation the server's readiness is %d %s", response.StatusCode, body)
	}
	if err := segmenter(t, url).Ready(t.Context()); analysis.CodeOf(err) != analysis.Unavailable {
		t.Errorf("a broken segmentation is ready: %v", err)
	}
}

// One by one, what a segmentation that lies can answer; nothing of it gets through.
func TestBadMasks(t *testing.T) {
	for name, change := range map[string]func(outputs []Tensor){
		"another structure":  func(o []Tensor) { o[0].Bytes[0] = []byte("spleen") },
		"structures swapped": func(o []Tensor) { o[0].Bytes[0], o[0].Bytes[1] = o[0].Bytes[1], o[0].Bytes[0] },
		"a structure less": func(o []Tensor) {
			o[0].Bytes, o[0].Shape = o[0].Bytes[1:], []int{len(analysis.Structures) - 1}
		},
		"no cells":   func(o []Tensor) { o[1].Bools, o[1].Shape = nil, []int{1, len(analysis.Structures), 0, 0} },
		"no columns": func(o []Tensor) { o[1].Bools, o[1].Shape = nil, []int{1, len(analysis.Structures), 4, 0} },
		"too wide": func(o []Tensor) {
			o[1].Shape = []int{1, len(analysis.Structures), 1, 2000}
			o[1].Bools = make([]bool, 12000)
		},
		"no picture":           func(o []Tensor) { o[1].Bools, o[1].Shape = nil, []int{0, len(analysis.Structures), 4, 8} },
		"two pictures":         func(o []Tensor) { o[2].Floats, o[2].Shape = make([]float32, 12), []int{2, 6} },
		"confidence above 1":   func(o []Tensor) { o[2].Floats[3] = 1.5 },
		"confidence below 0":   func(o []Tensor) { o[2].Floats[3] = -0.5 },
		"confidence of no use": func(o []Tensor) { o[2].Floats[3] = float32(math.NaN()) },
	} {
		t.Run(name, func(t *testing.T) {
			made, err := reference{}.Segment(t.Context(), [][]byte{files["good"]})
			if err != nil {
				t.Fatal(err)
			}
			outputs, err := packSegmentations(&request{}, made, 1)
			if err != nil {
				t.Fatal(err)
			}
			change(outputs)
			m := &message{Model: SegmentationModel, Version: referenceDigest}
			all := func(string) bool { return true }
			if m.Outputs, err = headersOf(outputs, all); err != nil {
				t.Fatal(err)
			}
			body, headerLength, err := assemble(m, outputs, all)
			if err != nil {
				t.Fatal(err)
			}
			client := segmenter(t, start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { writeAnswer(w, body, headerLength) })))
			got, err := client.Segment(t.Context(), [][]byte{files["good"]})
			if analysis.CodeOf(err) != analysis.BadUpstream || got != nil {
				t.Errorf("got %v and %v, want %s", got, err, analysis.BadUpstream)
			}
		})
	}
}
