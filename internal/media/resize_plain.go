//go:build !cgo

package media

// together is how many rows are summed side by side: an addition waits for the one before it, so a single sum leaves the
// processor idle three cycles of four.
const together = 4

// resizeRows fills to with rows of the line's length, from rows of width pixels that begin stride apart.
func resizeRows(to, from []uint8, line *taps, width, stride int) {
	height := len(to) / line.length()
	var rows [together][]float64
	for k := range rows {
		rows[k] = make([]float64, width)
	}
	for y := 0; y < height; y += together {
		some := min(together, height-y)
		for k := range some {
			for x, v := range from[(y+k)*stride:][:width] {
				rows[k][x] = float64(v)
			}
		}
		for x, begin := range line.begin {
			weights := line.weights[line.first[x]:line.first[x+1]]
			n := len(weights)
			a, b, c, d := rows[0][begin:][:n], rows[1][begin:][:n], rows[2][begin:][:n], rows[3][begin:][:n]
			var sums [together]float64
			for i, w := range weights {
				sums[0] += a[i] * w
				sums[1] += b[i] * w
				sums[2] += c[i] * w
				sums[3] += d[i] * w
			}
			for k := range some {
				to[(y+k)*line.length()+x] = toByte(sums[k] * line.scale[x])
			}
		}
	}
}

// toByte rounds to the nearest of 0 to 255.
func toByte(v float64) uint8 { return uint8(min(max(int64(v+0.5), 0), 255)) }

// transpose exchanges the rows of a plane, of width pixels each, and its columns.
func transpose(from []uint8, width int) []uint8 {
	height := len(from) / width
	to := make([]uint8, len(from))
	for y := range height {
		for x, v := range from[y*width : (y+1)*width] {
			to[x*height+y] = v
		}
	}
	return to
}

// resizeColumns returns rows as many as the taps of a plane of that width.
func resizeColumns(from []uint8, line *taps, width int) []uint8 {
	height := len(from) / width
	turned := make([]uint8, width*line.length())
	resizeRows(turned, transpose(from, width), line, height, height)
	return transpose(turned, line.length())
}
