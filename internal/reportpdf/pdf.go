// Package reportpdf writes a report as a PDF for paper.
package reportpdf

import (
	"bytes"
	"fmt"
	"strings"
	"sync"

	"codeberg.org/go-pdf/fpdf"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/sfnt"

	"consilium/internal/analysis"
	"consilium/internal/reportdoc"
)

// The page is A4; lengths are in millimetres, sizes of type in points.
const (
	margin = 18.0
	width  = 210 - 2*margin
	// pictureMax is the width of a picture, so that two lie side by side, and pictureHigh the most that one is high.
	pictureMax  = 85.0
	pictureHigh = 120.0
	family      = "go"
)

const mark = "RESEARCH SOFTWARE, NOT A MEDICAL DEVICE"

// glyphs tells which characters the font has.
var glyphs = sync.OnceValues(func() (*sfnt.Font, error) { return sfnt.Parse(goregular.TTF) })

// writer writes one document.
type writer struct {
	*fpdf.Fpdf
	font    *sfnt.Font
	buffer  sfnt.Buffer
	missing bool // some character is not in the font
}

// Write returns the report as a PDF. A character that the font lacks is shown as U+FFFD, and the last page says so: the
// other forms of the report have it.
func Write(d *reportdoc.Document) ([]byte, error) {
	font, err := glyphs()
	if err != nil {
		return nil, fmt.Errorf("read the font of reports: %w", err)
	}
	r := d.Report
	w := &writer{Fpdf: fpdf.New("P", "mm", "A4", ""), font: font}
	w.SetCatalogSort(true) // with the dates, the same report is the same bytes
	w.SetCreationDate(r.Latest().At)
	w.SetModificationDate(r.Latest().At)
	w.SetTitle(w.shown(d.Title()), true)
	w.SetSubject(mark, true)
	w.SetProducer("Consilium", true)
	w.SetLang("en")
	w.AddUTF8FontFromBytes(family, "", goregular.TTF)
	w.AddUTF8FontFromBytes(family, "B", gobold.TTF)
	w.SetMargins(margin, margin, margin)
	w.SetAutoPageBreak(true, margin+6)
	foot := fmt.Sprintf("Report %s, version %d (%s)", r.ID, r.Version, r.Status())
	w.SetFooterFunc(func() {
		w.SetY(-margin)
		w.SetFont(family, "", 7)
		w.SetTextColor(70, 70, 70)
		w.CellFormat(width/2, 4, w.shown(foot), "", 0, "L", false, 0, "")
		w.CellFormat(width/2, 4, fmt.Sprintf("%s    %d", mark, w.PageNo()), "", 0, "R", false, 0, "")
	})
	w.AddPage()
	w.head(d)
	w.pictures(d)
	w.bars(d.Bars())
	for i := range r.Narrative.Sections {
		w.section(d, &r.Narrative.Sections[i])
	}
	w.list("Limits", d.Limits())
	var lines []string
	for _, m := range d.Models() {
		line := m.Name + ": " + m.Digest
		if m.Brought {
			line += " (brought by a user under " + m.Licence + "; not validated)"
		}
		lines = append(lines, line)
	}
	w.list("Models", lines)
	lines = nil
	for _, a := range r.Artefacts {
		lines = append(lines, fmt.Sprintf("%s: SHA-256 %s", a.Modality, a.SHA256))
	}
	w.list("Rests on", lines)
	w.list("History", d.History())
	if w.missing {
		w.line(8, "", "The font of this document lacks some characters of the report and shows \uFFFD for them; the other forms of the report have them.")
	}
	var b bytes.Buffer
	if err := w.Output(&b); err != nil {
		return nil, fmt.Errorf("write report %s as a PDF: %w", r.ID, err)
	}
	return b.Bytes(), nil
}

// shown returns a text in characters that the font has.
func (w *writer) shown(text string) string {
	return strings.Map(func(r rune) rune {
		if i, err := w.font.GlyphIndex(&w.buffer, r); err != nil || i == 0 || r > 0xFFFF {
			w.missing = true
			return '\uFFFD'
		}
		return r
	}, text)
}

// line writes a text over as many lines as it takes.
func (w *writer) line(size float64, style, text string) {
	w.SetFont(family, style, size)
	w.MultiCell(0, size*0.5, w.shown(text), "", "L", false)
}

// indented does the same further in.
func (w *writer) indented(by, size float64, style, text string) {
	w.SetLeftMargin(margin + by)
	w.SetX(margin + by)
	w.line(size, style, text)
	w.SetLeftMargin(margin)
	w.SetX(margin)
}

func (w *writer) head(d *reportdoc.Document) {
	w.SetTextColor(138, 31, 17)
	w.SetFont(family, "B", 10)
	w.CellFormat(0, 7, mark, "1", 1, "C", false, 0, "")
	w.SetTextColor(0, 0, 0)
	w.Ln(3)
	w.line(16, "B", d.Title())
	w.Ln(1)
	w.SetTextColor(0, 0, 0)
	if s := d.Report.Status(); !s.Signed() {
		w.SetTextColor(138, 31, 17)
	}
	for _, line := range d.Standing() {
		w.line(11, "B", line)
	}
	w.SetTextColor(70, 70, 70)
	w.line(9, "", reportdoc.Plain(d.Report.Narrative.Disclaimer))
	w.SetTextColor(0, 0, 0)
	w.Ln(3)
}

func (w *writer) pictures(d *reportdoc.Document) {
	if _, height := w.GetPageSize(); d.Picture != nil && w.GetY()+pictureHigh+10 > height-margin-6 {
		w.AddPage()
	}
	x, y, lowest := margin, w.GetY(), w.GetY()
	for i, p := range []struct {
		png     []byte
		caption string
	}{{d.Picture, "The image that the report rests on"}, {d.Drawing, "Where the model saw what; nobody has reviewed the masks"}} {
		if p.png == nil {
			continue
		}
		name, options := fmt.Sprintf("picture%d", i), fpdf.ImageOptions{ImageType: "PNG"}
		info := w.RegisterImageOptionsReader(name, options, bytes.NewReader(p.png))
		if w.Err() {
			return // Output says why
		}
		wide, high := pictureMax, pictureMax*info.Height()/info.Width()
		if high > pictureHigh {
			wide, high = wide*pictureHigh/high, pictureHigh
		}
		w.ImageOptions(name, x, y, wide, high, false, options, 0, "")
		w.SetXY(x, y+high+1)
		w.SetFont(family, "", 7)
		w.MultiCell(pictureMax, 3.5, p.caption, "", "L", false)
		lowest, x = max(lowest, w.GetY()), x+pictureMax+4
	}
	w.SetXY(margin, lowest)
	if lowest > y {
		w.Ln(3)
	}
}

// bars draws the findings: how probable each is, and a mark at its threshold.
func (w *writer) bars(bars []reportdoc.Bar) {
	if len(bars) == 0 {
		return
	}
	const left, long, high = 50.0, 60.0, 5.5
	w.title("What the models judged")
	for _, b := range bars {
		if _, height := w.GetPageSize(); w.GetY()+high > height-margin-6 {
			w.AddPage()
		}
		x, y, style := margin+left, w.GetY(), ""
		bar := func(from, wide float64, red, green, blue int) {
			w.SetFillColor(red, green, blue)
			w.Rect(x+from*long, y+1, wide*long, high-2, "F")
		}
		bar(0, 1, 230, 230, 230)
		if b.Present {
			style = "B"
			bar(0, b.Probability, 179, 107, 0)
		} else {
			bar(0, b.Probability, 125, 138, 150)
		}
		bar(b.Threshold, 0.008, 26, 26, 26)
		w.SetFont(family, style, 8)
		w.CellFormat(left-2, high, w.fit(b.Label, left-2), "", 0, "L", false, 0, "")
		text := fmt.Sprintf("%s, threshold %s: %s", b.Shown, b.ShownThreshold, b.State)
		if b.Band != "" {
			text += ", band " + b.Band
		}
		w.SetX(x + long + 2)
		w.CellFormat(0, high, w.shown(text), "", 1, "L", false, 0, "")
	}
}

// fit cuts a text that would be wider.
func (w *writer) fit(text string, wide float64) string {
	shown := []rune(w.shown(text))
	for len(shown) > 0 && w.GetStringWidth(string(shown)) > wide-2 {
		shown = shown[:len(shown)-1]
	}
	return string(shown)
}

func (w *writer) title(name string) {
	w.Ln(2)
	w.line(12, "B", strings.ToUpper(name[:min(1, len(name))])+name[min(1, len(name)):])
	w.Ln(0.5)
}

func (w *writer) section(d *reportdoc.Document, s *analysis.Section) {
	w.title(reportdoc.Plain(s.Name))
	if len(s.Sentences) == 0 {
		w.line(10, "", "None.")
	}
	for i := range s.Sentences {
		w.line(10, "", fmt.Sprintf("%d. %s", i+1, reportdoc.Plain(s.Sentences[i].Text)))
		w.SetTextColor(70, 70, 70)
		for _, line := range d.Evidence(&s.Sentences[i]) {
			w.indented(5, 8, "", line)
		}
		w.SetTextColor(0, 0, 0)
		w.Ln(1)
	}
}

func (w *writer) list(name string, lines []string) {
	if len(lines) == 0 {
		return
	}
	w.title(name)
	for _, line := range lines {
		w.line(8, "", line)
	}
}
