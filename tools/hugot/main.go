// Command hugot runs hugot on the text model, told over standard input as internal/bench/peers/peer.py is.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/knights-analytics/hugot"
)

// version is that of go.mod.
const version = "hugot 0.5.3, Go"

type order struct {
	Texts [][]string `json:"texts"`
	Run   int        `json:"run"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	out, in := json.NewEncoder(os.Stdout), json.NewDecoder(os.Stdin)
	session, err := hugot.NewGoSession()
	if err != nil {
		return err
	}
	pipeline, err := hugot.NewPipeline(session, hugot.FeatureExtractionConfig{ModelPath: os.Args[1], Name: "minilm", OnnxFilename: "model.onnx"})
	if err != nil {
		return err
	}
	if err := out.Encode(map[string]string{"ready": version}); err != nil {
		return err
	}
	var texts [][]string
	iterate := func() (all [][]float32, err error) {
		for _, call := range texts {
			made, err := pipeline.RunPipeline(call)
			if err != nil {
				return nil, err
			}
			all = append(all, made.Embeddings...)
		}
		return all, nil
	}
	for {
		var o order
		if err := in.Decode(&o); err != nil {
			return nil
		}
		answer := map[string]any{}
		if o.Run == 0 {
			texts = o.Texts
			vectors, err := iterate()
			if answer["vectors"] = vectors; err != nil {
				answer = map[string]any{"error": err.Error()}
			}
		} else {
			seconds := []float64{}
			for range o.Run {
				start := time.Now()
				if _, err := iterate(); err != nil {
					answer["error"] = err.Error()
					break
				}
				seconds = append(seconds, time.Since(start).Seconds())
			}
			answer["seconds"] = seconds
		}
		if err := out.Encode(answer); err != nil {
			return err
		}
	}
}
