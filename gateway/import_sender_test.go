package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"consilium/gateway/client"
	"consilium/internal/importer"
	"consilium/internal/importer/sender"
)

// send imports a folder.
func (f *fixture) send(ctx context.Context, folder string, columns importer.Columns, progress func(*sender.Report)) (*sender.Report, error) {
	f.t.Helper()
	source, err := sender.Open(folder, columns)
	if err != nil {
		f.t.Fatal(err)
	}
	defer source.Close()
	api, err := client.NewClientWithResponses(f.url)
	if err != nil {
		f.t.Fatal(err)
	}
	s := sender.Sender{API: api, Progress: progress}
	return s.Send(ctx, source)
}

// studies returns how many studies are stored.
func (f *fixture) studies() (n int) {
	f.t.Helper()
	var cursor *string
	for {
		limit := 100
		page, err := f.client.ListStudiesWithResponse(context.Background(), &client.ListStudiesParams{Cursor: cursor, Limit: &limit})
		if err != nil || page.JSON200 == nil {
			f.t.Fatal(err)
		}
		n += len(page.JSON200.Studies)
		if cursor = page.JSON200.NextCursor; cursor == nil {
			return n
		}
	}
}

func write(t *testing.T, folder, name string, content []byte) {
	t.Helper()
	path := filepath.Join(folder, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAnImportThatEndsEarlyGoesOn(t *testing.T) {
	f := newFixture(t, nil)
	folder := t.TempDir()
	const n = 150
	var table strings.Builder
	table.WriteString("file,accession,ward\n")
	for i := range n {
		name := fmt.Sprintf("films/%d.png", i)
		write(t, folder, name, picture(uint8(i)))
		fmt.Fprintf(&table, "%s,A%d,%d\n", name, i, i%3)
	}
	secret := filepath.Join(t.TempDir(), "secret.png")
	write(t, filepath.Dir(secret), "secret.png", picture(200))
	if err := os.Symlink(secret, filepath.Join(folder, "link.png")); err != nil {
		t.Fatal(err)
	}
	table.WriteString("films/gone.png,B1,\nlink.png,B2,\n../secret.png,B3,\n")
	write(t, folder, importer.TableName, []byte(table.String()))

	ctx, cancel := context.WithCancel(context.Background())
	report, err := f.send(ctx, folder, importer.Columns{}, func(*sender.Report) { cancel() }) // after the first request
	if !errors.Is(err, context.Canceled) || report.Created == 0 || report.Created == n {
		t.Fatalf("the first run: %+v, %v", report, err)
	}
	stored := report.Created
	if got := f.studies(); got != stored {
		t.Errorf("%d studies are stored, %d were reported", got, stored)
	}
	for _, want := range []struct{ created, exists int }{{n - stored, stored}, {0, n}} {
		report, err = f.send(context.Background(), folder, importer.Columns{}, func(*sender.Report) {})
		if err != nil || report.Created != want.created || report.Exists != want.exists || report.Refused != 3 || report.Studies != n+3 || f.studies() != n {
			t.Errorf("run again: %+v, %v, want %+v", report, err, want)
		}
	}
	for i, want := range []string{"not there", "escapes", "out of the folder"} {
		if got := report.Refusals[i]; !strings.Contains(got.Err.Error(), want) || got.Line != n+2+i {
			t.Errorf("refusal %d is %+v, want %q", i, got, want)
		}
	}
}

func TestAFolderWithoutATableIsImported(t *testing.T) {
	f := newFixture(t, nil)
	folder := t.TempDir()
	write(t, folder, "a/one.png", picture(1))
	write(t, folder, "a/two.wav", sound())
	write(t, folder, "b/1.dcm", film("1.2.3", "1.2.3.1", "1.2.3.1.1"))
	write(t, folder, "b/2.dcm", film("1.2.3", "1.2.3.1", "1.2.3.1.2"))
	write(t, folder, "b/broken.png", []byte("\x89PNG\r\n\x1a\n"))
	write(t, folder, ".hidden/three.png", picture(3))
	for _, want := range []struct{ created, exists int }{{4, 0}, {0, 4}} {
		report, err := f.send(context.Background(), folder, importer.Columns{}, func(*sender.Report) {})
		if err != nil || report.Created != want.created || report.Exists != want.exists || report.Refused != 1 || f.studies() != 3 {
			t.Errorf("report %+v, %v; %d studies", report, err, f.studies())
		}
	}
}

func TestTheFilmsAreImported(t *testing.T) {
	data := os.Getenv("CONSILIUM_DATA")
	if data == "" {
		t.Skip("CONSILIUM_DATA is not set")
	}
	f := newFixture(t, nil)
	columns := importer.Columns{Accession: "id", Note: "clinical_notes", Labels: []string{"labels", "view", "sex", "age", "split", "source_dataset"}}
	report, err := f.send(context.Background(), filepath.Join(data, "cxr"), columns, func(*sender.Report) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, refusal := range report.Refusals {
		t.Errorf("line %d %v: %v", refusal.Line, refusal.Files, refusal.Err)
	}
	if report.Created != report.Studies || report.Studies != 1250 {
		t.Errorf("report %+v", report)
	}
	response, raw := f.do(http.MethodGet, "/v1/studies?label=labels%3DPneumonia&label=split%3Dtest&limit=1", nil, nil)
	if response.StatusCode != http.StatusOK || !strings.Contains(string(raw), "Pneumonia") {
		t.Errorf("chosen by label: %s", raw)
	}
}
