package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"consilium/internal/allinone"
)

var demoCommand = command{
	name: "demo", arguments: "", summary: "start everything, analyse two studies, show the answers and end",
	run: func(ctx context.Context, args []string, getenv func(string) string, stdout, _ io.Writer) (err error) {
		if len(args) > 0 {
			return errUsage
		}
		// The demo is a guest: a state of its own that it removes, and a free port unless one was asked for.
		folder, err := os.MkdirTemp("", "consilium-demo")
		if err != nil {
			return err
		}
		defer os.RemoveAll(folder)
		if err := os.Chmod(folder, 0o755); err != nil { // root's databases run as another user
			return err
		}
		guest := func(name string) string {
			switch value := getenv(name); {
			case name == "CONSILIUM_STATE":
				return folder
			case name == "CONSILIUM_LISTEN" && value == "":
				return "127.0.0.1:0"
			default:
				return value
			}
		}
		settings, err := allinone.LoadSettings(guest)
		if err != nil {
			return err
		}
		stack, log, err := start(ctx, settings, guest, stdout)
		if err != nil {
			showLog(stdout, filepath.Join(folder, "consilium.log"))
			return err
		}
		defer log.Close()
		defer func() { err = errors.Join(err, stack.Stop()) }()
		if err := present(ctx, stack.URL, getenv("CONSILIUM_DATA"), stdout); err != nil {
			showLog(stdout, log.Name())
			return err
		}
		return nil
	},
}

// present does with the platform at url what a newcomer would do, through its public interface only.
func present(ctx context.Context, url, data string, stdout io.Writer) error {
	p, err := connect(url)
	if err != nil {
		return err
	}
	files, puzzles, err := examination(data)
	if err != nil {
		return err
	}
	examined, err := upload("An examination", files)
	if err != nil {
		return err
	}
	examined.Texts = append(examined.Texts, note)
	study, err := p.store(ctx, examined)
	if err != nil {
		return err
	}
	title(stdout, "A study of several modalities, and a report on it")
	fmt.Fprintln(stdout, "Files:")
	for _, file := range files {
		fmt.Fprintln(stdout, "  "+file)
	}
	showStudy(stdout, study)
	written, err := p.report(ctx, study.Id)
	if err != nil {
		return err
	}
	showReport(stdout, written)
	if err := ask(ctx, p, study.Id, puzzles, stdout); err != nil {
		return err
	}

	image, puzzles, err := firstPuzzles()
	if err != nil {
		return err
	}
	picture, err := upload("A picture of easy-VQA", []string{image})
	if err != nil {
		return err
	}
	if study, err = p.store(ctx, picture); err != nil {
		return err
	}
	title(stdout, "Questions about a picture of easy-VQA")
	showStudy(stdout, study)
	if err := ask(ctx, p, study.Id, puzzles, stdout); err != nil {
		return err
	}
	return showDocs(ctx, p, url, stdout)
}

// ask asks the study each question and shows the answer beside the right one.
func ask(ctx context.Context, p *platform, study string, puzzles []puzzle, stdout io.Writer) error {
	for _, puzzle := range puzzles {
		answer, err := p.ask(ctx, study, puzzle.question)
		if err != nil {
			return err
		}
		showAnswer(stdout, answer)
		fmt.Fprintf(stdout, "  right is   %s\n", puzzle.answer)
	}
	return nil
}

// showDocs prints where the description of the interface is, having looked that it is there.
func showDocs(ctx context.Context, p *platform, url string, stdout io.Writer) error {
	page, err := p.api.GetDocsWithResponse(ctx)
	if err != nil {
		return fmt.Errorf("open the docs: %w", err)
	}
	if page.StatusCode() != http.StatusOK {
		return fmt.Errorf("open the docs: %w", refused(page.ApplicationproblemJSONDefault, page.Body))
	}
	title(stdout, "The interface")
	fmt.Fprintf(stdout, "Described at %s/docs while this demo ran; `make up` serves it at http://%s/docs until Ctrl-C.\n", url, allinone.DefaultListen)
	return nil
}

func title(w io.Writer, text string) { fmt.Fprintf(w, "\n── %s ──\n", text) }

// logTail is how much of the log is shown when something went wrong.
const logTail = 4 << 10

func showLog(w io.Writer, path string) {
	content, err := os.ReadFile(path)
	if err != nil {
		return // there is none yet
	}
	fmt.Fprintf(w, "\nThe end of the log:\n%s\n", content[max(0, len(content)-logTail):])
}
