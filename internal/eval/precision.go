package eval

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"consilium/internal/analysis"
)

// precision compares the text encoder's vectors in 8 bits with those in float32, and what each finds nearest.
func precision(ctx context.Context, e Env) ([]Figure, error) {
	if e.Data == "" {
		return nil, &ErrNoData{"text-int8"}
	}
	start := time.Now()
	texts, err := variedTexts(e.Data, 500)
	if err != nil {
		return nil, err
	}
	whole, err := vectors(ctx, e.Models.Text, texts)
	if err != nil {
		return nil, err
	}
	short, err := vectors(ctx, e.Models.TextInt8, texts)
	if err != nil {
		return nil, err
	}
	least, cosines, same := 1.0, mean{}, tally{}
	for i := range texts {
		c := inner(whole[i], short[i])
		least = min(least, c)
		cosines.add(c)
		same.count(nearestText(whole, i) == nearestText(short, i))
	}
	figure := func(metric string, value, floor float64) Figure {
		return Figure{Name: "text-int8", Metric: metric, Value: value, Floor: floor, N: len(texts)}
	}
	return timed(start, []Figure{
		figure("mean-cosine", cosines.value(), 0.99), figure("least-cosine", least, 0.97), figure("same-nearest", same.share(), 0.98),
	}), nil
}

// variedTexts returns n questions about images and n names of diseases, all different, spread over what there is.
func variedTexts(data string, n int) ([]string, error) {
	var questions, names []string
	err := eachLine(filepath.Join(data, "vqa/vqa_rad/qa.jsonl"), func(line string) error {
		var row struct{ Question string }
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			return err
		}
		questions = append(questions, strings.TrimSpace(row.Question))
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = eachLine(filepath.Join(data, "kg/HumanDO.tsv"), func(line string) error {
		if columns := strings.Split(line, "\t"); len(columns) > 1 && strings.HasPrefix(columns[0], `"DOID:`) {
			names = append(names, strings.Trim(columns[1], `"`))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	seen, texts := map[string]bool{}, []string(nil)
	for _, all := range [][]string{questions, names} {
		var unique []string
		for _, text := range all {
			if key := strings.ToLower(text); !seen[key] {
				seen[key], unique = true, append(unique, text)
			}
		}
		if len(unique) < n {
			return nil, fmt.Errorf("the data folder has %d different texts of a kind, want %d", len(unique), n)
		}
		for i := range n {
			texts = append(texts, unique[i*len(unique)/n])
		}
	}
	return texts, nil
}

func eachLine(path string, use func(string) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if err := use(lines.Text()); err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
	}
	return lines.Err()
}

// vectors returns the vector of each text.
func vectors(ctx context.Context, encoder analysis.TextEncoder, texts []string) ([][]float32, error) {
	var out [][]float32
	const call = 100
	for ; len(texts) > 0; texts = texts[min(call, len(texts)):] {
		features, err := encoder.EncodeText(ctx, texts[:min(call, len(texts))], true)
		if err != nil {
			return nil, err
		}
		for _, f := range features {
			out = append(out, f.Vector)
		}
	}
	return out, nil
}

// nearestText returns which other vector is nearest to vectors[i], all of length 1.
func nearestText(vectors [][]float32, i int) int {
	best, similarity := -1, -2.0
	for j, v := range vectors {
		if s := inner(v, vectors[i]); j != i && s > similarity {
			best, similarity = j, s
		}
	}
	return best
}

func inner(x, y []float32) (s float64) {
	for i := range x {
		s += float64(x[i]) * float64(y[i])
	}
	return s
}
