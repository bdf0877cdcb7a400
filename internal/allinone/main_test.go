package allinone

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"consilium/gateway/client"
	"consilium/gateway/conform"
	"consilium/internal/sandbox"
	"consilium/internal/weights"
)

// shared is the platform of the tests that leave it as they found it. Those that break a part start their own.
var shared struct {
	once  sync.Once
	stack *Stack
	state string
	log   logBuffer
	err   error
}

func TestMain(m *testing.M) {
	sandbox.Enter() // does not return in the process of a model
	code := m.Run()
	if shared.stack != nil {
		if err := shared.stack.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	if shared.state != "" {
		os.RemoveAll(shared.state)
	}
	os.Exit(code)
}

// logBuffer keeps what the parts log, for the tests that fail.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logBuffer) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	content := l.b.Bytes()
	return string(content[max(0, len(content)-4096):])
}

// stateFolder is one that root's databases, which run as another user, may enter.
func stateFolder() (string, error) {
	dir, err := os.MkdirTemp("", "allinone")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

func boot(ctx context.Context, state string, log io.Writer) (*Stack, error) {
	getenv := func(name string) string {
		return map[string]string{"CONSILIUM_STATE": state, "CONSILIUM_LISTEN": anyPort}[name]
	}
	settings, err := LoadSettings(getenv)
	if err != nil {
		return nil, err
	}
	return Start(ctx, settings, getenv, log, nil)
}

// platform returns the shared platform.
func platform(t *testing.T) *session {
	t.Helper()
	shared.once.Do(func() {
		if shared.state, shared.err = stateFolder(); shared.err == nil {
			shared.stack, shared.err = boot(context.Background(), shared.state, &shared.log)
		}
	})
	if shared.err != nil {
		t.Fatalf("%v\n%s", shared.err, shared.log.tail())
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of the log:\n%s", shared.log.tail())
		}
	})
	return newSession(t, shared.stack)
}

// ownPlatform returns a platform that the test may break.
func ownPlatform(t *testing.T) (*session, string) {
	t.Helper()
	state, err := stateFolder()
	if err != nil {
		t.Fatal(err)
	}
	log := &logBuffer{}
	stack, err := boot(t.Context(), state, log)
	if err != nil {
		t.Fatalf("%v\n%s", err, log.tail())
	}
	t.Cleanup(func() {
		if err := stack.Stop(); err != nil {
			t.Error(err)
		}
		os.RemoveAll(state)
		if t.Failed() {
			t.Logf("the end of the log:\n%s", log.tail())
		}
	})
	return newSession(t, stack), state
}

// A session talks to a platform over HTTP, and holds every answer against openapi.yaml.
type session struct {
	*client.ClientWithResponses
	t     *testing.T
	stack *Stack
	http  *http.Client
}

func newSession(t *testing.T, stack *Stack) *session {
	t.Helper()
	checked := &http.Client{Transport: conform.New(t).Transport()}
	api, err := client.NewClientWithResponses(stack.URL, client.WithHTTPClient(checked))
	if err != nil {
		t.Fatal(err)
	}
	return &session{api, t, stack, checked}
}

// store stores a study, which is deleted when the test ends unless the test did.
func (s *session) store(u *client.Upload) *client.Study {
	s.t.Helper()
	contentType, form, err := u.Form()
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := s.CreateStudyWithBodyWithResponse(s.t.Context(), contentType, form)
	if err != nil {
		s.t.Fatal(err)
	}
	if r.JSON201 == nil {
		s.t.Fatalf("store a study: %s %s", r.Status(), r.Body)
	}
	s.t.Cleanup(func() { _, _ = s.DeleteStudyWithResponse(context.Background(), r.JSON201.Id) })
	if r.Headers201 == nil || r.Headers201.Location != "/v1/studies/"+r.JSON201.Id {
		s.t.Errorf("location: %+v", r.Headers201)
	}
	return r.JSON201
}

func (s *session) ask(study, question string) *client.Answer {
	s.t.Helper()
	r, err := s.AskStudyWithResponse(s.t.Context(), study, client.QuestionRequest{Question: question})
	if err != nil {
		s.t.Fatal(err)
	}
	if r.JSON200 == nil {
		s.t.Fatalf("ask %q: %s %s", question, r.Status(), r.Body)
	}
	return r.JSON200
}

// problem sends a request as it is and returns its status and the problem in the answer, which has to be one.
func (s *session) problem(method, path, contentType string, body io.Reader) (int, *client.Problem) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.stack.URL+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := s.http.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	p := &client.Problem{}
	if kind := response.Header.Get("Content-Type"); kind != "application/problem+json" {
		s.t.Fatalf("%s %s: status %d with content type %q: %.300s", method, path, response.StatusCode, kind, content)
	}
	if err := json.Unmarshal(content, p); err != nil {
		s.t.Fatal(err)
	}
	if p.Status != response.StatusCode || p.Title == "" || p.Detail == "" || len(p.TraceId) != 32 {
		s.t.Errorf("%s %s: status %d with the problem %s", method, path, response.StatusCode, content)
	}
	return response.StatusCode, p
}

// Real content of each modality.

const clinicalNote = "Cough and fever for four days. Coarse crackles over the right lower zone."

func file(t *testing.T, name string, below ...string) []byte {
	t.Helper()
	path, err := weights.Path(name)
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(append([]string{path}, below...)...))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func radiograph(t *testing.T) []byte {
	return file(t, "pneumonia-val", "person1946_bacteria_4874.jpeg")
}

func shapes(t *testing.T) []byte { return file(t, "easy-vqa", "data", "test", "images", "0.png") }

// tone is a second of a 440 Hz sine at 8 kHz, 16 bit, as a WAV file.
func tone() []byte {
	const rate = 8000
	le := binary.LittleEndian
	b := append([]byte("RIFF"), le.AppendUint32(nil, 36+2*rate)...)
	b = le.AppendUint32(append(b, "WAVEfmt "...), 16)
	b = le.AppendUint16(le.AppendUint16(b, 1), 1) // PCM, mono
	b = le.AppendUint32(le.AppendUint32(b, rate), 2*rate)
	b = le.AppendUint16(le.AppendUint16(b, 2), 16)
	b = le.AppendUint32(append(b, "data"...), 2*rate)
	for i := range rate {
		b = le.AppendUint16(b, uint16(int16(12000*math.Sin(2*math.Pi*440*float64(i)/rate))))
	}
	return b
}
