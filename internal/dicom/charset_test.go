package dicom

import (
	"slices"
	"strings"
	"testing"
)

// TestCharacterSets reads the examples of PS3.5 annexes H to K and their like.
func TestCharacterSets(t *testing.T) {
	for _, c := range []struct {
		names, bytes, want string
		note               string
	}{
		{"", "Doe^Jane", "Doe^Jane", ""},
		{"ISO_IR 100", "Buc^J\xe9r\xf4me", "Buc^Jérôme", ""},
		{"ISO_IR 100", "\xc4neas^R\xfcdiger", "Äneas^Rüdiger", ""},
		{"ISO_IR 101", "Wa\xb3\xeasa", "Wałęsa", ""},
		{"ISO_IR 144", "\xbb\xeeace\xdc\xd1yp\xd3", "Люaceмбypг", ""},
		{"ISO_IR 126", "\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2", "Διονυσιος", ""},
		{"ISO_IR 127", "\xe2\xc8\xc7\xe6\xea", "قباني", ""},
		{"ISO_IR 138", "\xf9\xf8\xe5\xef^\xe3\xe1\xe5\xf8\xe4", "שרון^דבורה", ""},
		{"ISO_IR 148", "\xc7avu\xfeo\xf0lu", "Çavuşoğlu", ""},
		{"ISO_IR 203", "\xa4 \xbd", "€ œ", ""},
		{"ISO_IR 166", "\xb9\xd2\xc1", "นาม", ""},
		{"ISO_IR 192", "Wang^XiaoDong=王^小東", "Wang^XiaoDong=王^小東", ""},
		{"ISO_IR 192", "broken \xff byte", "broken \uFFFD byte", ""},
		{"GB18030", "Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab", "Wang^XiaoDong=王^小东", ""},
		{"GBK", "\x81\x5c\\second", "乗\\second", ""}, // a backslash as the second byte of a character is none
		{"ISO_IR 13", "\xd4\xcf\xc0\xde^\xc0\xdb\xb3", "ﾔﾏﾀﾞ^ﾀﾛｳ", ""},
		{"\\ISO 2022 IR 87", "Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B", "Yamada^Tarou=山田^太郎=やまだ^たろう", ""},
		{"ISO 2022 IR 13\\ISO 2022 IR 87", "\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう", ""},
		{"\\ISO 2022 IR 149", "Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf", "Hong^Gildong=洪^吉洞=홍^길동", ""},
		{"\\ISO 2022 IR 58", "Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab", "Zhang^XiaoDong=张^小东", ""},
		{"ISO 2022 IR 6\\ISO 2022 IR 100", "J\x1b-A\xe9r\xf4me\\\xe9", "Jérôme\\é", ""},
		{"ISO 2022 IR 100\\ISO 2022 IR 144", "\xe9\x1b-L\xbb\xee^\xe9", "éЛю^é", ""},
		{"\\ISO 2022 IR 159", "\x1b$(D0!\x1b(B.", "丂.", ""},
		{"\\ISO 2022 IR 87", "odd \x1b?\x1b$B!", "odd \uFFFD?\uFFFD", ""},
		{"", "J\xe9r\xf4me", "Jérôme", "the file names no character set for text that is not ASCII; it is read as ISO 8859-1"},
		{"ISO_IR 999", "J\xe9r\xf4me", "J\uFFFDr\uFFFDme", `the character set "ISO_IR 999" is not read; what is not ASCII in it is replaced`},
	} {
		d := NewDataset(NewText(ImageType, CS, "A"), NewText(PatientName, LT, c.bytes),
			NewSequence(0x00101002, NewDataset(NewText(PatientName, LT, c.bytes)), NewDataset(NewText(SpecificCharacterSet, CS, "ISO_IR 192"), NewText(PatientName, LT, "東"))))
		if c.names != "" {
			d.Set(NewText(SpecificCharacterSet, CS, c.names))
		}
		f, err := Parse(encode(t, ExplicitLittle, d))
		if err != nil {
			t.Fatal(err)
		}
		items := f.Dataset.Items(0x00101002)
		for _, got := range []string{f.Dataset.String(PatientName), items[0].String(PatientName)} {
			if got != c.want {
				t.Errorf("%s: %q, want %q", c.names, got, c.want)
			}
		}
		if got := items[1].String(PatientName); got != "東" {
			t.Errorf("%s: the item with a character set of its own holds %q", c.names, got)
		}
		if got := strings.Join(f.Notes, "; "); got != c.note {
			t.Errorf("%s: notes %q, want %q", c.names, got, c.note)
		}
		if got := f.Dataset.String(SpecificCharacterSet); got != utf8Name {
			t.Errorf("%s: in memory the character set is %q", c.names, got)
		}
		f.Dataset.Set(NewText(SOPClassUID, UI, "1.2"))
		f.Dataset.Set(NewText(SOPInstanceUID, UI, "1.3"))
		b, err := Write(f)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(b)
		if err != nil || again.Dataset.String(PatientName) != c.want || again.Notes != nil {
			t.Errorf("%s: written and read again: %v", c.names, err)
		}
	}
}

// TestTextBeforeCharacterSet reads text of the meta information, which has to be ASCII, and is not here.
func TestTextBeforeCharacterSet(t *testing.T) {
	const sourceTitle Tag = 0x00020016
	meta := NewDataset(NewText(TransferSyntaxUID, UI, string(ExplicitLittle)), NewText(sourceTitle, AE, "J\xe9r\xf4me"))
	f, err := Parse(slices.Concat(make([]byte, preambleBytes), []byte(prefix), form{explicit: true}.dataset(meta)))
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Meta.String(sourceTitle); got != "J?r?me" || len(f.Notes) != 1 || f.Dataset.Len() != 0 {
		t.Errorf("%q, notes %v, %d elements", got, f.Notes, f.Dataset.Len())
	}
}

// TestWriteNamesCharacterSet writes text that became more than ASCII after the file was read.
func TestWriteNamesCharacterSet(t *testing.T) {
	for _, name := range []string{"Doe", "Müller"} {
		f := &File{Dataset: NewDataset(NewText(SOPClassUID, UI, "1.2"), NewText(SOPInstanceUID, UI, "1.3"),
			NewSequence(0x00101002, NewDataset(NewText(PatientName, PN, name))))}
		b, err := Write(f)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		if got := again.Dataset.Get(SpecificCharacterSet) != nil; got != (name == "Müller") {
			t.Errorf("%s: the file names a character set: %v", name, got)
		}
		if f.Dataset.Get(SpecificCharacterSet) != nil {
			t.Error("writing changed the data set")
		}
	}
}
