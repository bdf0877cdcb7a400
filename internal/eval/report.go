package eval

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"consilium/internal/analysis"
	"consilium/internal/chexpert"
	"consilium/internal/dataset"
	"consilium/internal/narrative"
	"consilium/internal/pipeline"
	"consilium/internal/train"
)

// NamedWriter is a writer of sentences under measurement.
type NamedWriter struct {
	Name   string
	Writer analysis.SentenceWriter
}

// numbers stand in brackets behind a sentence; no person writes them.
var numbers = regexp.MustCompile(` \([^)]* \d[^)]*\)`)

// reportCase is a film with what is known of it.
type reportCase struct {
	film      dataset.Film
	labels    map[string]bool // the observations that are positive
	sentences []string        // what a person wrote about it; none for a film with labels only
	vector    []float32       // the image's embedding
}

// reports measures what the platform writes about the test films, with each of the writers.
func reports(ctx context.Context, e Env) ([]Figure, error) {
	if e.Data == "" {
		return nil, &ErrNoData{"report"}
	}
	if len(e.Models.Writers) == 0 {
		return nil, errors.New("measure report: there is no writer of sentences")
	}
	start := time.Now()
	labeler, err := chexpert.ReadPublished(filepath.Join(e.Data, "kg"))
	if errors.Is(err, fs.ErrNotExist) && e.Training != "" { // somebody else's folder may hold films only
		labeler, err = chexpert.ReadPublished(filepath.Join(e.Training, "kg"))
	}
	if errors.Is(err, fs.ErrNotExist) {
		labeler, err = chexpert.Own, nil
	}
	if err != nil {
		return nil, err
	}
	cases, err := readReportCases(ctx, e, e.Data, labeler, "train", "test")
	if err != nil {
		return nil, err
	}
	if len(cases["train"]) == 0 && e.Training != "" {
		known, err := readReportCases(ctx, e, e.Training, labeler, "train")
		if err != nil {
			return nil, fmt.Errorf("training films for the floors: %w", err)
		}
		cases["train"] = known["train"]
	}
	if len(cases["test"]) == 0 {
		return nil, errors.New("measure report: there are no test films with a label or a text")
	}
	var figures []Figure
	for i, w := range e.Models.Writers {
		suffix := ""
		if i > 0 {
			suffix = "-" + w.Name
		}
		made, err := writeReports(ctx, e, w.Writer, cases["test"], labeler)
		if err != nil {
			return nil, err
		}
		figures = append(figures, made.figures(suffix, cases, i == 0)...)
	}
	return timed(start, figures), nil
}

// readReportCases returns the folder's films by split that have a label that is an observation, or No Finding, or a text.
func readReportCases(ctx context.Context, e Env, folder string, labeler *chexpert.Labeler, splits ...string) (map[string][]reportCase, error) {
	films, err := dataset.ReadFilms(folder)
	if err != nil {
		return nil, err
	}
	texts, err := dataset.ReadReports(folder)
	if err != nil {
		return nil, err
	}
	of := map[string][]string{}
	for _, t := range texts {
		of[t.Film] = t.Sentences
	}
	cases := map[string][]reportCase{}
	for _, f := range films {
		c := reportCase{film: f, sentences: of[f.ID], labels: map[string]bool{}}
		switch {
		case !slices.Contains(splits, f.Split) || !f.NIH && c.sentences == nil:
			continue
		case c.sentences != nil:
			c.labels = positives(labeler.Report(c.sentences))
		}
		for _, l := range f.Labels {
			if o := chexpert.Of(l); o != "" {
				c.labels[o] = true
			}
		}
		if len(c.labels) > 1 {
			delete(c.labels, chexpert.NoFinding) // a text may leave out what the film has
		}
		b, err := os.ReadFile(f.Path)
		if err != nil {
			return nil, err
		}
		image, err := train.One(e.Models.Radiographs.EncodeImage(ctx, [][]byte{b}))
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", f.Path, err)
		}
		c.vector = image.Vector
		cases[f.Split] = append(cases[f.Split], c)
	}
	return cases, nil
}

// positives are the observations that are positive.
func positives(classes map[string]chexpert.Class) map[string]bool {
	out := map[string]bool{}
	for o, class := range classes {
		if class == chexpert.Positive {
			out[o] = true
		}
	}
	return out
}

// writtenReport is what the platform wrote about one film.
type writtenReport struct {
	findings      []string        // the sentences of that section
	plain         []string        // the same without a writer
	labels        map[string]bool // that findings and impression state
	stated        int             // sentences about what was judged, in whoever's words
	contradicting int             // of these, those that contradict it
}

// writtenReports are those on the test films, and how the drafts fared.
type writtenReports struct {
	reports         []writtenReport
	refused, worded tally // first drafts that were not fit; statements for which a draft was
}

// recorder keeps what was asked of a writer and what it answered.
type recorder struct {
	analysis.SentenceWriter
	statements []analysis.Statement
	drafts     [][]string
}

func (r *recorder) WriteSentence(ctx context.Context, request *analysis.SentenceRequest) (*analysis.Drafts, error) {
	drafts, err := r.SentenceWriter.WriteSentence(ctx, request)
	if err == nil {
		r.statements, r.drafts = append(r.statements, request.Statement), append(r.drafts, drafts.Texts)
	}
	return drafts, err
}

// filmsAtOnce is how many reports are written side by side: a language model writes many sentences in the time of one.
const filmsAtOnce = 16

// writeReports has the platform's path report on each film, from the image alone.
func writeReports(ctx context.Context, e Env, writer analysis.SentenceWriter, cases []reportCase, labeler *chexpert.Labeler) (*writtenReports, error) {
	out := &writtenReports{}
	progress := train.NewProgress(e.Out, "report", len(cases))
	for films := range slices.Chunk(cases, filmsAtOnce) {
		results, recorders := make([]*analysis.Result, len(films)), make([]*recorder, len(films))
		group, ctx := errgroup.WithContext(ctx)
		for i, c := range films {
			recorders[i] = &recorder{SentenceWriter: writer}
			group.Go(func() (err error) {
				results[i], err = writeReport(ctx, e, recorders[i], c.film.Path)
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return nil, err
		}
		for i, result := range results {
			out.add(e.Out, result, recorders[i], labeler)
		}
		progress.Report(len(out.reports), "written")
	}
	return out, nil
}

func writeReport(ctx context.Context, e Env, writer analysis.SentenceWriter, film string) (*analysis.Result, error) {
	b, err := os.ReadFile(film)
	if err != nil {
		return nil, err
	}
	path := &pipeline.Pipeline{Text: e.Models.Text, Vision: e.Models.Vision, Radiographs: e.Models.Radiographs, Audio: e.Models.Audio,
		Fusion: e.Models.Fuser, Segmenter: e.Models.Segmenter, Writer: writer}
	result, err := path.Analyze(ctx, &analysis.Request{Task: analysis.Report, Image: b, Whole: true})
	if err != nil {
		return nil, fmt.Errorf("report on %s: %w", film, err)
	}
	return result, nil
}

func (w *writtenReports) add(out io.Writer, result *analysis.Result, r *recorder, labeler *chexpert.Labeler) {
	facts := narrative.FactsOf(result.Findings, result.Segmentation)
	for i, s := range r.statements {
		fit := func(text string) bool { return facts.Carries(s, text) == nil }
		w.refused.count(len(r.drafts[i]) == 0 || !fit(r.drafts[i][0]))
		w.worded.count(slices.ContainsFunc(r.drafts[i], fit))
	}
	present := map[analysis.Modality]bool{analysis.Image: true}
	bare := *result
	bare.Wordings = nil
	var one writtenReport
	for _, section := range pipeline.Write(&bare, present).Sections {
		if section.Name != "findings" {
			continue
		}
		for _, s := range section.Sentences {
			one.plain = append(one.plain, numbers.ReplaceAllString(s.Text, ""))
		}
	}
	var all []string
	for _, section := range pipeline.Write(result, present).Sections {
		if section.Name == "measurements" {
			continue // numbers, which a labeler of words takes for observations
		}
		for _, s := range section.Sentences {
			all = append(all, s.Text)
			if section.Name == "findings" {
				one.findings = append(one.findings, numbers.ReplaceAllString(s.Text, ""))
			}
			one.stated++
			if observations := facts.Contradicts(labeler, s.Text); len(observations) > 0 {
				one.contradicting++
				fmt.Fprintf(out, "contradicts what was judged of %v: %q\n", observations, s.Text)
			}
		}
	}
	one.labels = positives(labeler.Report(all))
	w.reports = append(w.reports, one)
}

// join makes one text of sentences.
func join(sentences []string) string { return strings.Join(sentences, " ") }
