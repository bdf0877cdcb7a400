package eval

import (
	"context"
	"fmt"
	"io"
	"sort"
	"strings"
	"time"

	"consilium/internal/analysis"
)

// Models are the models under measurement, as services.
type Models struct {
	Text analysis.TextEncoder
	// TextInt8 is Text in 8 bits.
	TextInt8 analysis.TextEncoder
	Vision   analysis.VisionEncoder
	// VisionInt8 and RadiographsInt8 are Vision and Radiographs in 8 bits, nil where the processor has none.
	VisionInt8, RadiographsInt8 analysis.VisionEncoder
	// Radiographs encodes the films that findings are judged from.
	Radiographs analysis.VisionEncoder
	Audio       analysis.AudioEncoder
	Fuser       analysis.Fuser
	// Segmenter is what the platform runs; each of Folds has not seen the lesions of some of its training films.
	Segmenter analysis.Segmenter
	Folds     []Fold
	// Writers write the sentences of reports; the first is what the platform runs.
	Writers []NamedWriter
}

// Env is what a measurement reads.
type Env struct {
	Models Models
	// EasyVQA holds train/ and test/ of the easy-VQA set.
	EasyVQA string
	// EasyVQATest, if not "", is another folder to take the test split from.
	EasyVQATest string
	// Data is the folder of radiographs and sounds, "" if there is none.
	Data string
	// Training is the folder whose training films floors are made of where Data holds none, "" if there is none.
	Training string
	// Out takes progress.
	Out io.Writer
}

// ErrNoData is wrapped by the error of a measurement whose data is missing.
type ErrNoData struct{ Set string }

func (e *ErrNoData) Error() string {
	return fmt.Sprintf("%s needs the data folder that CONSILIUM_DATA names", e.Set)
}

// Measurement is one thing that can be measured.
type Measurement struct {
	Name  string
	About string // what is measured, on what, and what the floor is
	Run   func(ctx context.Context, e Env) ([]Figure, error)
}

// Measurements are all that there are, in the order of the report.
var Measurements = []Measurement{
	{"easy-vqa", "Questions about pictures, the official test split. Floor: the most frequent training answer to the same question, without the picture; the expected calibration error (15 bins, smaller is better) has none.", easyVQA},
	{"digits-audio", "Spoken digits. Floor: always the same digit.", digitsAudio},
	{"digits", "Audio-visual-text digits: a note (the word), a handwritten digit (the last fifth of scikit-learn's 1,797) and a spoken digit (FSDD, test split; the audio encoder has heard these five speakers, not these recordings), with two of the three parts, drawn at random, corrupted by noise, blank or cut at strengths s1 to s5; s0 is whole. Each rule weighs the same heads, the answers of each modality alone: \"learned\" is the gate as it ships, \"entropy-share\" the article's rule; \"fused\" is the platform's answer, decoded from all modalities under the gate's weights; \"one-wrong\" and \"two-wrong\" show whole content of other digits. Floor: the modality that is best in hindsight; of that, the most frequent digit; of a weight, a third.", digits},
	{"retrieval", "Whole triples of the same test pictures and recordings: whether the nearest thing of the other modality shows the same digit. The unseen voice is that of ten Asterisk recordings, which no model was trained on. Floor: chance.", retrieval},
	{"text-int8", "The text encoder in 8 bits against itself in fp32, on 1,000 texts: 500 questions about radiographs (VQA-RAD) and 500 names of diseases (Disease Ontology). \"same-nearest\" is the share of texts whose nearest other text, of the 999, is the same. Floor: the aim.", precision},
	{"image-int8", "The image encoders in 8 bits against themselves in fp32, on pictures of test splits: of shapes (easy-VQA), radiological ones (VQA-RAD) and chest radiographs (NIH ChestX-ray14); \"radiograph\" is the encoder that findings are judged by, on the last of these. \"same-nearest\" is the share of pictures whose nearest other one is the same. \"easy-vqa-accuracy\" is that of every tenth test question, \"auroc-pneumonia-image\" as in chest. Floor: of the cosines the aim; of the same nearest picture chance; of accuracy and AUROC what fp32 reaches on the same cases.", imagePrecision},
	{"cough", "Cough against environmental sounds, the test split; and, as a measurement of the data only, COVID from the cough within each recording channel, by a logistic regression on the pooled vectors of the training split, its penalty chosen on the validation split. Floor: chance.", coughs},
	{"chest", "Pneumonia against No Finding on radiographs of NIH ChestX-ray14, the test split by patient: the radiograph, the record (age, sex, view) and both. This is an easier question than pneumonia against everything else, and the labels are text-mined. Floor: chance; of both, the radiograph alone.", chest},
	{"findings", "Each label on the same films, from the radiograph. Every film with a finding here carries the label Pneumonia, so a label is told from films without any finding as much as from other findings; a label on few films has a wide interval. \"shuffled-image\" judges every film by another one. Floor: a logistic regression on the pooled vector of the published network, trained on the same films; of the shuffled images, chance; of the expected calibration error (10 bins, all labels together, smaller is better), what always saying each label's training share has.", findings},
	{"localisation", "The pointing game: whether the centre of the cell of largest activation, of 7 x 7, lies on what a person drew: on a lesion mask for the finding Pneumonia (films of another source than all that findings were trained on), or in the box of a label on the test films. \"attention\" asks the same of the cell of most attention; \"random-weights\" of five fusions of random weights behind the same encoder, averaged. The interval draws patients. Floor: the centre of the picture; of that and of random weights, the share of cells that would hit.", localisation},
	{"segmentation", "Masks against those that people drew, at the size of the film (Dice overlap; the interval draws patients). Lungs: the test split. Lesions: every film with a mask, by cross-validation in five parts by patient and, on the test split, by what the platform runs. Heart and cardiothoracic ratio (the mean absolute error): the films of the validation and test splits, few. \"shuffled-image\": the masks found on another film. \"frontal-measured\" and \"lateral-refused\": the share of the test films that the platform measures, or says that it cannot. \"lesion-share-no-finding\": how much of the lungs is called an opacity on test films of NIH ChestX-ray14 without any finding (smaller is better), \"lesion-usual\" on how many films that is no more of either lung than what the report calls usual, and \"by-lesion-share\" how well the share tells pneumonia from no finding. \"dice-annotators\": how far the lungs that one team drew agree with those of another, whatever the split, beside the heart, which the other leaves out. Floor: the mean training mask, or ratio; of films with pneumonia, those without a finding; of an AUROC, chance.", segmentation},
	{"vqa-rad", "VQA-RAD, questions about radiographs, CT and MR images, on the test images of a split that shares none: 175 questions on 15 images, so that a figure is uncertain by ten points and more. \"closed\" is yes or no or a choice that the question gives; an answer is right if it is the reference's text. \"question-only\" is the larger of two blind methods on the test itself, the training answer to the nearest question and a classifier of the question; its floor is the most frequent answer. \"official-leaking\" is the published split, of which every test image is a training image too.", vqaRAD},
	{"report", "What the platform writes about the test films, from the image alone. \"label-f1\": the observations that the published phrases of the CheXpert labeler (with windows of words for negation, not its grammar) find positive in its findings and impression, against the film's labels and what a person wrote about it, over all observations together; \"macro\": the mean over observations; \"nih\": the films of NIH ChestX-ray14, on whose like the findings were trained. The others have a text; nothing was trained to judge them. \"over-nearest\": how much more that is than the labels of the training film that looks most alike, film by film. \"contradictions\": sentences of findings and impression, in the words of the writer or in fixed ones, that state the opposite of what was judged. \"first-draft-refused\": first drafts that state what was not judged, which no report shows; \"worded\": statements for which some draft was fit, the others are in fixed words. \"smollm2\": a language model with trained adapters and prefix, which no report is written with. BLEU (without smoothing) and ROUGE-L compare the section findings, without its numbers in brackets, with the texts of people, on the few films that have one. \"plain\": the same report in fixed words; \"shuffled\": the report on another film. The interval draws patients. Floor: the better of the most frequent training labels or text and those of the training film that looks most alike.", reports},
	{"knowledge", "The knowledge graph: everything within three edges, at most 500 terms, of random diseases of the whole Disease Ontology, with 200 facts added, on a private Postgres and Valkey, in milliseconds. Cached: 400 terms asked for ten times each. Uncached: the caches of the process are empty before each query. Smaller is better. Floor: the aim.", knowledgeLatency},
	{"jobs", "Work on jobs, on a platform of its own on this machine: items finished a second, each a question about a picture of its own, by workers that do one item at a time in a gateway each (median of rounds by turns; the interval is from the slowest to the fastest round). And what somebody notices who asks one question after another, in milliseconds, while a job of 10,000 items is paused (\"alone\") and while the usual number of workers works on it (\"beside\"), in the gateway that is asked or in another one. Smaller is better of milliseconds and ratios. Floor: one worker; of milliseconds and ratios, the aim.", jobs},
	{"search", "Studies by their vectors: 100,000 vectors of 64 values on a private Postgres with pgvector, searched as the platform does, one search after the other, for vectors that are none of them. The vectors are made, not measured: unit vectors in 1,000 heaps around random directions, since embeddings lie in heaps too. Recall is against every vector looked at; the time is that of the search in the database, from the call to its answer. Floor: of the recall, ten drawn at random; of the times, looking at every vector (the 99th percentile).", vectorSearch},
}

// Find returns the named measurements, or all of them for no names.
func Find(names []string) ([]Measurement, error) {
	if len(names) == 0 {
		return Measurements, nil
	}
	var out []Measurement
	for _, name := range names {
		found := false
		for _, m := range Measurements {
			if m.Name == name {
				out, found = append(out, m), true
			}
		}
		if !found {
			known := make([]string, len(Measurements))
			for i, m := range Measurements {
				known[i] = m.Name
			}
			sort.Strings(known)
			return nil, fmt.Errorf("unknown measurement %q, want one of %s", name, strings.Join(known, ", "))
		}
	}
	return out, nil
}

// timed stamps the seconds since start on each figure.
func timed(start time.Time, figures []Figure) []Figure {
	for i := range figures {
		figures[i].Seconds = time.Since(start).Seconds()
	}
	return figures
}

// Table writes the figures as aligned text.
func Table(w io.Writer, figures []Figure) {
	fmt.Fprintf(w, "%-14s %-30s %8s %-15s %8s %7s %8s\n", "name", "metric", "value", "95 % interval", "floor", "n", "seconds")
	for _, f := range figures {
		fmt.Fprintf(w, "%-14s %-30s %8.4f %-15s %8.4f %7d %8.1f\n", f.Name, f.Metric, f.Value, f.interval(), f.Floor, f.N, f.Seconds)
	}
}

// Markdown writes docs/results.md.
func Markdown(w io.Writer, figures []Figure) {
	fmt.Fprint(w, "# Results\n\nWritten by `bin/consilium eval`; do not edit. No test case was trained or tuned on.\n")
	for _, m := range Measurements {
		wrote := false
		for _, f := range figures {
			if f.Name != m.Name {
				continue
			}
			if !wrote {
				fmt.Fprintf(w, "\n## %s\n\n%s\n\n| metric | value | 95 %% interval | floor | cases |\n| --- | ---: | :---: | ---: | ---: |\n", m.Name, m.About)
				wrote = true
			}
			fmt.Fprintf(w, "| %s | %.4f | %s | %.4f | %d |\n", f.Metric, f.Value, f.interval(), f.Floor, f.N)
		}
	}
}
