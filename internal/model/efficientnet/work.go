package efficientnet

// Work returns the floating-point operations of one picture, two for a multiplication with its addition: those of the
// convolutions, beside which the rest is small.
func Work() float64 {
	of := func(out, channels, kernel, side int64) float64 {
		return float64(out * channels * kernel * kernel * side * side)
	}
	side := int64(Side) / 2
	sum := of(stemDim, 3, 3, side)
	for _, s := range shapes {
		wide := s.in * s.expand
		if s.expand != 1 {
			sum += of(wide, s.in, 1, side)
		}
		side = (side + s.stride - 1) / s.stride
		sum += of(wide, 1, s.kernel, side) + of(s.out, wide, 1, side)
	}
	return 2 * (sum + of(Dim, headShape.in, 1, side))
}
