package triples

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"image"
	"image/png"
	"math"
	"os"
	"strconv"
)

// side is how many cells a picture has in a row and in a column, and cells how many it has.
const (
	side  = 8
	cells = side * side
)

// drawn is the size of a drawn picture in pixels.
const drawn = 112

// Picture is one handwritten digit: the ink of its cells, row by row, 0 to 1.
type Picture struct {
	Ink   [cells]float64
	Digit int
	Split string // train, val or test
	pose  pose
}

// pose is how a picture lies on the paper.
type pose struct {
	angle float64 // radians
	zoom  float64 // logarithm of
	right float64 // cells
	down  float64 // cells
}

// ReadPictures reads rows of 64 cells, 0 to 16, and the digit, gzipped: the 1,797 pictures of scikit-learn's
// load_digits, which are the test split of the UCI set "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak
// 1998). A writer's digits follow each other there, so the splits are runs of rows, not a draw: the first seven tenths
// train, the next tenth validates and the last fifth tests.
func ReadPictures(path string) ([]Picture, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read handwritten digits: %w", err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	r := csv.NewReader(unzipped)
	r.FieldsPerRecord = cells + 1
	rows, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("read %s: no rows", path)
	}
	pictures := make([]Picture, len(rows))
	for i, row := range rows {
		p := Picture{Split: "test"}
		switch {
		case i < len(rows)*7/10:
			p.Split = "train"
		case i < len(rows)*8/10:
			p.Split = "val"
		}
		for j, field := range row {
			v, err := strconv.ParseFloat(field, 64)
			limit := 16.0
			if j == cells {
				limit = 9
			}
			if err != nil || !(v >= 0 && v <= limit) {
				return nil, fmt.Errorf("read %s: row %d, column %d: want a number from 0 to %v, found %q", path, i, j, limit, field)
			}
			if j < cells {
				p.Ink[j] = v / 16
			} else {
				p.Digit = int(v)
			}
		}
		pictures[i] = p
	}
	return pictures, nil
}

// PNG draws the picture large, in grey on white: cells are joined smoothly and a cell of paper surrounds them.
func (p Picture) PNG() ([]byte, error) {
	img := image.NewGray(image.Rect(0, 0, drawn, drawn))
	sin, cos := math.Sincos(p.pose.angle)
	scale := (side + 2) / (float64(drawn) * math.Exp(p.pose.zoom)) // cells a pixel
	for row := range drawn {
		for col := range drawn {
			x, y := (float64(col)+0.5-drawn/2)*scale, (float64(row)+0.5-drawn/2)*scale
			x, y = cos*x+sin*y-p.pose.right, cos*y-sin*x-p.pose.down
			ink := p.at(x+side/2-0.5, y+side/2-0.5)
			img.Pix[row*img.Stride+col] = uint8(math.Round(255 * (1 - ink)))
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return nil, fmt.Errorf("draw a digit: %w", err)
	}
	return b.Bytes(), nil
}

// at returns the ink at column x and row y, linear between the centres of cells, 0 outside.
func (p Picture) at(x, y float64) float64 {
	col, row := int(math.Floor(x)), int(math.Floor(y))
	fx, fy := x-float64(col), y-float64(row)
	cell := func(col, row int) float64 {
		if col < 0 || col >= side || row < 0 || row >= side {
			return 0
		}
		return p.Ink[row*side+col]
	}
	return (1-fy)*((1-fx)*cell(col, row)+fx*cell(col+1, row)) + fy*((1-fx)*cell(col, row+1)+fx*cell(col+1, row+1))
}
