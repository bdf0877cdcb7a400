package dicom

import (
	"iter"
	"slices"
)

// Dataset is a list of elements sorted by tag, each tag at most once. Its zero value is empty and ready for use. The
// reading methods may be called on a nil Dataset, which is empty too.
type Dataset struct {
	elements []*Element
}

// NewDataset returns a data set of these elements; of two with one tag the later stays.
func NewDataset(elements ...*Element) *Dataset {
	d := &Dataset{}
	for _, e := range elements {
		d.Set(e)
	}
	return d
}

func (d *Dataset) find(tag Tag) (int, bool) {
	return slices.BinarySearchFunc(d.elements, tag, func(e *Element, tag Tag) int { return int(int64(e.Tag) - int64(tag)) })
}

// Len returns the number of elements, those of nested items not counted.
func (d *Dataset) Len() int {
	if d == nil {
		return 0
	}
	return len(d.elements)
}

// Get returns the element with this tag, nil if there is none.
func (d *Dataset) Get(tag Tag) *Element {
	if d == nil {
		return nil
	}
	if i, ok := d.find(tag); ok {
		return d.elements[i]
	}
	return nil
}

// Set puts the element in its place; one with the same tag is replaced.
func (d *Dataset) Set(e *Element) {
	i, ok := d.find(e.Tag)
	if ok {
		d.elements[i] = e
		return
	}
	d.elements = slices.Insert(d.elements, i, e)
}

// Delete removes the element with this tag, if there is one.
func (d *Dataset) Delete(tag Tag) {
	if i, ok := d.find(tag); ok {
		d.elements = slices.Delete(d.elements, i, i+1)
	}
}

// All yields the elements in the order of their tags, those of nested items not included. The data set must not be
// changed meanwhile.
func (d *Dataset) All() iter.Seq[*Element] {
	return func(yield func(*Element) bool) {
		if d == nil {
			return
		}
		for _, e := range d.elements {
			if !yield(e) {
				return
			}
		}
	}
}

// Walk calls visit for each element in the order of their tags, with the data set that holds it: d itself or a nested
// item. After a sequence, if it is still there, come the elements of its items. visit may Set and Delete elements of
// parent: one that was deleted before its turn is not visited, one that was added is not either, except in the items
// of a sequence that took the visited one's place. The first error ends the walk and is returned.
func (d *Dataset) Walk(visit func(parent *Dataset, e *Element) error) error {
	if d == nil {
		return nil
	}
	for _, e := range slices.Clone(d.elements) {
		if d.Get(e.Tag) != e {
			continue
		}
		if err := visit(d, e); err != nil {
			return err
		}
		if e = d.Get(e.Tag); e == nil {
			continue
		}
		for _, item := range e.Items {
			if err := item.Walk(visit); err != nil {
				return err
			}
		}
	}
	return nil
}

// String returns the first value of an element of text, "" if there is none.
func (d *Dataset) String(tag Tag) string {
	if values := d.Strings(tag); len(values) > 0 {
		return values[0]
	}
	return ""
}

// Strings returns the values of an element of text, see Element.Strings; nil without the element.
func (d *Dataset) Strings(tag Tag) []string {
	if e := d.Get(tag); e != nil {
		return e.Strings()
	}
	return nil
}

// Int returns the first whole number of an element; false if there is none.
func (d *Dataset) Int(tag Tag) (int64, bool) {
	if e := d.Get(tag); e != nil {
		if values := e.Ints(); len(values) > 0 {
			return values[0], true
		}
	}
	return 0, false
}

// Floats returns the numbers of an element, see Element.Floats; nil without the element.
func (d *Dataset) Floats(tag Tag) []float64 {
	if e := d.Get(tag); e != nil {
		return e.Floats()
	}
	return nil
}

// Items returns the items of a sequence; nil without the element.
func (d *Dataset) Items(tag Tag) []*Dataset {
	if e := d.Get(tag); e != nil {
		return e.Items
	}
	return nil
}
