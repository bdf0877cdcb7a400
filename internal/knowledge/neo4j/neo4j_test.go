package neo4j

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/neo4j/neo4j-go-driver/v5/neo4j"

	"consilium/internal/analysis"
	"consilium/internal/knowledge"
	"consilium/internal/knowledge/knowledgetest"
	"consilium/internal/weights"
)

// start starts a real Neo4j 5.26 from the packages that testdata/pom.xml names and returns its address. The first run fetches
// them with Maven into the cache. Without Java, Maven or a way to the packages the test is skipped, unless
// CONSILIUM_TEST_NEO4J is "required".
func start(t *testing.T) string {
	t.Helper()
	skip := t.Skipf
	if os.Getenv("CONSILIUM_TEST_NEO4J") == "required" {
		skip = t.Fatalf
	} else if testing.Short() {
		t.Skip("a Neo4j takes long to start")
	}
	java, err := exec.LookPath("java")
	if err != nil {
		skip("no Neo4j without Java 17: %v", err)
	}
	root, err := weights.Root()
	if err != nil {
		t.Fatal(err)
	}
	lib := filepath.Join(root, "neo4j-harness-5.26.0")
	if _, err := os.Stat(lib); err != nil {
		mvn, err := exec.LookPath("mvn")
		if err != nil {
			skip("no Neo4j without Maven: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		partial := lib + ".partial"
		if out, err := exec.CommandContext(ctx, mvn, "-q", "-B", "-f", "testdata/pom.xml", "dependency:copy-dependencies", "-DoutputDirectory="+partial).CombinedOutput(); err != nil {
			skip("no Neo4j: fetch its packages: %v: %.300s", err, out)
		}
		if err := os.Rename(partial, lib); err != nil {
			t.Fatal(err)
		}
	}
	// A program of one file runs from its source, in a folder of its own since Neo4j writes beside it.
	source, err := filepath.Abs("testdata/Neo4j.java")
	if err != nil {
		t.Fatal(err)
	}
	server := exec.Command(java, "-Xmx512m", "-cp", filepath.Join(lib, "*"), source)
	server.Dir = t.TempDir()
	stdin, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	server.Stderr = &log
	if err := server.Start(); err != nil {
		skip("no Neo4j: %v", err)
	}
	t.Cleanup(func() {
		if err := errors.Join(stdin.Close(), server.Wait()); err != nil {
			t.Errorf("stop Neo4j: %v", err)
		}
	})
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "bolt://") {
			return strings.TrimSuffix(lines.Text(), "/")
		}
	}
	skip("no Neo4j: it said no address: %.500s", log.String())
	return ""
}

func TestStatic(t *testing.T) {
	address := start(t)
	knowledgetest.Static(t, func(t *testing.T) knowledge.Static {
		s, err := Open(address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		empty := func(tx neo4j.ManagedTransaction) error { return run(t.Context(), tx, "MATCH (n) DETACH DELETE n", nil) }
		if err := s.write(t.Context(), "empty the database", empty); err != nil {
			t.Fatal(err)
		}
		return s
	})
	t.Run("the whole ontology", func(t *testing.T) {
		data := os.Getenv("CONSILIUM_DATA")
		if data == "" {
			t.Skip("CONSILIUM_DATA is not set")
		}
		release, err := knowledge.ReadFolder(filepath.Join(data, "kg"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := Open(address)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.Load(t.Context(), release); err != nil {
			t.Fatal(err)
		}
		edges, err := s.Edges(t.Context(), release.Digest, []string{"DOID:552"}, knowledge.Both, knowledge.Relations, 100)
		if err != nil || len(edges) < 5 {
			t.Errorf("pneumonia has %d edges, %v", len(edges), err)
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	for _, address := range []string{"", "localhost:7687", "http://localhost", "bolt://", "bolt://us er:pass@%zz"} {
		s, err := Open(address)
		if err == nil {
			t.Errorf("%q was taken", address)
			_ = s.Close()
		} else if strings.Contains(err.Error(), "pass@") {
			t.Errorf("the error repeats the password: %v", err)
		}
	}
}

func TestUnavailable(t *testing.T) {
	s, err := Open("bolt://user:secret@127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Ready(t.Context()); analysis.CodeOf(err) != analysis.Unavailable || strings.Contains(err.Error(), "secret") {
		t.Errorf("nobody listens: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Terms(ctx, "x", nil); err == nil {
		t.Error("a call whose caller is gone was answered")
	}
}
