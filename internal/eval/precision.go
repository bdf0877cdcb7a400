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
		same.count(nearestVector(whole, i) == nearestVector(short, i))
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
	questions, names, err := questionsAndNames(data)
	if err != nil {
		return nil, err
	}
	seen, texts := map[string]bool{}, []string(nil)
	for _, all := range [][]question{questions, names} {
		unique := different(all, seen)
		if len(unique) < n {
			return nil, fmt.Errorf("the data folder has %d different texts of a kind, want %d", len(unique), n)
		}
		for i := range n {
			texts = append(texts, unique[i*len(unique)/n])
		}
	}
	return texts, nil
}

// CalibrationTexts returns sets of texts of the kinds that the measurement of the text encoder in 8 bits has, none of which is among
// its texts or in a test split.
func CalibrationTexts(data string) (sets [3][]string, err error) {
	measured, err := variedTexts(data, 500)
	if err != nil {
		return sets, err
	}
	questions, names, err := questionsAndNames(data)
	if err != nil {
		return sets, err
	}
	seen := map[string]bool{}
	for _, text := range measured {
		seen[strings.ToLower(text)] = true
	}
	for _, q := range questions {
		if q.test {
			seen[strings.ToLower(q.text)] = true
		}
	}
	const each = 500 // of a kind, at most, in a set
	for _, all := range [][]question{questions, names} {
		unique := different(all, seen)
		n := min(len(unique), len(sets)*each)
		for i := range n {
			sets[i%len(sets)] = append(sets[i%len(sets)], unique[i*len(unique)/n])
		}
	}
	return sets, nil
}

// question is a text and whether it is of a test split.
type question struct {
	text string
	test bool
}

// questionsAndNames returns the questions of VQA-RAD and the names of the Disease Ontology.
func questionsAndNames(data string) (questions, names []question, err error) {
	err = eachLine(filepath.Join(data, "vqa/vqa_rad/qa.jsonl"), func(line string) error {
		var row struct {
			Question string
			Official string `json:"split_official"`
			Image    string `json:"split_image"`
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			return err
		}
		questions = append(questions, question{strings.TrimSpace(row.Question), row.Official != "train" || row.Image == "test"})
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	err = eachLine(filepath.Join(data, "kg/HumanDO.tsv"), func(line string) error {
		if columns := strings.Split(line, "\t"); len(columns) > 1 && strings.HasPrefix(columns[0], `"DOID:`) {
			names = append(names, question{text: strings.Trim(columns[1], `"`)})
		}
		return nil
	})
	return questions, names, err
}

// different returns the texts that are not in seen, whatever their case, each once, and puts them there.
func different(all []question, seen map[string]bool) (unique []string) {
	for _, q := range all {
		if key := strings.ToLower(q.text); !seen[key] {
			seen[key], unique = true, append(unique, q.text)
		}
	}
	return unique
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

// nearestVector returns which other vector is nearest to vectors[i], all of length 1.
func nearestVector(vectors [][]float32, i int) int {
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
