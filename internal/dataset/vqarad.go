package dataset

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// RadQuestion is one question of VQA-RAD (Lau, Gayen, Ben Abacha and Demner-Fushman, Scientific Data 5:180251, 2018,
// CC0): what clinicians asked about radiographs, CT and MR images of MedPix.
type RadQuestion struct {
	ID     int
	Text   string
	Answer string // as NormaliseAnswer returns it
	Image  string // path
	Organ  string // what it shows: CHEST, HEAD or ABD
	Closed bool   // by the set's answer type: yes or no, or a choice that the question gives
	// Split is "train", "val" or "test", and no image is in two of them.
	Split string
	// Official is "train" or "test" as published; every image of that test is in that train as well.
	Official string
}

// ReadVQARAD reads folder/vqa/vqa_rad/qa.jsonl, one question a line.
func ReadVQARAD(folder string) ([]RadQuestion, error) {
	base := filepath.Join(folder, "vqa", "vqa_rad")
	path := filepath.Join(base, "qa.jsonl")
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read VQA-RAD: %w", err)
	}
	var set []RadQuestion
	split := map[string]string{} // of each image
	lines := bufio.NewScanner(bytes.NewReader(b))
	for n := 1; lines.Scan(); n++ {
		var row struct {
			ID       int    `json:"qid"`
			Image    string `json:"image"`
			Question string `json:"question"`
			Answer   string `json:"answer"`
			Type     string `json:"answer_type"`
			Organ    string `json:"organ"`
			Official string `json:"split_official"`
			Split    string `json:"split_image"`
		}
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			return nil, fmt.Errorf("read %s: line %d: %w", path, n, err)
		}
		q := RadQuestion{
			ID: row.ID, Text: strings.Join(strings.Fields(row.Question), " "), Answer: NormaliseAnswer(row.Answer),
			Image: filepath.Join(base, filepath.FromSlash(row.Image)), Organ: row.Organ, Closed: row.Type == "CLOSED", Split: row.Split, Official: row.Official,
		}
		switch {
		case q.Text == "" || q.Answer == "" || !filepath.IsLocal(filepath.FromSlash(row.Image)):
			return nil, fmt.Errorf("read %s: line %d: want a question, an answer and an image of the set", path, n)
		case row.Type != "CLOSED" && row.Type != "OPEN":
			return nil, fmt.Errorf("read %s: line %d: answer_type %q, want CLOSED or OPEN", path, n, row.Type)
		case !slices.Contains([]string{"train", "val", "test"}, q.Split) || q.Official != "train" && q.Official != "test":
			return nil, fmt.Errorf("read %s: line %d: split_image %q, split_official %q: unknown split", path, n, q.Split, q.Official)
		case split[q.Image] != "" && split[q.Image] != q.Split:
			return nil, fmt.Errorf("read %s: line %d: %s is in %s and in %s", path, n, row.Image, split[q.Image], q.Split)
		}
		split[q.Image] = q.Split
		set = append(set, q)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(set) == 0 {
		return nil, fmt.Errorf("read %s: no questions", path)
	}
	return set, nil
}

// NormaliseAnswer returns an answer in small letters, with single blanks and without a full stop at its end.
func NormaliseAnswer(s string) string {
	return strings.TrimSpace(strings.TrimRight(strings.Join(strings.Fields(strings.ToLower(s)), " "), "."))
}
