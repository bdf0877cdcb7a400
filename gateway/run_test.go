package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"consilium/gateway/api"
	"consilium/gateway/conform"
	"consilium/internal/childproc"
	"consilium/internal/postgres/pgtest"
	"consilium/internal/serve"
	"consilium/internal/wire"
)

// TestRun starts the program as its main does: real settings, PostgreSQL, Redis, and the four models behind the
// wire.
func TestRun(t *testing.T) {
	m := &models{}
	info := func(digest string) wire.ModelInfo {
		return wire.ModelInfo{Digest: digest, Probe: func(context.Context) error { return nil }, Log: serve.NewLogger(io.Discard, serve.Config{}, "model")}
	}
	start := func(handler http.Handler) string {
		server := httptest.NewServer(handler)
		t.Cleanup(server.Close)
		return server.URL
	}
	settings := map[string]string{
		"CONSILIUM_LISTEN": "127.0.0.1:0", "CONSILIUM_POSTGRES_URL": pgtest.New(t), "CONSILIUM_BLOB_DIR": t.TempDir(), "CONSILIUM_REDIS_URL": startValkey(t),
		"CONSILIUM_TEXT_ENCODER_URL":   start(wire.NewTextServer(m, info("text-digest"))),
		"CONSILIUM_VISION_ENCODER_URL": start(wire.NewVisionServer(m, info("image-digest"))),
		"CONSILIUM_AUDIO_ENCODER_URL":  start(wire.NewAudioServer(m, info("audio-digest"))),
		"CONSILIUM_FUSION_URL":         start(wire.NewFusionServer(m, info("fusion-digest"))),
	}
	kg := t.TempDir()
	if err := os.WriteFile(filepath.Join(kg, "HumanDO.tsv"), []byte("id\tlabel\tsubClassOf\nDOID:552\tpneumonia\tdisease\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	settings["CONSILIUM_KNOWLEDGE_DIR"] = kg
	ctx, stop := context.WithCancel(context.Background())
	reader, writer := io.Pipe()
	log := &logBuffer{}
	ended := make(chan error, 1)
	go func() {
		err := Run(ctx, nil, func(name string) string { return settings[name] }, writer, log)
		writer.CloseWithError(err)
		ended <- err
	}()
	address, err := bufio.NewReader(reader).ReadString('\n')
	if err != nil {
		t.Fatalf("the program ended: %v", err)
	}
	f := &fixture{t: t, url: strings.TrimSpace(address), log: log, models: m, transport: conform.New(t).Transport()}
	if response, body := f.do(http.MethodGet, "/readyz", nil, nil); response.StatusCode != http.StatusOK {
		t.Errorf("readiness is %s", body)
	}
	if response, body := f.do(http.MethodGet, "/v1/knowledge/terms/FINDING:pneumonia/neighbours?relation=same_as", nil, nil); response.StatusCode != http.StatusOK || !bytes.Contains(body, []byte(`"pneumonia"`)) {
		t.Errorf("around the finding pneumonia is %s", body)
	}
	ask := func() (answer api.StatelessAnswer) {
		t.Helper()
		contentType, body := form(item{"question", []byte("What colour?")}, item{"text", []byte("note")}, item{"image", picture(7)}, item{"audio", sound()})
		response, content := f.do(http.MethodPost, "/v1/vqa", http.Header{"Content-Type": {contentType}}, bytes.NewReader(body))
		if err := json.Unmarshal(content, &answer); err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("answered %s: %s", response.Status, content)
		}
		answer.TraceId, answer.Timing = "", nil
		return answer
	}
	first, second := ask(), ask()
	if a, b := toJSON(t, first), toJSON(t, second); a != b {
		t.Errorf("the remembered answer is another one:\n%s\n%s", a, b)
	}
	_, metrics := f.do(http.MethodGet, "/metrics", nil, nil)
	for _, want := range []string{`consilium_cache_lookups_total{kind="answer",outcome="hit"} 1`, `consilium_cache_lookups_total{kind="text",outcome="miss"} 2`, `kind="image",outcome="miss"} 2`} {
		if !bytes.Contains(metrics, []byte(want)) {
			t.Errorf("the metrics do not say %s", want)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("the program ended with %v", err)
	}
}

func toJSON(t *testing.T, value any) string {
	t.Helper()
	b, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func startValkey(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gatewaytest") // a socket's path is short
	if err == nil {
		t.Cleanup(func() { os.RemoveAll(dir) })
		err = os.Chmod(dir, 0o755) // root's server runs as another user
	}
	if err != nil {
		t.Fatal(err)
	}
	valkey, err := childproc.StartValkey(context.Background(), filepath.Join(dir, "valkey"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := valkey.Stop(); err != nil {
			t.Error(err)
		}
	})
	return valkey.URL()
}

func TestEveryMistakeInTheSettingsIsNamed(t *testing.T) {
	good := map[string]string{
		"CONSILIUM_POSTGRES_URL": "postgres://u:hunter2@db/consilium", "CONSILIUM_BLOB_DIR": "/blobs", "CONSILIUM_TEXT_ENCODER_URL": "http://text:1",
		"CONSILIUM_VISION_ENCODER_URL": "http://vision:1", "CONSILIUM_AUDIO_ENCODER_URL": "http://audio:1", "CONSILIUM_FUSION_URL": "http://fusion:1",
	}
	if _, err := LoadConfig(func(name string) string { return good[name] }); err != nil {
		t.Error(err)
	}
	for name, test := range map[string]struct {
		change map[string]string
		want   []string
	}{
		"none set": {map[string]string{"CONSILIUM_POSTGRES_URL": "", "CONSILIUM_BLOB_DIR": "", "CONSILIUM_FUSION_URL": ""},
			[]string{"CONSILIUM_POSTGRES_URL", "CONSILIUM_BLOB_DIR", "CONSILIUM_FUSION_URL"}},
		"wrong": {map[string]string{"CONSILIUM_POSTGRES_URL": "mysql://u:hunter2@db/x", "CONSILIUM_REDIS_URL": "http://u:hunter2@cache", "CONSILIUM_TEXT_ENCODER_URL": "text:1",
			"CONSILIUM_LISTEN": "8080", "CONSILIUM_REQUEST_TIMEOUT": "1h", "CONSILIUM_REVIEW_BELOW": "NaN", "CONSILIUM_NEO4J_URL": "http://u:hunter2@graph"},
			[]string{"CONSILIUM_POSTGRES_URL", "CONSILIUM_REDIS_URL", "CONSILIUM_TEXT_ENCODER_URL", "CONSILIUM_LISTEN", "CONSILIUM_REQUEST_TIMEOUT", "CONSILIUM_REVIEW_BELOW", "CONSILIUM_NEO4J_URL"}},
	} {
		_, err := LoadConfig(func(setting string) string {
			if value, ok := test.change[setting]; ok {
				return value
			}
			return good[setting]
		})
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for _, want := range test.want {
			if strings.Count(err.Error(), want+":") != 1 {
				t.Errorf("%s: the error does not name %s once:\n%v", name, want, err)
			}
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error holds a password:\n%v", name, err)
		}
	}
}

func TestRunRefusesArguments(t *testing.T) {
	if err := Run(context.Background(), []string{"--port"}, func(string) string { return "" }, io.Discard, io.Discard); err == nil {
		t.Error("an argument was accepted")
	}
}

func TestRunRefusesKnowledgeItCannotRead(t *testing.T) {
	settings := map[string]string{
		"CONSILIUM_POSTGRES_URL": pgtest.New(t), "CONSILIUM_BLOB_DIR": t.TempDir(), "CONSILIUM_KNOWLEDGE_DIR": t.TempDir(), "CONSILIUM_TEXT_ENCODER_URL": "http://text:1",
		"CONSILIUM_VISION_ENCODER_URL": "http://vision:1", "CONSILIUM_AUDIO_ENCODER_URL": "http://audio:1", "CONSILIUM_FUSION_URL": "http://fusion:1",
	}
	err := Run(t.Context(), nil, func(name string) string { return settings[name] }, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "CONSILIUM_KNOWLEDGE_DIR") || !strings.Contains(err.Error(), "HumanDO.tsv") {
		t.Errorf("an empty folder: %v", err)
	}
}
