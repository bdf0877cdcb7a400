package dataset

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// EasyVQA is one split of the easy-VQA set (Victor Zhou, MIT): pictures of one coloured shape and questions about
// them. https://github.com/vzhou842/easy-VQA
type EasyVQA struct {
	Questions []VQAQuestion
	Images    map[int]string // image id to the path of its PNG
}

// VQAQuestion is one question about one image.
type VQAQuestion struct {
	Text, Answer string
	Image        int
}

// ReadEasyVQA reads split "train" or "test" below folder, which holds train/ and test/.
func ReadEasyVQA(folder, split string) (*EasyVQA, error) {
	path := filepath.Join(folder, split, "questions.json")
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read easy-VQA: %w", err)
	}
	var rows [][3]any
	if err := json.Unmarshal(b, &rows); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	set := &EasyVQA{Images: map[int]string{}}
	for i, row := range rows {
		question, ok1 := row[0].(string)
		answer, ok2 := row[1].(string)
		id, ok3 := row[2].(float64)
		if !ok1 || !ok2 || !ok3 {
			return nil, fmt.Errorf("read %s: row %d is not a question, an answer and an image", path, i)
		}
		set.Questions = append(set.Questions, VQAQuestion{Text: question, Answer: answer, Image: int(id)})
		set.Images[int(id)] = filepath.Join(folder, split, "images", strconv.Itoa(int(id))+".png")
	}
	if len(set.Questions) == 0 {
		return nil, fmt.Errorf("read %s: no questions", path)
	}
	return set, nil
}
