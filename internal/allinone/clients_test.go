package allinone

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"consilium/internal/weights"
	"consilium/internal/wire/conform"
)

var (
	//go:embed testdata/client.py
	pythonClient string
	//go:embed testdata/client.ts
	typeScriptClient []byte
	//go:embed testdata/openai_client.py
	openAIClient string
	//go:embed testdata/openai_requirements.txt
	openAIRequirements string
)

// clientJob is what the programs read that use a client.
type clientJob struct {
	URL  string `json:"url"`
	Film string `json:"film"`
	Note string `json:"note"`
}

func (s *session) clientJob() clientJob {
	s.t.Helper()
	films, err := weights.Path("pneumonia-val")
	if err != nil {
		s.t.Fatal(err)
	}
	return clientJob{URL: s.stack.URL, Film: filepath.Join(films, "person1946_bacteria_4874.jpeg"), Note: clinicalNote}
}

// TestGeneratedClients makes the clients as a user does and lets each store a study, ask, report, follow a job, and delete.
func TestGeneratedClients(t *testing.T) {
	requirements, err := os.ReadFile("../../clients/python/requirements.txt")
	if err != nil {
		t.Fatal(err)
	}
	tool := conform.Python(t, "openapi-python-client", "0.29.1", string(requirements))
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skipf("npm is needed for the client in TypeScript: %v", err)
	}
	s := platform(t)
	made := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "make", "-C", "../..", "clients", "CLIENTS="+made).CombinedOutput(); err != nil {
		t.Fatalf("make clients: %v\n%s", err, out)
	}
	log, err := os.ReadFile(filepath.Join(made, "python.log"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, "WARNING") && !strings.Contains(line, "/dicom-web/") {
			t.Errorf("the client in Python lacks something: %s", line)
		}
	}
	t.Run("Python", func(t *testing.T) {
		var got clientWork
		conform.Script(t, tool+":"+filepath.Join(made, "python"), pythonClient, s.clientJob(), &got)
		got.check(t, "From Python", "python")
	})
	t.Run("TypeScript", func(t *testing.T) {
		folder := filepath.Join(made, "typescript")
		if err := os.WriteFile(filepath.Join(folder, "src", "use.ts"), typeScriptClient, 0o600); err != nil {
			t.Fatal(err)
		}
		compile := exec.CommandContext(t.Context(), filepath.Join(folder, "node_modules", ".bin", "tsc"))
		compile.Dir = folder
		if out, err := compile.CombinedOutput(); err != nil {
			t.Fatalf("the types do not fit: %v\n%s", err, out)
		}
		raw, err := json.Marshal(s.clientJob())
		if err != nil {
			t.Fatal(err)
		}
		node := exec.CommandContext(t.Context(), "node", filepath.Join(folder, "dist", "use.js"))
		node.Stdin = bytes.NewReader(raw)
		var stderr bytes.Buffer
		node.Stderr = &stderr
		out, err := node.Output()
		if err != nil {
			t.Fatalf("node: %v\n%s", err, stderr.String())
		}
		var got clientWork
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		got.check(t, "From TypeScript", "typescript")
	})
}

// clientWork is what a client did.
type clientWork struct {
	Title                              string
	Labels                             map[string]string
	Modalities, Sections, Items        []string
	Same, Listed, Again                bool
	Answer, Disclaimer, State, Problem string
	Later                              string // the task of a report that was not waited for
	Candidates, Deleted                int
	Progress                           []int
}

func (w *clientWork) check(t *testing.T, title, label string) {
	t.Helper()
	if w.Title != title || w.Labels["client"] != label || !slices.Equal(w.Modalities, []string{"text", "image"}) || !w.Same || !w.Listed {
		t.Errorf("stored %+v", w)
	}
	if w.Answer == "" || w.Candidates < 2 || !strings.Contains(w.Disclaimer, "not a medical device") || !slices.Contains(w.Sections, "findings") || !w.Again || w.Later != "report" {
		t.Errorf("analysed %+v", w)
	}
	if w.State != "completed" || !slices.Equal(w.Items, []string{"succeeded", "succeeded"}) || !slices.IsSorted(w.Progress) || len(w.Progress) == 0 || w.Progress[len(w.Progress)-1] != 2 {
		t.Errorf("the job went %+v", w)
	}
	if w.Problem != "study_id" || w.Deleted != 204 {
		t.Errorf("refused %q, deleted %d", w.Problem, w.Deleted)
	}
}

// TestOpenAIClient asks for embeddings with PyPI's openai.
func TestOpenAIClient(t *testing.T) {
	folder := conform.Python(t, "openai", "3.54.0", openAIRequirements)
	s := platform(t)
	var got struct {
		Object          string
		Indexes, Dims   []int
		Difference      float64
		Tokens, Refused int
		Models          []string
	}
	conform.Script(t, folder, openAIClient, s.clientJob(), &got)
	if got.Object != "list" || !slices.Equal(got.Indexes, []int{0, 1}) || !reflect.DeepEqual(got.Dims, []int{384, 384, 384, 384, 1280}) {
		t.Errorf("got %+v", got)
	}
	if got.Difference > 1e-6 || got.Refused != 404 || !slices.Contains(got.Models, "consilium-text") {
		t.Errorf("got %+v", got)
	}
}
