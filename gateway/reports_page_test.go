package gateway

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// browserTime ends a browser that hangs; a page takes it a second.
const browserTime = 2 * time.Minute

// TestThePageInABrowser opens the page of a hostile report in Chromium, which asks for HTML by itself, and prints it.
func TestThePageInABrowser(t *testing.T) {
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed")
	}
	f := measuring(t, false)
	url := f.url + "/v1/reports/" + hostileReport(t, f, picture(1))
	printed := filepath.Join(t.TempDir(), "page.pdf")
	run := func(arguments ...string) (string, string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), browserTime)
		defer cancel()
		command := exec.CommandContext(ctx, browser, append([]string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
			"--enable-logging=stderr", "--user-data-dir=" + t.TempDir()}, append(arguments, url)...)...)
		command.Env = append(os.Environ(), "HOME="+t.TempDir())
		var out, log bytes.Buffer
		command.Stdout, command.Stderr = &out, &log
		command.WaitDelay = 5 * time.Second // its helpers hold the pipes for longer than it lives
		if err := command.Run(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
			t.Fatalf("chromium: %v\n%s", err, log.String())
		}
		return out.String(), log.String()
	}
	dom, log := run("--dump-dom")
	// What the page's own policy refuses, such as its style if the hash were wrong, and what a script says, is in the log.
	if strings.Contains(log, "Content Security Policy") || strings.Contains(log, "CONSOLE") {
		t.Errorf("the browser complains: %s", log)
	}
	if strings.Count(dom, "<img ") != 2 || strings.Contains(dom, "<script") || strings.Contains(dom, "onerror=alert(1)\"") || strings.Count(dom, "<h2>") < 6 {
		t.Errorf("the browser made of the page:\n%s", dom)
	}
	for _, want := range []string{`id="status"`, "Amended and signed by", "Research software, not a medical device", "segmentation-digest", "&lt;script&gt;alert(1)&lt;/script&gt;"} {
		if !strings.Contains(dom, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	run("--print-to-pdf="+printed, "--no-pdf-header-footer")
	if paper, err := os.ReadFile(printed); err != nil || len(paper) < 10_000 {
		t.Errorf("printed %d bytes, %v", len(paper), err)
	}
}
