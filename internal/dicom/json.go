package dicom

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// JSON returns the data set in the DICOM JSON model (PS3.18 annex F). bulk may return the URI under which a value of VR
// OB, OD, OF, OL, OV, OW or UN can be had, and "" for one that is to stand inline, in base64; nil puts all inline.
// Encapsulated pixel data has no inline form: without a URI its element has no value.
func JSON(d *Dataset, bulk func(e *Element) (uri string)) []byte {
	w := jsonWriter{bulk: bulk}
	w.dataset(d)
	return w.out
}

type jsonWriter struct {
	out  []byte
	bulk func(e *Element) string
}

func (w *jsonWriter) raw(s string) { w.out = append(w.out, s...) }

func (w *jsonWriter) string(s string) {
	quoted, err := json.Marshal(s)
	if err != nil {
		panic("dicom: marshal a string: " + err.Error()) // cannot happen
	}
	w.out = append(w.out, quoted...)
}

func (w *jsonWriter) dataset(d *Dataset) {
	w.raw("{")
	for i, e := range d.elements {
		if i > 0 {
			w.raw(",")
		}
		w.raw(fmt.Sprintf(`"%08X":{"vr":"%s"`, uint32(e.Tag), e.VR.traits().vr))
		w.value(e)
		w.raw("}")
	}
	w.raw("}")
}

// value writes the member that holds the value, nothing for an empty one.
func (w *jsonWriter) value(e *Element) {
	if e.Empty() {
		return
	}
	switch e.VR {
	case OB, OD, OF, OL, OV, OW, UN:
		if w.bulk != nil {
			if uri := w.bulk(e); uri != "" {
				w.raw(`,"BulkDataURI":`)
				w.string(uri)
				return
			}
		}
		if e.Fragments == nil {
			w.raw(`,"InlineBinary":"`)
			w.out = base64.StdEncoding.AppendEncode(w.out, e.Value)
			w.raw(`"`)
		}
	case SQ:
		w.list(len(e.Items), func(i int) { w.dataset(e.Items[i]) })
	case PN:
		values := e.Strings()
		w.list(len(values), func(i int) { w.name(values[i]) })
	case AT:
		values := e.Ints()
		w.list(len(values), func(i int) { w.raw(fmt.Sprintf(`"%08X"`, values[i])) })
	case IS, DS:
		values := e.Strings()
		w.list(len(values), func(i int) { w.numeral(values[i]) })
	case FL, FD:
		bits := 32
		if e.VR == FD {
			bits = 64
		}
		values := e.Floats()
		w.list(len(values), func(i int) { w.float(values[i], bits) })
	case SL, SS, SV, UL, US, UV:
		values := e.Ints()
		w.list(len(values), func(i int) {
			if e.VR == UV {
				w.out = strconv.AppendUint(w.out, uint64(values[i]), 10)
			} else {
				w.out = strconv.AppendInt(w.out, values[i], 10)
			}
		})
	default:
		values := e.Strings()
		w.list(len(values), func(i int) { w.stringOrNull(values[i]) })
	}
}

// list writes n values, each by write.
func (w *jsonWriter) list(n int, write func(i int)) {
	w.raw(`,"Value":[`)
	for i := range n {
		if i > 0 {
			w.raw(",")
		}
		write(i)
	}
	w.raw("]")
}

func (w *jsonWriter) stringOrNull(s string) {
	if s == "" {
		w.raw("null")
		return
	}
	w.string(s)
}

// numeral writes a number given as text; one that is none stays text, which the model allows.
func (w *jsonWriter) numeral(s string) {
	if v, err := strconv.ParseFloat(s, 64); err == nil && !math.IsInf(v, 0) && !math.IsNaN(v) {
		w.float(v, 64)
		return
	}
	w.stringOrNull(s)
}

func (w *jsonWriter) float(v float64, bits int) {
	switch {
	case math.IsNaN(v):
		w.raw(`"NaN"`)
	case math.IsInf(v, 1):
		w.raw(`"Infinity"`)
	case math.IsInf(v, -1):
		w.raw(`"-Infinity"`)
	case v != 0 && (math.Abs(v) < 1e-6 || math.Abs(v) >= 1e21):
		w.out = strconv.AppendFloat(w.out, v, 'e', -1, bits)
	default:
		w.out = strconv.AppendFloat(w.out, v, 'f', -1, bits)
	}
}

// name writes a person's name with its groups, PS3.5 section 6.2.1.
func (w *jsonWriter) name(s string) {
	if s == "" {
		w.raw("null")
		return
	}
	w.raw("{")
	groups := strings.SplitN(s, "=", 3)
	comma := false
	for i, key := range []string{"Alphabetic", "Ideographic", "Phonetic"} {
		if i >= len(groups) || groups[i] == "" {
			continue
		}
		if comma {
			w.raw(",")
		}
		comma = true
		w.raw(`"` + key + `":`)
		w.string(groups[i])
	}
	w.raw("}")
}
