package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"consilium/internal/importer"
	"consilium/internal/importer/sender"
)

var importCommand = command{
	name: "import", arguments: "[-label COLUMN…] [-file COLUMN] … DIR|CSV", summary: "store a folder of studies on a running platform (CONSILIUM_URL)",
	run: func(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
		flags := flag.NewFlagSet("consilium import", flag.ContinueOnError)
		flags.SetOutput(stderr)
		var columns importer.Columns
		flags.StringVar(&columns.File, "file", "", "the column of the files, if it is not called file")
		flags.StringVar(&columns.Accession, "accession", "", "the column of the accession")
		flags.StringVar(&columns.Title, "title", "", "the column of the title")
		flags.StringVar(&columns.Note, "note", "", "the column of a note")
		flags.StringVar(&columns.Date, "study-date", "", "the column of the date, as YYYY-MM-DD")
		flags.Func("label", "a column that becomes a label, or several with commas; without it all that are nothing else do", func(value string) error {
			columns.Labels = append(columns.Labels, strings.Split(value, ",")...)
			return nil
		})
		if err := flags.Parse(args); err != nil || flags.NArg() != 1 {
			return errUsage
		}
		p, err := running(getenv)
		if err != nil {
			return err
		}
		source, err := sender.Open(flags.Arg(0), columns)
		if err != nil {
			return err
		}
		s := sender.Sender{API: p.api, Progress: sender.Bar(stderr, isTerminal(stderr))}
		report, err := s.Send(ctx, source)
		err = errors.Join(err, source.Close())
		showImport(stdout, report)
		if err != nil {
			return fmt.Errorf("the import ended early; run it again to go on: %w", err)
		}
		if report.Refused > 0 {
			return fmt.Errorf("%d of %d studies were refused", report.Refused, report.Studies)
		}
		return nil
	},
}

// isTerminal says that a person sees w as it is written.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// showImport lists what was refused and counts the rest.
func showImport(w io.Writer, r *sender.Report) {
	for _, refusal := range r.Refusals {
		where := strings.Join(refusal.Files, ", ")
		if refusal.Line > 0 {
			where = fmt.Sprintf("line %d %s", refusal.Line, where)
		}
		fmt.Fprintf(w, "refused  %s: %v\n", where, refusal.Err)
	}
	fmt.Fprintf(w, "%d studies: %d stored, %d were there before, %d refused\n", r.Studies, r.Created, r.Exists, r.Refused)
}
