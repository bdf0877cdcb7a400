package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"consilium/internal/eval"
	textencoder "consilium/services/text-encoder"
)

// calibration is what the text encoder embeds.
const calibration = "services/text-encoder/int8.json"

var calibrateCommand = command{
	name: "calibrate", summary: "choose the layers of the text encoder that compute in 8 bits, into " + calibration,
	run: func(ctx context.Context, args []string, getenv func(string) string, _, stderr io.Writer) error {
		if len(args) > 0 {
			return errUsage
		}
		data := getenv("CONSILIUM_DATA")
		if data == "" {
			return &eval.ErrNoData{Set: "the calibration"}
		}
		sets, err := eval.CalibrationTexts(data)
		if err != nil {
			return err
		}
		c, err := textencoder.Calibrate(ctx, sets[:], stderr)
		if err != nil {
			return err
		}
		file, err := json.MarshalIndent(c, "", " ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(calibration, append(file, '\n'), 0o644); err != nil {
			return fmt.Errorf("write the calibration: %w", err)
		}
		fmt.Fprintln(stderr, "wrote", calibration)
		return nil
	},
}
