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

// Attention is the attention that the decoder paid to each cell of the image grid, row by row; it sums to 1.
type Attention struct {
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
}

// Result is what the fusion makes of one request.
type Result struct {
	// Answers is sorted by falling probability: the answer, then the next candidates. Empty for a report.
	Answers []Candidate `json:"answers,omitempty"`
	// Findings has one entry for every label whose modality is present. Empty for a question.
	Findings   []Finding        `json:"findings,omitempty"`
	Modalities []ModalityWeight `json:"modalities"`
	// Attention is nil when no image was given.
	Attention *Attention `json:"attention,omitempty"`
	Notes     []Note     `json:"notes,omitempty"`
	// Models maps the name of each model that took part (text, image, audio, fusion) to its digest.
	Models map[string]string `json:"models"`
}
