package mask

// Lungs cleans a mask of lungs: the two largest parts, without holes. Neither a lead nor a bubble of the stomach is a
// third lung.
func Lungs(m Mask) Mask {
	out := New(m.Width, m.Height)
	for i, part := range m.Components() {
		if i < 2 {
			out = out.Or(part)
		}
	}
	return out.Fill()
}

// Largest cleans a mask of one organ: its largest part, without holes.
func Largest(m Mask) Mask {
	parts := m.Components()
	if len(parts) == 0 {
		return m
	}
	return parts[0].Fill()
}
