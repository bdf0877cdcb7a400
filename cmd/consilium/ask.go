package main

import (
	"context"
	"io"
)

var askCommand = command{
	name: "ask", arguments: "QUESTION FILE…", summary: "store files on a running platform (CONSILIUM_URL) and ask about them",
	run: func(ctx context.Context, args []string, getenv func(string) string, stdout, _ io.Writer) error {
		if len(args) < 2 {
			return errUsage
		}
		p, err := running(getenv)
		if err != nil {
			return err
		}
		u, err := upload("consilium ask", args[1:])
		if err != nil {
			return err
		}
		study, err := p.store(ctx, u)
		if err != nil {
			return err
		}
		answer, err := p.ask(ctx, study.Id, args[0])
		if err != nil {
			return err
		}
		showStudy(stdout, study)
		showAnswer(stdout, answer)
		return nil
	},
}

var reportCommand = command{
	name: "report", arguments: "FILE…", summary: "store files on a running platform (CONSILIUM_URL) and report on them",
	run: func(ctx context.Context, args []string, getenv func(string) string, stdout, _ io.Writer) error {
		if len(args) < 1 {
			return errUsage
		}
		p, err := running(getenv)
		if err != nil {
			return err
		}
		u, err := upload("consilium report", args)
		if err != nil {
			return err
		}
		study, err := p.store(ctx, u)
		if err != nil {
			return err
		}
		r, err := p.report(ctx, study.Id)
		if err != nil {
			return err
		}
		showStudy(stdout, study)
		showReport(stdout, r)
		return nil
	},
}
