package wire

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"consilium/internal/analysis"
)

func TestBesideServesEachUnderItsName(t *testing.T) {
	sick := errors.New("probe")
	second := ModelInfo{Digest: "sha256:second", Probe: func(context.Context) error { return sick }}
	url := start(t, Beside(NewVisionServer(reference{}, info()), NewRadiographServer(reference{}, second)))
	get := func(path string) (int, string) {
		t.Helper()
		r, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(b)
	}
	for path, status := range map[string]int{
		"/v2/models/vision/ready": 200, "/v2/models/radiograph/ready": 503, "/v2/health/ready": 503, "/v2/health/live": 200,
		"/v2/models/radiograph": 200, "/v2/models/radiographs": 404, "/v2/models/radiograph/versions/sha256:second": 200,
		"/v2/models/radiograph/versions/" + referenceDigest: 404,
	} {
		if got, body := get(path); got != status {
			t.Errorf("GET %s: status %d, want %d: %s", path, got, status, body)
		}
	}
	r, err := http.Post(url+"/v2/repository/index", "application/json", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	list, err := io.ReadAll(r.Body)
	if err != nil || !strings.Contains(string(list), `"radiograph"`) || !strings.Contains(string(list), `"vision"`) {
		t.Errorf("the list of models is %s, %v", list, err)
	}
	remote, err := NewRadiographEncoder(url, ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	features, err := remote.EncodeImage(t.Context(), [][]byte{[]byte("good picture")})
	if err != nil || len(features) != 1 || features[0].Model != "sha256:second" || features[0].Modality != analysis.Image {
		t.Errorf("the second model encodes %v, %v", features, err)
	}
}
