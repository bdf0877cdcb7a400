// Package sounds lists the recordings that the audio models are trained and measured on.
package sounds

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// Clip is one labelled recording: a WAV file of one channel at 8 kHz.
type Clip struct {
	Path    string
	Label   string // "0" to "9", "cough", or what is heard, such as "dog bark"
	Speaker string // of a digit, else ""
	Split   string // train, val or test
}

// IsDigit reports whether the clip is a spoken digit.
func (c Clip) IsDigit() bool { return c.Speaker != "" }

// Digit returns which digit is spoken, -1 if the clip is something else.
func (c Clip) Digit() int {
	if !c.IsDigit() {
		return -1
	}
	return int(c.Label[0] - '0')
}

// Labels returns the distinct labels, sorted: the digits come first.
func Labels(clips []Clip) []string {
	seen := map[string]bool{}
	var labels []string
	for _, c := range clips {
		if !seen[c.Label] {
			seen[c.Label] = true
			labels = append(labels, c.Label)
		}
	}
	sort.Strings(labels)
	return labels
}

// Read lists every clip below folder/audio, in a fixed order: the Free Spoken Digit Dataset in fsdd_full, and what
// metadata.csv names (coughs of covid19-cough, sounds of ESC-10) in the splits that it gives.
func Read(folder string) ([]Clip, error) {
	folder = filepath.Join(folder, "audio")
	digits, err := readDigits(filepath.Join(folder, "fsdd_full"))
	if err != nil {
		return nil, err
	}
	others, err := readTable(folder)
	if err != nil {
		return nil, err
	}
	return append(digits, others...), nil
}

// readDigits reads files named {digit}_{speaker}_{index}.wav. Indexes 0 to 4 of each digit and speaker are the
// data set's own test split; 5 to 7 are taken for validation.
func readDigits(folder string) ([]Clip, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("read spoken digits: %w", err)
	}
	var clips []Clip
	for _, e := range entries {
		name, isWAV := strings.CutSuffix(e.Name(), ".wav")
		if !isWAV {
			continue
		}
		parts := strings.Split(name, "_")
		if len(parts) != 3 || len(parts[0]) != 1 || parts[0] < "0" || parts[0] > "9" || parts[1] == "" {
			return nil, fmt.Errorf("read spoken digits: %s: want a name {digit}_{speaker}_{index}.wav, found %s", folder, e.Name())
		}
		index, err := strconv.Atoi(parts[2])
		if err != nil {
			return nil, fmt.Errorf("read spoken digits: %s: index of %s: %w", folder, e.Name(), err)
		}
		split := "train"
		switch {
		case index < 5:
			split = "test"
		case index < 8:
			split = "val"
		}
		clips = append(clips, Clip{Path: filepath.Join(folder, e.Name()), Label: parts[0], Speaker: parts[1], Split: split})
	}
	if len(clips) == 0 {
		return nil, fmt.Errorf("read spoken digits: %s holds no WAV file", folder)
	}
	return clips, nil
}

// readTable reads metadata.csv. Every cough has the one label "cough": its COVID label is not used.
func readTable(folder string) ([]Clip, error) {
	path := filepath.Join(folder, "metadata.csv")
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read sounds: %w", err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("read %s: the table is empty", path)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	for _, name := range []string{"file", "task", "label", "split"} {
		if _, ok := column[name]; !ok {
			return nil, fmt.Errorf("read %s: no column %q", path, name)
		}
	}
	var clips []Clip
	for _, row := range rows[1:] {
		c := Clip{
			Path:  filepath.Join(folder, filepath.FromSlash(row[column["file"]])),
			Label: strings.ReplaceAll(row[column["label"]], "_", " "),
			Split: row[column["split"]],
		}
		if row[column["task"]] == "cough_covid" {
			c.Label = "cough"
		}
		clips = append(clips, c)
	}
	return clips, nil
}
