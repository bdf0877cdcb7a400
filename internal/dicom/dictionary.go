package dicom

import (
	_ "embed"
	"strconv"
	"strings"
	"sync"
)

// dictionaryText is the dictionary of data elements of PS3.6, one line a tag; testdata/make_dictionary.py made it and
// says what is left out.
//
//go:embed dictionary.txt
var dictionaryText string

// entry is a line of the dictionary. Its vr may be one of the ambiguous ones.
type entry struct {
	vr      VR
	keyword string
}

// The dictionary's marks for tags whose VR another element decides.
const (
	vrUSorSS VR = "XS"
	vrOBorOW VR = "OX"
	vrUSorOW VR = "XW"
)

var dictionary = sync.OnceValue(func() map[Tag]entry {
	entries := make(map[Tag]entry, strings.Count(dictionaryText, "\n"))
	for line := range strings.Lines(dictionaryText) {
		fields := strings.Fields(line)
		tag, err := strconv.ParseUint(fields[0], 16, 32)
		if err != nil {
			panic("dicom: dictionary.txt: " + err.Error())
		}
		entries[Tag(tag)] = entry{VR(fields[1]), fields[2]}
	}
	return entries
})

var tagsByKeyword = sync.OnceValue(func() map[string]Tag {
	tags := make(map[string]Tag, len(dictionary()))
	for tag, e := range dictionary() {
		tags[e.keyword] = tag
	}
	return tags
})

// lookUp finds a tag in the dictionary.
func lookUp(tag Tag) (entry, bool) {
	if tag.Private() {
		return entry{}, false
	}
	e, ok := dictionary()[tag]
	if !ok {
		// Curves, overlays and their like repeat with each even group up to 1E (PS3.5 section 7.6).
		switch tag.Group() & 0xFF00 {
		case 0x5000, 0x6000, 0x7F00:
			if tag.Group()&0xFF <= 0x1E {
				e, ok = dictionary()[tag&0xFF00FFFF]
			}
		}
	}
	if !ok && tag.Element() == 0 {
		return entry{vr: UL, keyword: "GroupLength"}, true
	}
	return e, ok
}

// Keyword returns the tag's keyword in PS3.6, such as PatientName; "" for a private or unknown tag.
func (t Tag) Keyword() string {
	e, _ := lookUp(t)
	return e.keyword
}

// VR returns the tag's value representation in the dictionary, UN for a private or unknown tag. Where the standard
// allows two it is the usual one: US for US or SS, OW for OB or OW and for US or OW.
func (t Tag) VR() VR { return resolve(t, false) }

// resolve returns the VR that a tag has in implicit VR, signed is what Pixel Representation says.
func resolve(tag Tag, signed bool) VR {
	e, ok := lookUp(tag)
	switch {
	case tag.Private() && tag.Element() >= 0x10 && tag.Element() <= 0xFF:
		return LO // the creator of a private block, PS3.5 section 7.8.1
	case !ok:
		return UN
	case e.vr == vrUSorSS && signed:
		return SS
	case e.vr == vrUSorSS:
		return US
	case e.vr == vrOBorOW, e.vr == vrUSorOW:
		return OW
	}
	return e.vr
}

// TagByKeyword finds the tag with this keyword, such as PatientName.
func TagByKeyword(keyword string) (Tag, bool) {
	tag, ok := tagsByKeyword()[keyword]
	return tag, ok
}
