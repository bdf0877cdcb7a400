package analysis

// Candidate is one possible answer. Probabilities over all answers of a model sum to 1.
type Candidate struct {
	Text        string  `json:"text"`
	Probability float64 `json:"probability"`
}

// ModalityWeight says how much one present modality counted.
type ModalityWeight struct {
	Modality Modality `json:"modality"`
	// Weight is the gate's weight; the weights of the modalities that are present sum to 1.
	Weight float64 `json:"weight"`
	// Entropy is the normalised entropy, 0 (certain) to 1 (knows nothing), of the prediction that this
	// modality makes on its own.
	Entropy float64 `json:"entropy"`
}

// Grid is a number for each cell of the image grid, row by row. The grid covers the whole upright picture, squeezed to it.
type Grid struct {
	Rows   int       `json:"rows"`
	Cols   int       `json:"cols"`
	Values []float32 `json:"values"`
}

// Finding is one label that the multi-label head judged.
type Finding struct {
	Label       string  `json:"label"`
	Probability float64 `json:"probability"`
	// Threshold is the probability from which the finding counts as present, chosen on validation data.
	Threshold float64  `json:"threshold"`
	Present   bool     `json:"present"`
	Modality  Modality `json:"modality"` // the modality that the label is judged from
	// Model is the digest of the model that judged, "" for the fusion.
	Model string `json:"model,omitempty"`
	// Band is that of Probability; "" from a Fuser.
	Band Band `json:"band,omitempty"`
	// Activation is where on the image the fusion saw what speaks for the finding: from 0 to 1 in the cell of most, or 0
	// everywhere. Nil for a finding that is not judged from the image or not by the fusion.
	Activation *Grid `json:"activation,omitempty"`
}

// Same reports whether f and g are one finding of one report: a model judges a label once, and where it was seen stands
// with the finding in one place only.
func (f *Finding) Same(g *Finding) bool {
	return f.Label == g.Label && f.Modality == g.Modality && f.Model == g.Model
}

// Degradation is a modality that the request had and the result lacks, or has in part, because a part of the
// platform was down.
type Degradation struct {
	Modality Modality `json:"modality"`
	Reason   string   `json:"reason"`
}

// Counterfactual is the answer to the same question with one modality changed.
type Counterfactual struct {
	Answer     string  `json:"answer"`
	Confidence float64 `json:"confidence"`
	// Changed says that Answer is not the answer to the unchanged request.
	Changed bool `json:"changed"`
	// Divergence is the total variation distance between the probabilities of all answers and those of the
	// unchanged request: 0 if they are the same, 1 if they share nothing.
	Divergence float64 `json:"divergence"`
}

// Reliance says how much an answer depends on one modality.
type Reliance struct {
	Modality Modality `json:"modality"`
	// Score is the larger of the two divergences.
	Score float64 `json:"score"`
	// Blank has the content replaced by one that says nothing: a plain grey picture, silence.
	Blank Counterfactual `json:"blank"`
	// Shuffled has the same tokens in another order: the cells of the picture, the moments of the sound.
	Shuffled Counterfactual `json:"shuffled"`
}

// Result is what the fusion makes of one request.
type Result struct {
	// Answers is sorted by falling probability: the answer, then the next candidates. Empty for a report.
	Answers []Candidate `json:"answers,omitempty"`
	// Findings has one entry for every label whose modality is present. Empty for a question.
	Findings   []Finding        `json:"findings,omitempty"`
	Modalities []ModalityWeight `json:"modalities"`
	// Attention is what the decoder paid to each cell of the image, summing to 1; nil when no image was given.
	Attention *Grid  `json:"attention,omitempty"`
	Notes     []Note `json:"notes,omitempty"`
	// Reliance has one entry for each image and sound that an answer rests on. Empty for a report, and from a Fuser.
	Reliance []Reliance `json:"reliance,omitempty"`
	// Degraded says what the result lacks. Empty if nothing, and from a Fuser.
	Degraded []Degradation `json:"degraded,omitempty"`
	// Segmentation is what was seen where on the image of a report; nil without an image or a Segmenter, and from a Fuser.
	Segmentation *Segmentation `json:"segmentation,omitempty"`
	// Wordings are the words that a SentenceWriter found for sentences of a report; none from a Fuser.
	Wordings []Wording `json:"wordings,omitempty"`
	// Models maps the name of each model that took part (text, image, audio, fusion, segmentation, writer) to its digest.
	Models map[string]string `json:"models"`
	// Brought is the model that judged if a user brought it; nil if the platform's own did.
	Brought *BroughtModel `json:"brought,omitempty"`
}

// Status says whether an answer may be given or a person has to look first.
type Status string

const (
	Answered    Status = "answered"
	NeedsReview Status = "needs_review"
)

// Status is NeedsReview if the best answer's probability is below reviewBelow. r has an answer.
func (r *Result) Status(reviewBelow float64) Status {
	if r.Answers[0].Probability < reviewBelow {
		return NeedsReview
	}
	return Answered
}
