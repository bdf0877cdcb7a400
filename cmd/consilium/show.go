package main

import (
	"fmt"
	"io"
	"math"
	"strings"

	"consilium/gateway/client"
)

// width is the length of a full bar, in characters.
const width = 24

// shades are the steps of a heat grid, from the least to the most attention.
var shades = []string{"  ", "░░", "▒▒", "▓▓", "██"}

func showStudy(w io.Writer, study *client.Study) {
	fmt.Fprintf(w, "\nStudy %s  %s\n", study.Id, study.Title)
	for _, a := range study.Artefacts {
		fmt.Fprintf(w, "  %-6s %-25s %8d bytes  sha256 %.12s…\n", a.Modality, a.MediaType, a.Bytes, a.Sha256)
	}
}

func showAnswer(w io.Writer, a *client.Answer) {
	var candidates []string
	for _, c := range a.Candidates {
		candidates = append(candidates, c.Text+" "+percent(c.Probability))
	}
	fmt.Fprintf(w, "\n  Question   %s\n", a.Question)
	rest := "Next"
	if a.Status == client.NeedsReview {
		fmt.Fprintf(w, "  Answer     %s  (%s, needs review below %s)\n", a.Text, percent(a.Confidence), percent(a.ReviewBelow))
		rest = "Guesses"
	} else {
		fmt.Fprintf(w, "  Answer     %s  (%s)\n", a.Text, percent(a.Confidence))
	}
	if len(candidates) > 0 {
		fmt.Fprintf(w, "  %-10s %s\n", rest, strings.Join(candidates, ", "))
	}
	showDegraded(w, a.Degraded)
	for _, r := range a.Reliance {
		fmt.Fprintf(w, "  Relies     on the %-6s %s %.3f   blank: %s %s, shuffled: %s %s\n", r.Modality, bar(r.Score), r.Score,
			r.Blank.Answer, percent(r.Blank.Confidence), r.Shuffled.Answer, percent(r.Shuffled.Confidence))
	}
	showEvidence(w, a.Modalities, a.Attention, a.Notes, a.Models, a.Timing)
}

func showReport(w io.Writer, r *client.Report) {
	fmt.Fprintf(w, "\n  Report %s  (%s)\n", r.Id, r.Status)
	for _, section := range r.Sections {
		fmt.Fprintf(w, "\n  %s\n", strings.ToUpper(string(section.Name)))
		for _, sentence := range section.Sentences {
			fmt.Fprintf(w, "    %s\n", sentence.Text)
			for _, f := range sentence.Evidence {
				fmt.Fprintf(w, "      %-24s %s %s  from %s, counts from %s\n", f.Label, bar(f.Probability), percent(f.Probability), f.Modality, percent(f.Threshold))
				if f.Present && f.Activation != nil {
					fmt.Fprintf(w, "      what speaks for it, %d x %d cells\n", f.Activation.Rows, f.Activation.Cols)
					for _, line := range heat(f.Activation.Rows, f.Activation.Cols, f.Activation.Values) {
						fmt.Fprintf(w, "        %s\n", line)
					}
				}
			}
			if sentence.Measurements != nil {
				for _, m := range *sentence.Measurements {
					fmt.Fprintf(w, "      %-24s %s %.3f  %s\n", m.Name, bar(m.Value), m.Value, m.Unit)
				}
			}
		}
	}
	showDegraded(w, r.Degraded)
	for _, omission := range r.NotAssessed {
		fmt.Fprintf(w, "    not assessed: %s: %s\n", omission.Modality, omission.Reason)
	}
	fmt.Fprintf(w, "\n  %s\n", r.Disclaimer)
	showEvidence(w, r.Modalities, r.Attention, r.Notes, r.Models, r.Timing)
}

func showDegraded(w io.Writer, degraded client.Degradations) {
	for _, d := range degraded {
		fmt.Fprintf(w, "  DEGRADED   %s: %s\n", d.Modality, d.Reason)
	}
}

// showEvidence prints what an answer and a report have in common.
func showEvidence(w io.Writer, modalities []client.ModalityWeight, attention *client.Attention, notes []client.Note, models client.Models, timing []client.Stage) {
	fmt.Fprintln(w)
	for _, m := range modalities {
		fmt.Fprintf(w, "  %-6s weight %s %.3f   entropy %s %.3f\n", m.Modality, bar(m.Weight), m.Weight, bar(m.Entropy), m.Entropy)
	}
	if attention != nil {
		fmt.Fprintf(w, "  image attention, %d x %d cells\n", attention.Rows, attention.Cols)
		for _, line := range heat(attention.Rows, attention.Cols, attention.Values) {
			fmt.Fprintf(w, "    %s\n", line)
		}
	}
	for _, note := range notes {
		fmt.Fprintf(w, "  note: %s %s: %s\n", note.Modality, note.Kind, note.Detail)
	}
	for _, role := range []string{"text", "image", "audio", "fusion", "segmentation", "writer"} {
		if digest, ok := models[role]; ok {
			fmt.Fprintf(w, "  model %-12s %.19s…\n", role, digest)
		}
	}
	var stages []string
	for _, s := range timing {
		stages = append(stages, fmt.Sprintf("%s %.0f ms", s.Name, s.Seconds*1000))
	}
	if len(stages) > 0 {
		fmt.Fprintf(w, "  time  %s\n", strings.Join(stages, ", "))
	}
}

func percent(fraction float64) string { return fmt.Sprintf("%.1f %%", 100*fraction) }

// bar draws a fraction of 0 to 1.
func bar(fraction float64) string {
	full := int(math.Round(width * min(max(fraction, 0), 1)))
	return strings.Repeat("█", full) + strings.Repeat("·", width-full)
}

// heat draws a grid with the cell of the most darkest; an even grid is all of one shade.
func heat(rows, cols int, values []float32) []string {
	if rows < 1 || cols < 1 || len(values) != rows*cols {
		return nil
	}
	var most float32
	for _, v := range values {
		most = max(most, v)
	}
	lines := []string{"┌" + strings.Repeat("──", cols) + "┐"}
	for row := range rows {
		var line strings.Builder
		for _, v := range values[row*cols : (row+1)*cols] {
			shade := 0
			if most > 0 {
				shade = int(math.Round(float64(max(v, 0)/most) * float64(len(shades)-1)))
			}
			line.WriteString(shades[shade])
		}
		lines = append(lines, "│"+line.String()+"│")
	}
	return append(lines, "└"+strings.Repeat("──", cols)+"┘")
}
