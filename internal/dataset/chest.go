package dataset

import (
	"fmt"
	"path/filepath"
	"strings"

	"consilium/internal/analysis"
)

// Radiograph is one chest radiograph with its labels and what the record says.
type Radiograph struct {
	ID, Path, Split string
	Labels          []string
	View, Age, Sex  string
}

// Record is the note that stands beside the radiograph: what the record knows without looking at the picture.
func (r Radiograph) Record() string {
	record := analysis.Record{Kind: "Chest radiograph", View: r.View, Sex: r.Sex}
	if r.Age != "" {
		record.Age = strings.TrimSuffix(r.Age, ".0") + " year"
	}
	return record.Note()
}

// Has reports whether the radiograph carries the label.
func (r Radiograph) Has(label string) bool {
	for _, l := range r.Labels {
		if l == label {
			return true
		}
	}
	return false
}

// ReadChest reads the rows of folder/cxr/metadata.csv that come from NIH ChestX-ray14 (Wang et al. 2017), whose use is
// unrestricted, keyed by split. The other source of that table is left out: its pictures differ from these in more
// than the disease, and most of them forbid commercial use.
func ReadChest(folder string) (map[string][]Radiograph, error) {
	_, rows, column, err := readFilmTable(folder, "id", "file", "source_dataset", "split", "labels", "view", "age", "sex")
	if err != nil {
		return nil, fmt.Errorf("read chest radiographs: %w", err)
	}
	out := map[string][]Radiograph{}
	for _, row := range rows {
		get := func(name string) string { return row[column[name]] }
		if !strings.HasPrefix(get("source_dataset"), "NIH") {
			continue
		}
		out[get("split")] = append(out[get("split")], Radiograph{
			ID: get("id"), Path: filepath.Join(folder, "cxr", get("file")), Split: get("split"),
			Labels: strings.Split(get("labels"), "|"), View: get("view"), Age: get("age"), Sex: get("sex"),
		})
	}
	return out, nil
}
