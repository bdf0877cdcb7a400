// Package chexpert says which observations a sentence of a report on a chest radiograph states, in the way of the CheXpert
// labeler (Irvin et al. 2019, https://arxiv.org/abs/1901.07031).
package chexpert

// The observations of CheXpert (table 1).
const (
	NoFinding                 = "No Finding"
	EnlargedCardiomediastinum = "Enlarged Cardiomediastinum"
	Cardiomegaly              = "Cardiomegaly"
	LungOpacity               = "Lung Opacity"
	LungLesion                = "Lung Lesion"
	Edema                     = "Edema"
	Consolidation             = "Consolidation"
	Pneumonia                 = "Pneumonia"
	Atelectasis               = "Atelectasis"
	Pneumothorax              = "Pneumothorax"
	PleuralEffusion           = "Pleural Effusion"
	PleuralOther              = "Pleural Other"
	Fracture                  = "Fracture"
	SupportDevices            = "Support Devices"
)

// Observations lists them all, in the order of the paper.
var Observations = []string{NoFinding, EnlargedCardiomediastinum, Cardiomegaly, LungOpacity, LungLesion, Edema, Consolidation, Pneumonia,
	Atelectasis, Pneumothorax, PleuralEffusion, PleuralOther, Fracture, SupportDevices}

// Parent is the observation that one is a kind of (figure 1 of the paper).
var Parent = map[string]string{
	Cardiomegaly: EnlargedCardiomediastinum, LungLesion: LungOpacity, Edema: LungOpacity, Consolidation: LungOpacity,
	Pneumonia: Consolidation, Atelectasis: LungOpacity,
}

// Class is what is stated of an observation.
type Class int

// The classes. An observation that is not mentioned has none.
const (
	Negative Class = iota + 1
	Uncertain
	Positive
)

// String returns the class in small letters.
func (c Class) String() string {
	return [...]string{"not mentioned", "negative", "uncertain", "positive"}[c]
}

// ofLabel says which observation a label of a data set or of a finding is.
var ofLabel = map[string]string{
	"Infiltration": LungOpacity, "Effusion": PleuralEffusion, "Pleural_Thickening": PleuralOther, "Fibrosis": PleuralOther,
	"Mass": LungLesion, "Nodule": LungLesion,
}

func init() {
	for _, o := range Observations {
		ofLabel[o] = o
	}
}

// Of returns the observation that a label, such as Effusion, is; "" if it is none, such as Cough.
func Of(label string) string { return ofLabel[label] }
