package dataset

import (
	"encoding/json"
	"fmt"
)

// Box is where a person saw a label on a film, in shares of its width and its height.
type Box struct {
	Label               string
	X, Y, Width, Height float64 // X and Y are those of the corner at the upper left
}

// Holds reports whether a point of the film, in the same shares, lies in the box.
func (b Box) Holds(x, y float64) bool {
	return x >= b.X && x < b.X+b.Width && y >= b.Y && y < b.Y+b.Height
}

// readBoxes reads [["Label", x, y, width, height], ...]; "" is none.
func readBoxes(text string) ([]Box, error) {
	if text == "" {
		return nil, nil
	}
	var rows [][]any
	if err := json.Unmarshal([]byte(text), &rows); err != nil {
		return nil, fmt.Errorf("read boxes: %w", err)
	}
	var boxes []Box
	for _, row := range rows {
		var numbers []float64
		label := ""
		for i, v := range row {
			switch v := v.(type) {
			case string:
				if i == 0 {
					label = v
				}
			case float64:
				if v >= 0 && v <= 1 {
					numbers = append(numbers, v)
				}
			}
		}
		if label == "" || len(row) != 5 || len(numbers) != 4 {
			return nil, fmt.Errorf("read boxes: want a label and four numbers from 0 to 1, found %v", row)
		}
		boxes = append(boxes, Box{label, numbers[0], numbers[1], numbers[2], numbers[3]})
	}
	return boxes, nil
}
