package dicom

import (
	"encoding/binary"
	"fmt"
	"math"
)

// lut is a look-up table of PS3.3 section C.11.1.1 and C.11.2.1.1: values from first on, clamped at both ends.
type lut struct {
	first  int
	values []uint16
	bits   int
}

// readLUT reads a descriptor with three values and the data that belongs to it.
func readLUT(name string, descriptor, data *Element) (*lut, error) {
	if descriptor == nil || data == nil {
		return nil, invalid("the DICOM picture is broken: its %s has no descriptor or no data", name)
	}
	d := descriptor.Ints()
	if len(d) != 3 {
		return nil, invalid("the DICOM picture is broken: the descriptor of its %s has %d values, want 3", name, len(d))
	}
	entries := int(d[0]) & 0xFFFF // the first and the third are unsigned whatever the VR
	if entries == 0 {
		entries = 1 << 16
	}
	l := &lut{first: int(d[1]), bits: int(d[2]) & 0xFFFF}
	if l.bits < 8 || l.bits > 16 {
		return nil, invalid("the DICOM picture is broken: its %s has %d bits an entry, want 8 to 16", name, l.bits)
	}
	switch {
	case len(data.Value) >= 2*entries:
		l.values = make([]uint16, entries)
		for i := range l.values {
			l.values[i] = binary.LittleEndian.Uint16(data.Value[2*i:])
		}
	case len(data.Value) >= entries && l.bits == 8: // two entries in a word
		l.values = make([]uint16, entries)
		for i := range l.values {
			l.values[i] = uint16(data.Value[i])
		}
	default:
		return nil, invalid("the DICOM picture is cut off: its %s declares %d entries of %d bits and has %d bytes", name, entries, l.bits, len(data.Value))
	}
	return l, nil
}

// at returns the entry for a value.
func (l *lut) at(v float64) float64 {
	i := math.Round(v) - float64(l.first)
	switch last := len(l.values) - 1; {
	case i >= float64(last):
		return float64(l.values[last])
	case i > 0:
		return float64(l.values[int(i)])
	}
	return float64(l.values[0])
}

// scopes returns where an attribute of a frame may stand: in its own functional group, then in the one that all frames
// share, then in the data set (PS3.3 section C.7.6.16).
func (m *Image) scopes(frame int, group Tag) []*Dataset {
	var scopes []*Dataset
	if frames := m.file.Dataset.Items(PerFrameFunctionalGroups); frame < len(frames) {
		scopes = append(scopes, frames[frame].Items(group)...)
	}
	if shared := m.file.Dataset.Items(SharedFunctionalGroupsSequence); len(shared) > 0 {
		scopes = append(scopes, shared[0].Items(group)...)
	}
	return append(scopes, m.file.Dataset)
}

// modality returns the function from stored values to what they measure, such as Hounsfield units (PS3.3 section
// C.11.1), and its name, "" for none.
func (m *Image) modality(frame int) (func(float64) float64, string, error) {
	if items := m.file.Dataset.Items(ModalityLUTSequence); len(items) > 0 {
		l, err := readLUT("Modality LUT", items[0].Get(LUTDescriptor), items[0].Get(LUTData))
		if err != nil {
			return nil, "", err
		}
		return l.at, "modality look-up table", nil
	}
	for _, d := range m.scopes(frame, PixelValueTransformationSeq) {
		slope, ok := firstFinite(d.Floats(RescaleSlope))
		intercept, both := firstFinite(d.Floats(RescaleIntercept))
		if !ok || !both {
			continue
		}
		if slope == 0 {
			return nil, "", invalid("the DICOM picture is broken: its Rescale Slope is 0")
		}
		return func(v float64) float64 { return v*slope + intercept }, fmt.Sprintf("rescaled by %g and %+g", slope, intercept), nil
	}
	return func(v float64) float64 { return v }, "", nil
}

// window returns the function from measured values to brightness, 0 to 1 (PS3.3 section C.11.2), and its name. The VOI
// LUT comes before the window, the first of several is taken. Without either the function is nil.
func (m *Image) window(frame int) (func(float64) float64, string, error) {
	scopes := m.scopes(frame, FrameVOILUTSeq)
	for _, d := range scopes {
		if items := d.Items(VOILUTSequence); len(items) > 0 {
			l, err := readLUT("VOI LUT", items[0].Get(LUTDescriptor), items[0].Get(LUTData))
			if err != nil {
				return nil, "", err
			}
			top := float64(uint32(1)<<l.bits - 1)
			return func(x float64) float64 { return l.at(x) / top }, "the VOI look-up table of the file", nil
		}
	}
	for _, d := range scopes {
		centers, widths := d.Floats(WindowCenter), d.Floats(WindowWidth)
		c, ok := firstFinite(centers)
		w, both := firstFinite(widths)
		if !ok || !both {
			continue
		}
		shape := d.String(VOILUTFunction)
		name := fmt.Sprintf("the window of the file, centre %g and width %g", c, w)
		if n := min(len(centers), len(widths)); n > 1 {
			name = fmt.Sprintf("the first of %d windows of the file, centre %g and width %g", n, c, w)
		}
		switch {
		case shape == "SIGMOID" && w > 0:
			return func(x float64) float64 { return 1 / (1 + math.Exp(-4*(x-c)/w)) }, name + ", as a sigmoid", nil
		case shape == "LINEAR_EXACT" && w > 0:
			return func(x float64) float64 { return (x-c)/w + 0.5 }, name, nil
		case shape != "SIGMOID" && shape != "LINEAR_EXACT" && w >= 1:
			return linear(c, w), name, nil
		}
		return nil, "", nil // a width that means nothing
	}
	return nil, "", nil
}

// firstFinite returns the first number, false if there is none or it is not finite.
func firstFinite(values []float64) (float64, bool) {
	if len(values) == 0 || math.IsNaN(values[0]) || math.IsInf(values[0], 0) {
		return 0, false
	}
	return values[0], true
}

// linear is the default window (PS3.3 section C.11.2.1.2.1), not clamped. A width of 1 is a threshold.
func linear(c, w float64) func(float64) float64 {
	if w == 1 {
		return func(x float64) float64 {
			if x <= c-0.5 {
				return 0
			}
			return 1
		}
	}
	return func(x float64) float64 { return (x-(c-0.5))/(w-1) + 0.5 }
}
