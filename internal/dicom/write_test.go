package dicom

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"consilium/internal/analysis"
)

func TestWriteKeepsFragments(t *testing.T) {
	d := fragments(picture(2, 2, 8, 8, "MONOCHROME2", nil), []uint32{0, 12}, []byte{1, 2, 3, 4}, []byte{5, 6})
	f, err := Parse(encode(t, RLELossless, d))
	if err != nil {
		t.Fatal(err)
	}
	b, err := Write(f)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	e := again.Dataset.Get(PixelData)
	if again.TransferSyntax != RLELossless || len(e.Fragments) != 2 || !bytes.Equal(e.Fragments[0], []byte{1, 2, 3, 4}) || len(e.Offsets) != 2 || e.Offsets[1] != 12 {
		t.Errorf("%v: fragments %v, offsets %v", again.TransferSyntax, e.Fragments, e.Offsets)
	}
}

func TestWriteRefuses(t *testing.T) {
	good := func(more ...*Element) *Dataset {
		return NewDataset(append([]*Element{NewText(SOPClassUID, UI, "1.2"), NewText(SOPInstanceUID, UI, "1.3")}, more...)...)
	}
	if _, err := Write(&File{Dataset: good()}); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]*File{
		"no instance":          {Dataset: NewDataset(NewText(SOPClassUID, UI, "1.2"))},
		"a VR that is none":    {Dataset: good(&Element{Tag: Rows, VR: "us"})},
		"half a number":        {Dataset: good(&Element{Tag: Rows, VR: US, Value: []byte{1}})},
		"broken text":          {Dataset: good(NewText(PatientName, PN, "\xff"))},
		"native fragments":     {Dataset: fragments(good(), nil, []byte{1})},
		"pixels that are none": {Dataset: good(&Element{Tag: PixelData, VR: OB}), TransferSyntax: JPEGBaseline},
	} {
		if _, err := Write(f); analysis.CodeOf(err) != analysis.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	long := NewText(0x00104000, LO, strings.Repeat("x", 1<<16))
	b, err := Write(&File{Dataset: good(long)})
	if err != nil {
		t.Fatal(err)
	}
	f, err := Parse(b)
	if err != nil || f.Dataset.Get(0x00104000).Text() != long.Text() {
		t.Errorf("a text of 65,536 bytes: %v", err)
	}
}

func TestJSON(t *testing.T) {
	d := NewDataset(
		NewText(ImageType, CS, "ORIGINAL", "", "AXIAL"), NewText(PatientName, PN, "Doe^J\"ane==やまだ", "", "Roe"), NewText(PatientID, LO),
		NewText(PixelSpacing, DS, "0.250", "1e6", "x"), NewText(InstanceNumber, IS, "+7"), NewInts(Rows, US, 4), NewInts(0x00280009, AT, 0x00181063),
		NewInts(0x0008040C, UV, -1), &Element{Tag: 0x00720076, VR: FL, Value: []byte{0, 0, 0xc0, 0x7f, 0xcd, 0xcc, 0xcc, 0x3d}},
		NewSequence(0x00081140, &Dataset{}, NewDataset(NewText(0x00081155, UI, "1.2"))), NewSequence(0x00081110),
		NewText(0x00081190, UR, "http://x/<y>"), &Element{Tag: 0x00091001, VR: UN, Value: []byte("abc")},
		&Element{Tag: PixelData, VR: OW, Value: words(1, 2)},
	)
	const want = `{
		"00080008": {"vr": "CS", "Value": ["ORIGINAL", null, "AXIAL"]},
		"0008040C": {"vr": "UV", "Value": [18446744073709551615]},
		"00081110": {"vr": "SQ"},
		"00081140": {"vr": "SQ", "Value": [{}, {"00081155": {"vr": "UI", "Value": ["1.2"]}}]},
		"00081190": {"vr": "UR", "Value": ["http://x/<y>"]},
		"00091001": {"vr": "UN", "InlineBinary": "YWJj"},
		"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^J\"ane", "Phonetic": "やまだ"}, null, {"Alphabetic": "Roe"}]},
		"00100020": {"vr": "LO"},
		"00200013": {"vr": "IS", "Value": [7]},
		"00280009": {"vr": "AT", "Value": ["00181063"]},
		"00280010": {"vr": "US", "Value": [4]},
		"00280030": {"vr": "DS", "Value": [0.25, 1000000, "x"]},
		"00720076": {"vr": "FL", "Value": ["NaN", 0.1]},
		"7FE00010": {"vr": "OW", "BulkDataURI": "frames/1"}
	}`
	got := JSON(d, func(e *Element) string { return map[Tag]string{PixelData: "frames/1"}[e.Tag] })
	var wantShort, gotShort bytes.Buffer
	if err := json.Compact(&wantShort, []byte(want)); err != nil {
		t.Fatal(err)
	}
	if err := json.Compact(&gotShort, got); err != nil {
		t.Fatalf("%v in %s", err, got)
	}
	unescaped := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(gotShort.String())
	if unescaped != wantShort.String() {
		t.Errorf("got\n%s\nwant\n%s", unescaped, wantShort.String())
	}
	for _, e := range []*Element{{Tag: PixelData, VR: OB, Fragments: [][]byte{{1}}}, {Tag: PixelData, VR: OB}} {
		if got := string(JSON(NewDataset(e), nil)); got != `{"7FE00010":{"vr":"OB"}}` {
			t.Errorf("got %s", got)
		}
	}
}
