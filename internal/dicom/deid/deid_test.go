package deid

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"consilium/internal/analysis"
	"consilium/internal/dicom"
)

var testSecret = bytes.Repeat([]byte{7}, SecretBytes)

// everyTag lists the dictionary, which has one line a tag.
func everyTag(t *testing.T) []dicom.Tag {
	t.Helper()
	f, err := os.Open("../dictionary.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var tags []dicom.Tag
	for lines := bufio.NewScanner(f); lines.Scan(); {
		tag, err := strconv.ParseUint(strings.Fields(lines.Text())[0], 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		if tag>>16 >= 8 {
			tags = append(tags, dicom.Tag(tag))
		}
	}
	return tags
}

// marked returns an element whose value holds a mark that nothing else has; "" if the VR has no room for one.
func marked(tag dicom.Tag) (e *dicom.Element, mark string) {
	vr := tag.VR()
	switch vr {
	case dicom.AE, dicom.CS, dicom.LO, dicom.LT, dicom.PN, dicom.SH, dicom.ST, dicom.UC, dicom.UR, dicom.UT:
		mark = fmt.Sprintf("MK%08X", uint32(tag))
	case dicom.DA:
		mark = "19570213"
	case dicom.TM:
		mark = "074713"
	case dicom.DT:
		mark = "19570213074713.123"
	case dicom.AS:
		mark = "A" + fmt.Sprintf("%d", uint32(tag)) // not the form of an age
	case dicom.UI:
		mark = fmt.Sprintf("1.2.826.%d.5", uint32(tag))
	case dicom.UN, dicom.OB, dicom.OD, dicom.OF, dicom.OL, dicom.OV, dicom.OW:
		mark = fmt.Sprintf("MK%08X......", uint32(tag))
		return &dicom.Element{Tag: tag, VR: vr, Value: []byte(mark)}, mark
	default:
		return nil, ""
	}
	return dicom.NewText(tag, vr, mark), mark
}

// stays says that the mark of an element may be in the output: codes and words that the table does not name, and pixels.
func stays(tag dicom.Tag) bool {
	_, listed := table[tag]
	return words[tag] || bulk[tag] || tag.VR() == dicom.CS && !listed && !dropped(tag)
}

// TestNoElementKeepsItsMark puts a mark into every element of the dictionary, at the top and in a nested item.
func TestNoElementKeepsItsMark(t *testing.T) {
	top, nested := &dicom.Dataset{}, &dicom.Dataset{}
	marks := map[dicom.Tag]string{}
	for _, tag := range everyTag(t) {
		if e, mark := marked(tag); mark != "" {
			top.Set(e)
			if tag != dicom.PixelData {
				nested.Set(e)
			}
			marks[tag] = mark
		}
	}
	if len(marks) < 1700 {
		t.Fatalf("only %d elements are marked", len(marks))
	}
	const outer, inner dicom.Tag = 0x00082218, 0x00400440 // anatomic region, protocol context: no one's identity
	top.Set(dicom.NewSequence(outer, dicom.NewDataset(dicom.NewSequence(inner, nested))))
	top.Set(dicom.NewText(0x00090010, dicom.LO, "MKPRIVATE"))
	top.Set(dicom.NewText(0x00091001, dicom.LO, "MKPRIVATE"))
	nested.Set(dicom.NewText(0x00111001, dicom.PN, "MKPRIVATE"))
	top.Set(dicom.NewText(0x60020022, dicom.LO, "MKOVERLAY"))
	top.Set(dicom.NewText(0x50040022, dicom.LO, "MKCURVE"))
	top.Set(dicom.NewText(0x7FDE0010, dicom.LO, "MKVARIABLE"))
	top.Set(&dicom.Element{Tag: 0x00089999, VR: dicom.LO, Value: []byte("MKUNKNOWN")})
	for i, vr := range []dicom.VR{dicom.UN, dicom.OB, dicom.US, dicom.PN, dicom.SH} { // a VR that lies about its element
		top.Set(&dicom.Element{Tag: dicom.Tag(0x00102180 + i), VR: vr, Value: []byte("MKLIAR")})
	}
	for i, vr := range []dicom.VR{dicom.UN, dicom.OB, dicom.US, dicom.UI, dicom.AT, dicom.SL} {
		for _, tag := range []dicom.Tag{dicom.PatientName, dicom.PatientAge, dicom.PatientSex, dicom.StudyInstanceUID, 0x00201040, 0x00181020, 0x00209056} {
			probe := dicom.NewDataset(&dicom.Element{Tag: tag, VR: vr, Value: []byte("MKLIAR12")})
			out := rules{cleaner: New(testSecret, "t")}.dataset(probe)
			if e := out.Get(tag); e != nil && bytes.Contains(e.Value, []byte("MKLIAR")) && !words[tag] {
				t.Errorf("%d: %v with the VR %s keeps its value", i, tag, vr)
			}
		}
	}

	f := &dicom.File{Meta: dicom.NewDataset(dicom.NewText(0x00020016, dicom.AE, "MKMETA")), Dataset: top, TransferSyntax: dicom.ExplicitLittle}
	clean, _, err := New(testSecret, "t").Clean(f)
	if err != nil {
		t.Fatal(err)
	}
	out, err := dicom.Write(clean)
	if err != nil {
		t.Fatal(err)
	}
	for _, mark := range []string{"MKPRIVATE", "MKOVERLAY", "MKCURVE", "MKVARIABLE", "MKUNKNOWN", "MKLIAR", "MKMETA"} {
		if bytes.Contains(out, []byte(mark)) {
			t.Errorf("%s is in the output", mark)
		}
	}
	for tag, mark := range marks {
		if !stays(tag) && bytes.Contains(out, []byte(mark)) {
			t.Errorf("%v %s: %q is in the output", tag, tag.Keyword(), mark)
		}
	}
	inside := clean.Dataset.Items(outer)[0].Items(inner)[0]
	for _, d := range []*dicom.Dataset{clean.Dataset, inside} {
		if d.String(0x00080070) != marks[0x00080070] || d.Get(dicom.PatientName) == nil || !d.Get(dicom.PatientName).Empty() || d.Get(dicom.InstitutionName) == nil || !d.Get(dicom.InstitutionName).Empty() {
			t.Error("what stays, or stays empty, is gone")
		}
	}
}

// image is a small file with what a file must have, and more elements.
func image(more ...*dicom.Element) *dicom.File {
	return &dicom.File{Meta: &dicom.Dataset{}, TransferSyntax: dicom.ExplicitLittle, Dataset: dicom.NewDataset(append([]*dicom.Element{
		dicom.NewText(dicom.SOPClassUID, dicom.UI, "1.2.840.10008.5.1.4.1.1.7"),
		dicom.NewText(dicom.SOPInstanceUID, dicom.UI, "1.2.3.4"),
		dicom.NewText(dicom.StudyInstanceUID, dicom.UI, "1.2.3"),
		dicom.NewText(dicom.SeriesInstanceUID, dicom.UI, "1.2.3.5"),
		dicom.NewText(0x00200052, dicom.UI, "1.2.840.10008.1.4.1.1"), // frame of reference: the Talairach atlas
		dicom.NewInts(dicom.Rows, dicom.US, 1), dicom.NewInts(dicom.Columns, dicom.US, 3),
		dicom.NewInts(dicom.SamplesPerPixel, dicom.US, 1), dicom.NewInts(dicom.BitsAllocated, dicom.US, 16),
		dicom.NewInts(dicom.BitsStored, dicom.US, 12), dicom.NewInts(dicom.HighBit, dicom.US, 11),
		dicom.NewText(dicom.PhotometricInterpretation, dicom.CS, "MONOCHROME2"),
		{Tag: dicom.PixelData, VR: dicom.OW, Value: []byte("\x01\x10\x02\x00\x03\x10")},
	}, more...)...)}
}

func clean(t *testing.T, f *dicom.File) (*dicom.Dataset, []string) {
	t.Helper()
	out, warnings, err := New(testSecret, "t").Clean(f)
	if err != nil {
		t.Fatal(err)
	}
	return out.Dataset, warnings
}

func TestUIDsAreMappedStablyAndPerTenant(t *testing.T) {
	a, b := New(testSecret, "one"), New(testSecret, "two")
	other := New(bytes.Repeat([]byte{8}, SecretBytes), "one")
	uid := a.UID("1.2.3")
	if !strings.HasPrefix(uid, "2.25.") || !ValidUID(uid) || uid != New(testSecret, "one").UID("1.2.3") {
		t.Errorf("mapped to %s", uid)
	}
	if uid == a.UID("1.2.4") || uid == b.UID("1.2.3") || uid == other.UID("1.2.3") || a.UID("") != "" {
		t.Error("two UIDs are mapped to one")
	}
	d, _ := clean(t, image(dicom.NewSequence(0x00081140, dicom.NewDataset( // referenced images
		dicom.NewText(0x00081150, dicom.UI, "1.2.840.10008.5.1.4.1.1.2"), dicom.NewText(0x00081155, dicom.UI, "1.2.3.4")))))
	own := New(testSecret, "t")
	reference := d.Items(0x00081140)[0]
	if d.String(dicom.SOPInstanceUID) != own.UID("1.2.3.4") || reference.String(0x00081155) != own.UID("1.2.3.4") {
		t.Error("a reference no longer points to its image")
	}
	if d.String(dicom.SOPClassUID) != "1.2.840.10008.5.1.4.1.1.7" || reference.String(0x00081150) != "1.2.840.10008.5.1.4.1.1.2" || d.String(0x00200052) != "1.2.840.10008.1.4.1.1" {
		t.Error("a registered UID was mapped")
	}
}

func TestAPatientIsOnePersonInOneStudy(t *testing.T) {
	c := New(testSecret, "t")
	with := func(id, name, study string) []byte {
		return c.Patient(dicom.NewDataset(dicom.NewText(dicom.PatientID, dicom.LO, id), dicom.NewText(dicom.PatientName, dicom.PN, name), dicom.NewText(dicom.StudyInstanceUID, dicom.UI, study)))
	}
	if !bytes.Equal(with("1", "A", "9"), with("1", "A^B", "9")) {
		t.Error("a corrected name makes another patient")
	}
	for _, other := range [][]byte{with("2", "A", "9"), with("", "A", "9"), with("1", "A", "8")} {
		if bytes.Equal(with("1", "A", "9"), other) {
			t.Error("two patients are one")
		}
	}
	if bytes.Equal(with("", "A", "9"), with("", "B", "9")) {
		t.Error("without an ID the name does not count")
	}
}

func TestCharacteristicsAreKept(t *testing.T) {
	date := func(tag dicom.Tag, v string) *dicom.Element { return dicom.NewText(tag, dicom.DA, v) }
	age := func(v string) *dicom.Element { return dicom.NewText(dicom.PatientAge, dicom.AS, v) }
	for _, test := range []struct {
		name string
		in   []*dicom.Element
		tag  dicom.Tag
		want string
	}{
		{"an age", []*dicom.Element{age("063Y")}, dicom.PatientAge, "063Y"},
		{"months", []*dicom.Element{age("007M")}, dicom.PatientAge, "007M"},
		{"a great age", []*dicom.Element{age("104Y")}, dicom.PatientAge, "090Y"},
		{"no age", []*dicom.Element{age("MILLER")}, dicom.PatientAge, ""},
		{"dates", []*dicom.Element{date(dicom.PatientBirthDate, "19700615"), date(dicom.StudyDate, "20200614")}, dicom.PatientAge, "049Y"},
		{"dates of a baby", []*dicom.Element{date(dicom.PatientBirthDate, "20200131"), date(0x00080022, "20200514")}, dicom.PatientAge, "003M"},
		{"dates in the wrong order", []*dicom.Element{date(dicom.PatientBirthDate, "20210131"), date(dicom.StudyDate, "20200514")}, dicom.PatientAge, ""},
		{"an age before dates", []*dicom.Element{age("050Y"), date(dicom.PatientBirthDate, "19700615"), date(dicom.StudyDate, "20200614")}, dicom.PatientAge, "050Y"},
		{"sex", []*dicom.Element{dicom.NewText(dicom.PatientSex, dicom.CS, "F")}, dicom.PatientSex, "F"},
		{"a name as sex", []*dicom.Element{dicom.NewText(dicom.PatientSex, dicom.CS, "MILLER")}, dicom.PatientSex, ""},
		{"size", []*dicom.Element{dicom.NewText(0x00101020, dicom.DS, "1.82")}, 0x00101020, "1.82"},
		{"a name as size", []*dicom.Element{dicom.NewText(0x00101020, dicom.DS, "MILLER")}, 0x00101020, ""},
		{"ethnic group", []*dicom.Element{dicom.NewText(0x00102160, dicom.SH, "ANY")}, 0x00102160, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if d, _ := clean(t, image(test.in...)); d.String(test.tag) != test.want {
				t.Errorf("kept %q, want %q", d.String(test.tag), test.want)
			}
		})
	}
}

func TestTheFileSaysWhatWasDone(t *testing.T) {
	d, warnings := clean(t, image(dicom.NewText(dicom.BurnedInAnnotation, dicom.CS, "YES")))
	if d.String(dicom.PatientIdentityRemoved) != "YES" || len(d.String(dicom.DeidentificationMethod)) == 0 || len(d.String(dicom.DeidentificationMethod)) > 64 || d.String(0x00280303) != "REMOVED" {
		t.Errorf("the method is %q", d.String(dicom.DeidentificationMethod))
	}
	if items := d.Items(dicom.DeidentificationMethodCodeSeq); len(items) != 2 || items[0].String(codeValue) != "113100" || items[1].String(codeValue) != "113108" || items[0].String(codingScheme) != "DCM" {
		t.Error("the codes of the method are missing")
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "burned") {
		t.Errorf("warnings %v", warnings)
	}
	if _, warnings := clean(t, image()); len(warnings) != 0 {
		t.Errorf("warnings %v", warnings)
	}
}

func TestDatesOfEnhancedObjectsGetDummies(t *testing.T) {
	contentDate := dicom.NewText(0x00080023, dicom.DA, "20200101")
	if d, _ := clean(t, image(contentDate)); d.String(0x00080023) != "" || d.Get(0x00080023) == nil {
		t.Errorf("content date %q", d.String(0x00080023))
	}
	if d, _ := clean(t, image(contentDate, dicom.NewSequence(dicom.SharedFunctionalGroupsSequence, dicom.NewDataset()))); d.String(0x00080023) != "19000101" {
		t.Errorf("content date %q of an enhanced object", d.String(0x00080023))
	}
}

// TestFilesAreReadAfterwards cleans and writes the sample files and finds nothing of the original's identity.
func TestFilesAreReadAfterwards(t *testing.T) {
	data := os.Getenv("CONSILIUM_DATA")
	if data == "" {
		t.Skip("CONSILIUM_DATA is unset")
	}
	files, err := filepath.Glob(filepath.Join(data, "dicom", "*.dcm"))
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	cleaned := 0
	for _, path := range files {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := dicom.Parse(raw)
		if err != nil {
			t.Logf("%s: %v", filepath.Base(path), err)
			continue
		}
		out, _, err := New(testSecret, "t").Clean(f)
		if err != nil {
			if analysis.CodeOf(err) != analysis.UnsupportedMedia {
				t.Errorf("%s: %v", filepath.Base(path), err)
			}
			continue
		}
		written, err := dicom.Write(out)
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(path), err)
			continue
		}
		if _, err := dicom.Parse(written); err != nil {
			t.Errorf("%s: read again: %v", filepath.Base(path), err)
		}
		cleaned++
		header := written
		if e := out.Dataset.Get(dicom.PixelData); e != nil {
			header = written[:bytes.LastIndex(written, []byte{0xE0, 0x7F, 0x10, 0x00})]
		}
		_ = f.Dataset.Walk(func(_ *dicom.Dataset, e *dicom.Element) error {
			switch e.VR {
			case dicom.PN, dicom.DA, dicom.DT, dicom.LT, dicom.ST, dicom.UT:
			case dicom.LO, dicom.SH, dicom.UI:
				if words[e.Tag] || strings.HasPrefix(e.Text(), wellKnown) {
					return nil
				}
			default:
				return nil
			}
			if v := e.Text(); len(v) >= 6 && !strings.Contains(f.Dataset.String(0x00080070), v) && bytes.Contains(header, []byte(v)) {
				t.Errorf("%s: %v %q is still there", filepath.Base(path), e.Tag, v)
			}
			return nil
		})
	}
	if cleaned < 10 {
		t.Errorf("only %d files were cleaned", cleaned)
	}
}
