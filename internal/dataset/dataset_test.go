package dataset

import (
	"os"
	"path/filepath"
	"testing"

	"consilium/internal/weights"
)

func TestReadEasyVQA(t *testing.T) {
	folder, err := weights.Path("easy-vqa")
	if err != nil {
		t.Fatal(err)
	}
	for split, want := range map[string][2]int{"train": {38575, 4000}, "test": {9673, 1000}} {
		set, err := ReadEasyVQA(filepath.Join(folder, "data"), split)
		if err != nil {
			t.Fatal(err)
		}
		if len(set.Questions) != want[0] || len(set.Images) != want[1] {
			t.Errorf("%s: %d questions on %d images, want %v", split, len(set.Questions), len(set.Images), want)
		}
	}
}

func TestReadEasyVQARefuses(t *testing.T) {
	for name, content := range map[string]string{
		"not JSON": "{", "not rows": `{"a":1}`, "wrong row": `[["question", 1, 2]]`, "nothing": `[]`,
	} {
		folder := t.TempDir()
		if err := os.MkdirAll(filepath.Join(folder, "test"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "test", "questions.json"), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadEasyVQA(folder, "test"); err == nil {
			t.Errorf("%s: read", name)
		}
	}
	if _, err := ReadEasyVQA(t.TempDir(), "test"); err == nil {
		t.Error("an empty folder was read")
	}
}

func TestReadChest(t *testing.T) {
	data := os.Getenv("CONSILIUM_DATA")
	if data == "" {
		t.Skip("the radiographs need the data folder that CONSILIUM_DATA names")
	}
	splits, err := ReadChest(data)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for split, want := range map[string]int{"train": 681, "val": 134, "test": 74} {
		if len(splits[split]) != want {
			t.Errorf("%s: %d radiographs, want %d", split, len(splits[split]), want)
		}
		for _, r := range splits[split] {
			if _, err := os.Stat(r.Path); err != nil {
				t.Error(err)
			}
			if other, ok := seen[r.ID]; ok {
				t.Errorf("%s is in %s and %s", r.ID, other, split)
			}
			seen[r.ID] = split
		}
	}
}

func TestRecord(t *testing.T) {
	for want, r := range map[string]Radiograph{
		"Chest radiograph, PA view, 42 year old man.": {View: "PA", Age: "42", Sex: "M", Labels: []string{"Pneumonia"}},
		"Chest radiograph, 7 year old woman.":         {Age: "7.0", Sex: "F"},
		"Chest radiograph, patient.":                  {},
	} {
		if got := r.Record(); got != want {
			t.Errorf("record %q, want %q", got, want)
		}
	}
}
