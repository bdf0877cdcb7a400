package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"consilium/internal/weights"
)

// note is what the demo's clinician writes. It belongs to no patient.
const note = `Cough and fever for four days, worse at night. Temperature 38.6 degrees, 24 breaths a minute,
oxygen saturation 95 % on room air. Coarse crackles over the right lower zone. No known allergies.
Please look for consolidation or effusion.`

// A puzzle is a question with its right answer.
type puzzle struct{ question, answer string }

// examination returns the files of the demo's first study, and a question about its sound: a radiograph that a
// package carries, and a cough of the data folder or, without one, a spoken digit. No model was trained on any of
// them. Without a sound there is no question.
func examination(data string) (files []string, puzzles []puzzle, err error) {
	folder, err := weights.Path("pneumonia-val")
	if err != nil {
		return nil, nil, err
	}
	files = []string{filepath.Join(folder, "person1946_bacteria_4874.jpeg")}
	if data != "" {
		cough, err := heldOutCough(filepath.Join(data, "audio"))
		if err != nil {
			return nil, nil, err
		}
		return append(files, cough), []puzzle{{"what sound is this?", "cough"}}, nil
	}
	digits, err := weights.Path("asterisk-digits")
	if err != nil {
		return files, nil, nil // fetched by apt-get only
	}
	return append(files, filepath.Join(digits, "7.wav")), []puzzle{{"what digit is spoken?", "seven"}}, nil
}

// heldOutCough returns the first cough of the test split.
func heldOutCough(folder string) (string, error) {
	path := filepath.Join(folder, "metadata.csv")
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	for _, row := range rows {
		cell := func(column string) string { return row[slices.Index(rows[0], column)] }
		if slices.Contains(rows[0], "file") && slices.Contains(rows[0], "label") && slices.Contains(rows[0], "split") &&
			cell("label") == "cough" && cell("split") == "test" {
			return filepath.Join(folder, cell("file")), nil
		}
	}
	return "", fmt.Errorf("read %s: no cough of the test split", path)
}

// firstPuzzles returns the first test picture of easy-VQA and the first questions about it.
func firstPuzzles() (image string, puzzles []puzzle, err error) {
	folder, err := easyVQA()
	if err != nil {
		return "", nil, err
	}
	path := filepath.Join(folder, "test", "questions.json")
	content, err := os.ReadFile(path)
	if err != nil {
		return "", nil, err
	}
	var rows [][]any // question, answer, number of the picture
	if err := json.Unmarshal(content, &rows); err != nil {
		return "", nil, fmt.Errorf("read %s: %w", path, err)
	}
	for _, row := range rows {
		if len(row) != 3 || row[2] != float64(0) {
			continue
		}
		question, isText := row[0].(string)
		answer, isText2 := row[1].(string)
		if isText && isText2 && len(puzzles) < 3 {
			puzzles = append(puzzles, puzzle{question, answer})
		}
	}
	if len(puzzles) == 0 {
		return "", nil, fmt.Errorf("read %s: no question about picture 0", path)
	}
	return filepath.Join(folder, "test", "images", "0.png"), puzzles, nil
}
