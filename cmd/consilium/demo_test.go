package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"consilium/internal/allinone"
	"consilium/internal/weights"
)

func TestDemoShowsWhatItPromises(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), []string{"demo"}, func(string) string { return "" }, &out, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{
		"image/jpeg", "text/plain", "FINDINGS", "IMPRESSION", "not a medical device", // the report
		"weight █", "entropy", "image attention, 7 x 7 cells", "model fusion       sha256:", // what it rests on
		"Question   what is the red shape?", "Answer     ", "Relies     on the image", "right is   triangle", "/docs",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the demo does not show %q", want)
		}
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

func TestAskAndReportUseARunningPlatform(t *testing.T) {
	state, err := os.MkdirTemp("", "consilium")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(state) })
	if err := os.Chmod(state, 0o755); err != nil { // root's databases run as another user
		t.Fatal(err)
	}
	settings := map[string]string{"CONSILIUM_STATE": state, "CONSILIUM_LISTEN": "127.0.0.1:0"}
	getenv := func(name string) string { return settings[name] }
	loaded, err := allinone.LoadSettings(getenv)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	stack, err := allinone.Start(t.Context(), loaded, getenv, &log, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	t.Cleanup(func() {
		if err := stack.Stop(); err != nil {
			t.Error(err)
		}
	})
	settings["CONSILIUM_URL"] = stack.URL

	folder, err := weights.Path("pneumonia-val")
	if err != nil {
		t.Fatal(err)
	}
	radiograph := filepath.Join(folder, "person1946_bacteria_4874.jpeg")
	broken := filepath.Join(t.TempDir(), "broken.png")
	if err := os.WriteFile(broken, []byte("no picture"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args       []string
		says, errs string
	}{
		{[]string{"ask", "is there a circle?", radiograph}, "Answer     ", ""},
		{[]string{"report", radiograph}, "IMPRESSION", ""},
		{[]string{"report", broken}, "", "image[0]"},
		{[]string{"ask", "", radiograph}, "", "question"},
	} {
		var out strings.Builder
		err := run(t.Context(), test.args, getenv, &out, &out)
		if (err == nil) != (test.errs == "") || err != nil && !strings.Contains(err.Error(), test.errs) || !strings.Contains(out.String(), test.says) {
			t.Errorf("consilium %q: %v\n%s", test.args, err, out.String())
		}
	}
}
