package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"consilium/internal/eval"
	textencoder "consilium/services/text-encoder"
	visionencoder "consilium/services/vision-encoder"
)

// What the encoders embed.
const (
	textCalibration   = "services/text-encoder/int8.json"
	visionCalibration = "services/vision-encoder/weights/int8.safetensors"
)

var calibrateCommand = command{
	name: "calibrate", arguments: "text|vision",
	summary: "find how an encoder computes in 8 bits, into " + textCalibration + " or " + visionCalibration,
	run: func(ctx context.Context, args []string, getenv func(string) string, _, stderr io.Writer) error {
		calibrations := map[string]func(ctx context.Context, data string, out io.Writer) (file string, err error){
			"text": calibrateText, "vision": calibrateVision,
		}
		if len(args) != 1 || calibrations[args[0]] == nil {
			return errUsage
		}
		data := getenv("CONSILIUM_DATA")
		if data == "" {
			return &eval.ErrNoData{Set: "the calibration"}
		}
		file, err := calibrations[args[0]](ctx, data, stderr)
		if err == nil {
			fmt.Fprintln(stderr, "wrote", file)
		}
		return err
	},
}

// calibrateText chooses the layers of the text encoder that compute in 8 bits.
func calibrateText(ctx context.Context, data string, out io.Writer) (string, error) {
	sets, err := eval.CalibrationTexts(data)
	if err != nil {
		return "", err
	}
	c, err := textencoder.Calibrate(ctx, sets[:], out)
	if err != nil {
		return "", err
	}
	file, err := json.MarshalIndent(c, "", " ")
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(textCalibration, append(file, '\n'), 0o644); err != nil {
		return "", fmt.Errorf("write the calibration: %w", err)
	}
	return textCalibration, nil
}

// calibrateVision finds what values the layers of the image nets give.
func calibrateVision(ctx context.Context, data string, out io.Writer) (string, error) {
	folder, err := easyVQA()
	if err != nil {
		return "", err
	}
	pictures, films, err := eval.CalibrationPictures(data, folder)
	if err != nil {
		return "", err
	}
	return visionCalibration, visionencoder.Calibrate(ctx, pictures, films, visionCalibration, out)
}
