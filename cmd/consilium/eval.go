package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"consilium/internal/eval"
	"consilium/internal/serve"
	"consilium/internal/tensor"
	"consilium/services/fusion"
)

// results is what `consilium eval` without names regenerates.
const results = "docs/results.md"

var evalCommand = command{
	name: "eval", arguments: "[--json] [--data DIR] [NAME…]", summary: "measure the models; without names everything, into " + results,
	run: func(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
		flags := flag.NewFlagSet("consilium eval", flag.ContinueOnError)
		flags.SetOutput(stderr)
		asJSON := flags.Bool("json", false, "print one object a line")
		data := flags.String("data", "", "measure on another folder of the same form")
		device := flags.String("device", "cpu", "cpu, cuda or cuda:N")
		if err := flags.Parse(args); err != nil {
			return errUsage
		}
		chosen, err := eval.Find(flags.Args())
		if err != nil {
			return err
		}
		env := eval.Env{Data: getenv("CONSILIUM_DATA"), Out: stderr}
		if env.EasyVQA, err = easyVQA(); err != nil {
			return err
		}
		if *data != "" {
			env.Data, env.Training = *data, env.Data
			if _, err := os.Stat(filepath.Join(*data, "test", "questions.json")); err == nil {
				env.EasyVQATest = *data
			}
		}
		var config fusion.Config
		if err := serve.Load(getenv, &config); err != nil {
			return err
		}
		m, closeAll, err := models(*device, config)
		if err != nil {
			return err
		}
		defer closeAll()
		complete := *data == "" && len(flags.Args()) == 0 && config == fusion.Config{}
		if env.Data != "" && slices.ContainsFunc(chosen, func(c eval.Measurement) bool { return c.Name == "report" }) {
			if other, closeOther, err := smolLM(ctx, stderr, *device); err == nil {
				defer closeOther()
				m.Writers = append(m.Writers, other)
			} else {
				fmt.Fprintf(stderr, "SmolLM2 is not measured: %v\n", err)
				complete = false
			}
		}
		env.Models = m
		var figures []eval.Figure
		for _, c := range chosen {
			fmt.Fprintf(stderr, "measuring %s\n", c.Name)
			measured, err := c.Run(ctx, env)
			var missing *eval.ErrNoData
			if errors.As(err, &missing) && len(flags.Args()) == 0 {
				fmt.Fprintf(stderr, "skipped: %v\n", err)
				complete = false
				continue
			}
			if err != nil {
				return fmt.Errorf("measure %s: %w", c.Name, err)
			}
			figures = append(figures, measured...)
			if *asJSON {
				for _, f := range measured {
					if err := json.NewEncoder(stdout).Encode(f); err != nil {
						return err
					}
				}
			}
		}
		if !*asJSON {
			eval.Table(stdout, figures)
		}
		if !complete {
			return nil
		}
		var b bytes.Buffer
		eval.Markdown(&b, figures)
		if err := os.WriteFile(results, b.Bytes(), 0o644); err != nil {
			return fmt.Errorf("write the results: %w", err)
		}
		fmt.Fprintf(stderr, "wrote %s\n", results)
		return nil
	},
}

// smolLM fetches and starts the language model that reports are written with for comparison.
func smolLM(ctx context.Context, out io.Writer, device string) (w eval.NamedWriter, closeIt func(), err error) {
	d, err := tensor.ParseDevice(device)
	if err != nil {
		return w, nil, err
	}
	s, err := eval.OpenSmolLM(ctx, out, d)
	if err != nil {
		return w, nil, err
	}
	return eval.NamedWriter{Name: "smollm2", Writer: s}, s.Close, nil
}
