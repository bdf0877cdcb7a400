package eval

import (
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"

	"consilium/internal/train"
)

// covidChannels are the recording channels, which the set keeps apart: positives and negatives are balanced within
// each, and not comparable between them.
var covidChannels = []string{"call-center", "telegram"}

// covid measures, by recording channel, how much of the COVID label a logistic regression on the audio encoder's pooled
// vectors finds. It is a measurement of the data; the platform has no such finding.
func covid(ctx context.Context, e Env) ([]Figure, error) {
	var figures []Figure
	for _, channel := range covidChannels {
		splits, err := readCoughs(ctx, e, channel)
		if err != nil {
			return nil, err
		}
		chosen, err := bestLogistic(splits["train"], splits["val"])
		if err != nil {
			return nil, fmt.Errorf("measure COVID by %s: %w", channel, err)
		}
		scores, truth := chosen.scores(splits["test"])
		figures = append(figures, auroc("cough", "auroc-covid-"+channel, scores, truth, 0.5))
	}
	return figures, nil
}

// readCoughs encodes the coughs of one channel, by split.
func readCoughs(ctx context.Context, e Env, channel string) (map[string][]labelled, error) {
	folder := filepath.Join(e.Data, "audio")
	path := filepath.Join(folder, "metadata.csv")
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read coughs: %w", err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) == 0 {
		return nil, fmt.Errorf("read %s: %d rows: %w", path, len(rows), err)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	for _, name := range []string{"file", "task", "covid19", "channel", "split"} {
		if _, ok := column[name]; !ok {
			return nil, fmt.Errorf("read %s: no column %q", path, name)
		}
	}
	splits := map[string][]labelled{}
	for _, row := range rows[1:] {
		if row[column["task"]] != "cough_covid" || row[column["channel"]] != channel {
			continue
		}
		b, err := os.ReadFile(filepath.Join(folder, row[column["file"]]))
		if err != nil {
			return nil, err
		}
		f, err := train.One(e.Models.Audio.EncodeAudio(ctx, [][]byte{b}, false))
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", row[column["file"]], err)
		}
		c := labelled{f.Vector, row[column["covid19"]] == "1"}
		splits[row[column["split"]]] = append(splits[row[column["split"]]], c)
	}
	for _, split := range []string{"train", "val", "test"} {
		if len(splits[split]) == 0 {
			return nil, fmt.Errorf("read %s: no cough of channel %s in split %s", path, channel, split)
		}
	}
	return splits, nil
}
