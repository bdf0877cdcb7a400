package dicom

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"consilium/internal/analysis"
)

// everyKind has an element of every VR, private ones, and sequences within sequences.
func everyKind() *Dataset {
	private := NewTag(0x0009, 0x0010)
	return NewDataset(
		NewText(SOPClassUID, UI, "1.2.840.10008.5.1.4.1.1.7"), NewText(SOPInstanceUID, UI, "2.25.7"),
		NewText(ImageType, CS, "ORIGINAL", "PRIMARY", ""),
		NewText(StudyDate, DA, "20261122"), NewText(StudyTime, TM, "1623"), NewText(0x0008002A, DT, "20261122162300.5"),
		NewText(AccessionNumber, SH, "A 1"), NewText(PatientName, PN, "Doe^Jane=X=Y"), NewText(PatientAge, AS, "042Y"),
		NewText(0x00080055, AE, "STATION"), NewText(0x00081190, UR, "https://example.org/a?b=c"), NewText(0x00080119, UC, "long\\x"),
		NewText(0x00081030, LO, "chest"), NewText(0x00104000, LT, "two\\lines"), NewText(0x00400280, ST, "text"), NewText(0x0008030E, UT, strings.Repeat("long ", 20000)+"."),
		NewText(InstanceNumber, IS, "7"), NewText(PixelSpacing, DS, "0.25", "1e-1"),
		NewInts(Rows, US, 65535), NewInts(0x00280106, US, 3), NewInts(0x00186020, SL, -5, 6), NewInts(0x00209157, UL, 1<<32-1),
		NewInts(0x00189219, SS, -2), NewInts(0x0008040C, UV, 1<<40), NewInts(0x00720082, SV, -1<<40), NewInts(0x00280009, AT, 0x00181063),
		&Element{Tag: 0x00720076, VR: FL, Value: []byte{0, 0, 0x80, 0x3f}}, &Element{Tag: 0x00089459, VR: FL, Value: []byte{0, 0, 0xc0, 0x7f}},
		&Element{Tag: 0x00189074, VR: DT}, &Element{Tag: 0x00186028, VR: FD, Value: []byte{0, 0, 0, 0, 0, 0, 0xf8, 0x3f}},
		&Element{Tag: 0x00289021, VR: UN, Value: []byte{1, 2, 3, 4}},
		&Element{Tag: 0x7FE00001, VR: OV, Value: make([]byte, 16)}, &Element{Tag: 0x00660016, VR: OF, Value: make([]byte, 8)},
		&Element{Tag: 0x00660022, VR: OD, Value: make([]byte, 8)}, &Element{Tag: 0x00660040, VR: OL, Value: []byte{1, 0, 0, 0}},
		NewText(private, LO, "MAKER"), &Element{Tag: private + 0x0FF2, VR: UN, Value: []byte("secret")},
		NewSequence(0x00081140), NewSequence(0x00081110, &Dataset{}, NewDataset(NewText(StudyInstanceUID, UI, "1.2"),
			NewSequence(0x0040A170, NewDataset(NewText(0x00080104, LO, "meaning"))))),
		&Element{Tag: PixelData, VR: OW, Value: words(1, 2, 3)},
	)
}

// TestEncodings writes one data set in every encoding and reads it back.
func TestEncodings(t *testing.T) {
	d := everyKind()
	want := string(JSON(d, nil))
	for _, c := range []struct {
		syntax TransferSyntax
		form
	}{
		{ImplicitLittle, form{}}, {ImplicitLittle, form{lengths: true}},
		{ExplicitLittle, form{explicit: true}}, {ExplicitLittle, form{explicit: true, lengths: true}},
		{ExplicitBig, form{explicit: true, big: true}}, {ExplicitBig, form{explicit: true, big: true, lengths: true}},
		{DeflatedLittle, form{explicit: true}},
	} {
		body := c.dataset(d)
		if c.syntax == DeflatedLittle {
			body = deflate(t, body)
		}
		f, err := Parse(whole(c.syntax, body))
		if err != nil {
			t.Errorf("%v: %v", c.syntax, err)
			continue
		}
		if got := string(JSON(f.Dataset, nil)); got != want || f.TransferSyntax != c.syntax || f.Notes != nil {
			t.Errorf("%v, lengths %v: notes %v, got\n%s\nwant\n%s", c.syntax, c.lengths, f.Notes, got, want)
		}
		b, err := Write(f)
		if err != nil {
			t.Errorf("%v: %v", c.syntax, err)
			continue
		}
		again, err := Parse(b)
		if err != nil || string(JSON(again.Dataset, nil)) != want || again.TransferSyntax != ExplicitLittle {
			t.Errorf("%v written and read again: %v", c.syntax, err)
		}
		if again.Meta.String(MediaStorageSOPInstanceUID) != "2.25.7" || again.Meta.String(TransferSyntaxUID) != string(ExplicitLittle) {
			t.Errorf("%v: the meta information is %s", c.syntax, JSON(again.Meta, nil))
		}
		second, err := Write(again)
		if err != nil || !bytes.Equal(second, b) {
			t.Errorf("%v: a second round changes the file: %v", c.syntax, err)
		}
	}
}

// TestFilesWithoutHeader reads what lacks the preamble or the meta information, with a note.
func TestFilesWithoutHeader(t *testing.T) {
	d := NewDataset(NewText(ImageType, CS, "ORIGINAL"), NewText(PatientName, PN, "Doe^Jane"))
	meta := form{explicit: true}.dataset(NewDataset(NewText(TransferSyntaxUID, UI, string(ImplicitLittle))))
	for name, c := range map[string]struct {
		bytes []byte
		notes string
	}{
		"meta first":      {slices.Concat(meta, form{}.dataset(d)), "the file has no preamble"},
		"implicit little": {form{}.dataset(d), "the file has no preamble; the file names no transfer syntax; its first element is Implicit VR Little Endian"},
		"explicit little": {form{explicit: true}.dataset(d), "the file has no preamble; the file names no transfer syntax; its first element is Explicit VR Little Endian"},
		"explicit big":    {form{explicit: true, big: true}.dataset(d), "the file has no preamble; the file names no transfer syntax; its first element is Explicit VR Big Endian"},
		"wrong syntax":    {whole(ExplicitLittle, form{}.dataset(d)), "the file says Explicit VR Little Endian, but its first element is of the other kind of VR"},
		"no syntax":       {slices.Concat(make([]byte, 128), []byte(prefix), form{}.dataset(d)), "the file names no transfer syntax; its first element is Implicit VR Little Endian"},
		"not in order": {whole(ImplicitLittle, slices.Concat(form{}.dataset(NewDataset(NewText(PatientName, PN, "Doe^Jane"))), form{}.dataset(NewDataset(NewText(ImageType, CS, "ORIGINAL"))))),
			"the elements were not in the order of their tags"},
	} {
		f, err := Parse(c.bytes)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := strings.Join(f.Notes, "; "); got != c.notes || f.Dataset.String(PatientName) != "Doe^Jane" || !Is(c.bytes) {
			t.Errorf("%s: notes %q, name %q", name, got, f.Dataset.String(PatientName))
		}
	}
	for name, b := range map[string][]byte{
		"empty": nil, "text": []byte("a text that is long enough to be looked at"), "implicit big": form{big: true}.dataset(d),
		"jpeg": {0xff, 0xd8, 0xff, 0xe0, 0, 16, 'J', 'F', 'I', 'F', 0}, "png": []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR"),
		"another group": form{explicit: true}.dataset(NewDataset(NewText(PatientName, PN, "Doe^Jane"))),
	} {
		if _, err := Parse(b); analysis.CodeOf(err) != analysis.UnsupportedMedia {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestUnknownVR reads values of VR UN: what the dictionary knows as that, a value without a length as a sequence.
func TestUnknownVR(t *testing.T) {
	explicit, implicit := form{explicit: true}, form{}
	inner := implicit.dataset(NewDataset(NewText(PatientName, PN, "Doe^Jane")))
	items := implicit.item(item, uint32(len(inner)), inner)
	body := slices.Concat(
		explicit.element(NewTag(0x0009, 0x1001), UN, undefined, slices.Concat(items, implicit.item(sequenceDelimiter, 0, nil))),
		explicit.element(PatientName, UN, 4, []byte("Doe ")),
		explicit.element(0x00101002, UN, uint32(len(items)), items),
		explicit.element(Rows, UN, 3, []byte{1, 2, 3}),
		explicit.element(Columns, UN, 2, []byte{1, 0}),
	)
	f, err := Parse(whole(ExplicitLittle, body))
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range []Tag{NewTag(0x0009, 0x1001), 0x00101002} {
		if got := f.Dataset.Items(tag); len(got) != 1 || got[0].String(PatientName) != "Doe^Jane" {
			t.Errorf("%v: %v", tag, got)
		}
	}
	if v, _ := f.Dataset.Int(Columns); v != 1 || f.Dataset.String(PatientName) != "Doe" || f.Dataset.Get(Rows).VR != UN {
		t.Errorf("got %s", JSON(f.Dataset, nil))
	}
}

func TestImplicitVRFollowsPixelRepresentation(t *testing.T) {
	for signed, vr := range []VR{US, SS} {
		d := NewDataset(NewInts(PixelRepresentation, US, int64(signed)), NewInts(0x00280106, vr, 7),
			NewSequence(VOILUTSequence, NewDataset(NewInts(LUTDescriptor, vr, 4, 0, 8))))
		f, err := Parse(encode(t, ImplicitLittle, NewDataset(append([]*Element{NewText(ImageType, CS, "A")}, d.elements...)...)))
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Dataset.Get(0x00280106).VR; got != vr {
			t.Errorf("pixel representation %d: VR %s", signed, got)
		}
		if got := f.Dataset.Items(VOILUTSequence)[0].Get(LUTDescriptor).VR; got != vr {
			t.Errorf("pixel representation %d: VR %s in a sequence", signed, got)
		}
	}
}

func TestDictionary(t *testing.T) {
	for tag, want := range map[Tag]string{
		PatientName: "PN PatientName", 0x60020010: "US OverlayRows", 0x60013000: "UN ", 0x50045000 - 0x2000: "OW CurveData", PixelData: "OW PixelData",
		0x00090010: "LO ", 0x00091001: "UN ", 0x00100000: "UL GroupLength", 0x0010FFFF: "UN ",
		SharedFunctionalGroupsSequence: "SQ SharedFunctionalGroupsSequence", 0x00400244: "DA PerformedProcedureStepStartDate",
	} {
		if got := fmt.Sprintf("%s %s", tag.VR(), tag.Keyword()); got != want {
			t.Errorf("%v: %q, want %q", tag, got, want)
		}
	}
	if tag, ok := TagByKeyword("PatientBirthDate"); !ok || tag != PatientBirthDate {
		t.Errorf("got %v, %v", tag, ok)
	}
	for tag, e := range dictionary() {
		if traits := e.vr.traits(); traits.vr != e.vr && e.vr != vrUSorSS && e.vr != vrOBorOW && e.vr != vrUSorOW {
			t.Errorf("%v has the VR %q", tag, e.vr)
		}
		if other, ok := TagByKeyword(e.keyword); !ok || dictionary()[other].keyword != e.keyword {
			t.Errorf("%v: its keyword %s is not found", tag, e.keyword)
		}
	}
}

func TestWalk(t *testing.T) {
	d := NewDataset(NewText(PatientName, PN, "a"), NewText(PatientID, LO, "b"),
		NewSequence(0x00101002, NewDataset(NewText(PatientID, LO, "c"), NewText(PatientName, PN, "d"))))
	var seen []string
	err := d.Walk(func(parent *Dataset, e *Element) error {
		seen = append(seen, e.Tag.String()+e.Text())
		switch {
		case e.Tag == PatientName:
			parent.Delete(PatientName)
			parent.Delete(PatientID)
		case e.Tag == PatientID:
			parent.Set(NewText(PatientID, LO, "new"))
			parent.Set(NewText(StudyID, SH, "added"))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(seen, " "), "(0010,0010)a (0010,1002) (0010,0010)d"; got != want {
		t.Errorf("visited %s, want %s", got, want)
	}
	stop := errors.New("stop")
	if err := d.Walk(func(*Dataset, *Element) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
	var none *Dataset
	if none.Get(Rows) != nil || none.Len() != 0 || none.Walk(func(*Dataset, *Element) error { return stop }) != nil {
		t.Error("a nil data set is not empty")
	}
}
