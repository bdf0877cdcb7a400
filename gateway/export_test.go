package gateway

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"consilium/gateway/client"
	"consilium/internal/importer"
)

// exported reads an export and compares its digests.
func exported(t *testing.T, raw []byte) map[string][]byte {
	t.Helper()
	files, sums := map[string][]byte{}, ""
	archive := tar.NewReader(bytes.NewReader(raw))
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		if header.Name == importer.SumsName {
			sums = string(content)
			continue
		}
		if sums != "" {
			t.Errorf("%s comes after the sums", header.Name)
		}
		files[header.Name] = content
	}
	if got := strings.Count(sums, "\n"); got != len(files) {
		t.Errorf("%d sums for %d files", got, len(files))
	}
	for name, content := range files {
		if line := fmt.Sprintf("%x  %s\n", sha256.Sum256(content), name); !strings.Contains(sums, line) {
			t.Errorf("no sum %q", line)
		}
	}
	return files
}

func TestAnExportHoldsEverything(t *testing.T) {
	f := newFixture(t, nil)
	study := f.create()
	if _, err := f.client.AskStudyWithResponse(context.Background(), study.Id, client.QuestionRequest{Question: "Is it red?"}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.client.CreateReportWithResponse(context.Background(), study.Id, client.ReportRequest{}); err != nil {
		t.Fatal(err)
	}
	response, raw := f.do(http.MethodGet, "/v1/export", nil, nil)
	if response.StatusCode != http.StatusOK {
		t.Fatalf("export answered %d %.300s", response.StatusCode, raw)
	}
	files := exported(t, raw)
	for name, want := range map[string]string{
		"tables/studies-0001.ndjson": study.Id, "tables/artefacts-0001.ndjson": study.Artefacts[0].Id, "tables/answers-0001.ndjson": "Is it red?",
		"tables/reports-0001.ndjson": study.Id, "tables/report_versions-0001.ndjson": "disclaimer", "tables/report_events-0001.ndjson": "preliminary",
	} {
		if !strings.Contains(string(files[name]), want) {
			t.Errorf("%s lacks %q: %.200s", name, want, files[name])
		}
	}
	for _, a := range study.Artefacts {
		if content := files["blobs/"+a.Sha256]; int64(len(content)) != a.Bytes {
			t.Errorf("the bytes of %s: %d, want %d", a.MediaType, len(content), a.Bytes)
		}
	}
	tables := 0
	for _, name := range f.tables("tenant_id") {
		if name == "api_keys" { // which are the operator's
			continue
		}
		if _, there := files["tables/"+name+"-0001.ndjson"]; !there {
			t.Errorf("the export lacks the table %s", name)
		}
		tables++
	}
	if tables < 10 {
		t.Errorf("looked for %d tables only", tables)
	}
}
