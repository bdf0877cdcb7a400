package dataset

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
)

// readFilmTable reads folder/cxr/metadata.csv: its path, its rows below the heading, of which there is at least one, and
// the place of each column. It is an error if one of the wanted columns is missing.
func readFilmTable(folder string, wanted ...string) (path string, rows [][]string, column map[string]int, err error) {
	path = filepath.Join(folder, "cxr", "metadata.csv")
	f, err := os.Open(path)
	if err != nil {
		return path, nil, nil, err
	}
	defer f.Close()
	rows, err = csv.NewReader(f).ReadAll()
	if err != nil {
		return path, nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(rows) < 2 {
		return path, nil, nil, fmt.Errorf("%s: no rows", path)
	}
	column = map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	for _, name := range wanted {
		if _, ok := column[name]; !ok {
			return path, nil, nil, fmt.Errorf("%s: no column %q", path, name)
		}
	}
	return path, rows[1:], column, nil
}
