package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"consilium/internal/weights"
)

// note is what the demo's clinician writes. It belongs to no patient.
const note = `Cough and fever for four days, worse at night. Temperature 38.6 degrees, 24 breaths a minute,
oxygen saturation 95 % on room air. Coarse crackles over the right lower zone. No known allergies.
Please look for consolidation or effusion.`

// examination returns the files of the demo's first study, a radiograph and a sound, from the data folder if
// there is one, else from what the packages carry.
func examination(data string) (files []string, err error) {
	if data != "" {
		image, imageErr := first(filepath.Join(data, "cxr", "images", "*.*"))
		sound, soundErr := first(filepath.Join(data, "audio", "cough", "*.wav"))
		if imageErr == nil && soundErr == nil {
			return []string{image, sound}, nil
		}
	}
	folder, err := weights.Path("pneumonia-val")
	if err != nil {
		return nil, err
	}
	image, err := first(filepath.Join(folder, "*bacteria*.jpeg"))
	if err != nil {
		return nil, err
	}
	files = append(files, image)
	if digits, err := weights.Path("asterisk-digits"); err == nil { // absent where there is no apt-get
		files = append(files, filepath.Join(digits, "7.wav"))
	}
	return files, nil
}

func first(pattern string) (string, error) {
	files, err := filepath.Glob(pattern)
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("find %s: no such file", pattern)
	}
	if err != nil {
		return "", err
	}
	return files[0], nil
}

// A puzzle is one question of easy-VQA with its right answer.
type puzzle struct{ question, answer string }

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
