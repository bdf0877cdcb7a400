package dataset

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"consilium/internal/chexpert"
)

// ReportText is what a person wrote about a film: the report, or the sentences of the clinical note that are about it. The
// text has the licence of its film.
type ReportText struct {
	Film, Patient, Split string
	Labels               []string // of the film
	Sentences            []string // each with at least one observation
}

var (
	imagingNotes = regexp.MustCompile(`(?is)imaging (notes|findings):(.*?)(discussion:|$)`)
	// What is about another examination, the patient's history or the treatment.
	notOfFilm = regexp.MustCompile(`(?i)\b(CT|HRCT|tomograph\w*|MRI|axial|biops\w*|histor\w+|admitted|admission for|patients?|treat\w+|therapy|antibiotics?|diagnos\w+|presented|year-old|husband|he|she|her|his|cultures?|lung cancer)\b`)
	lastMark  = regexp.MustCompile(`[\s.:;,]+$`)
)

// ReadReports reads the texts beside the films of folder/cxr/metadata.csv, in its order. Films of the other source than
// NIH ChestX-ray14 have them, few; most are for research only.
func ReadReports(folder string) ([]ReportText, error) {
	_, rows, column, err := readFilmTable(folder, "id", "patient_id", "split", "labels", "imaging_report", "clinical_notes")
	if err != nil {
		return nil, fmt.Errorf("read reports: %w", err)
	}
	var out []ReportText
	for _, row := range rows {
		get := func(name string) string { return strings.TrimSpace(row[column[name]]) }
		text := get("imaging_report")
		if text == "" {
			text = get("clinical_notes")
			if notes := imagingNotes.FindStringSubmatch(text); notes != nil {
				text = notes[2]
			}
		}
		r := ReportText{Film: get("id"), Patient: get("patient_id"), Split: get("split"), Labels: strings.Split(get("labels"), "|")}
		for _, s := range chexpert.Sentences(text) {
			s = lastMark.ReplaceAllString(s, "")
			if len(chexpert.Own.Label(s)) > 0 && !notOfFilm.MatchString(s) && !slices.Contains(r.Sentences, s) {
				r.Sentences = append(r.Sentences, s)
			}
		}
		if len(r.Sentences) > 0 {
			out = append(out, r)
		}
	}
	return out, nil
}

var (
	isThere  = regexp.MustCompile(`(?i)^(is|are) there (?:any |an? )?(?:evidence of (?:an? )?|signs? of (?:an? )?)?(.+?)\??$`)
	isHeart  = regexp.MustCompile(`(?i)^is the (heart|cardiac silhouette|heart size) (enlarged|normal)\??$`)
	isThe    = regexp.MustCompile(`(?i)^(is|are) (?:an? |any |the )?(.+?) (present|seen|visible)(?: in .*)?\??$`)
	thisFilm = regexp.MustCompile(`(?i)\s*(on|in|of) (this|the) (chest |plain )?(x-?ray|image|film|picture|radiograph|patient|above patient).*$|\s+(present|seen|noted|visible)$`)
)

// Statements returns the questions of VQA-RAD about chests that ask whether something is there, each with its answer as a
// sentence, of one split: "Is there a pleural effusion?", "No" becomes "There is no pleural effusion".
func Statements(questions []RadQuestion, split string) []string {
	var out []string
	for _, q := range questions {
		if q.Split != split || q.Organ != "CHEST" || q.Answer != "yes" && q.Answer != "no" {
			continue
		}
		verb, what, not := "", "", map[string]string{"yes": "", "no": "no "}[q.Answer]
		if m := isHeart.FindStringSubmatch(q.Text); m != nil {
			no := map[string]string{"yes": "", "no": "not "}[q.Answer]
			out = append(out, "The "+strings.ToLower(m[1])+" is "+no+strings.ToLower(m[2]))
			continue
		} else if m := isThere.FindStringSubmatch(q.Text); m != nil {
			verb, what = strings.ToLower(m[1]), m[2]
		} else if m := isThe.FindStringSubmatch(q.Text); m != nil {
			verb, what = strings.ToLower(m[1]), m[2]
		}
		what = strings.ToLower(thisFilm.ReplaceAllString(what, ""))
		if s := "There " + verb + " " + not + what; what != "" && len(chexpert.Own.Label(s)) > 0 {
			out = append(out, s)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
