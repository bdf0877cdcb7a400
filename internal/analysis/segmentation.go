package analysis

import (
	"context"
	"math"
)

// Segmenter finds the lungs, the heart and lesions on chest radiographs.
type Segmenter interface {
	// Segment returns one Segmentation for each picture, in order, with the masks and nothing measured; the slices are
	// only read. Errors are as for EncodeImage. A picture that shows no chest has empty masks, or odd ones.
	Segment(ctx context.Context, images [][]byte) ([]*Segmentation, error)
}

// The structures that a Segmenter finds. Sides are the patient's, on a film that is shown as usual: the right lung is
// on the left. The lungs are whole, with what lies behind the heart; lesions are told from lungs only, and the last two
// may overlap.
const (
	RightLung     = "right lung"
	LeftLung      = "left lung"
	Heart         = "heart"
	Lesion        = "lesion" // an opacity of any kind
	GroundGlass   = "ground glass"
	Consolidation = "consolidation"
)

// Structures lists every structure, in the order of the masks.
var Structures = []string{RightLung, LeftLung, Heart, Lesion, GroundGlass, Consolidation}

// MaxMaskSide bounds the rows and the columns of masks.
const MaxMaskSide = 1024

// Mask is where one structure is seen.
type Mask struct {
	Structure string `json:"structure"`
	// Runs are the lengths of the stretches of cells off and on the structure in turn, row by row, beginning with off.
	Runs []int `json:"runs"`
	// Confidence is the mean probability of the cells on the structure, 0 if there are none.
	Confidence float64 `json:"confidence"`
}

// Measurement is one number that was measured in the masks.
type Measurement struct {
	Name  string  `json:"name"` // right_lung_area, lesion_share_left_lung, cardiothoracic_ratio
	Value float64 `json:"value"`
	Unit  string  `json:"unit"` // of what Value is a share or a ratio, in words
	// Structures are those whose masks it rests on.
	Structures []string `json:"structures"`
	Modality   Modality `json:"modality"`
}

// The names of the measurements.
const (
	RightLungArea        = "right_lung_area"
	LeftLungArea         = "left_lung_area"
	CardiothoracicRatio  = "cardiothoracic_ratio"
	LesionShareRightLung = "lesion_share_right_lung"
	LesionShareLeftLung  = "lesion_share_left_lung"
	GroundGlassShare     = "ground_glass_share"
	ConsolidationShare   = "consolidation_share"
)

// UsualLesionShare is how much of a lung is called a lesion without one: on 19 of 20 films without a finding, of those that
// `consilium train lesions` validates on, no more of the lung of which it is more. The card of the weights has the figures.
const UsualLesionShare = 0.22

// Segmentation is what is seen where on one picture.
type Segmentation struct {
	// Rows and Cols are those of the masks' grid, which covers the whole upright picture, squeezed to it.
	Rows int `json:"rows"`
	Cols int `json:"cols"`
	// Masks has one entry for each of Structures, in that order; none if there is a Problem with the segmenter itself.
	Masks []Mask `json:"masks,omitempty"`
	// Measurements is empty from a Segmenter, and if there is a Problem.
	Measurements []Measurement `json:"measurements,omitempty"`
	// Problem says why nothing was measured, fit for the user; "" if it was.
	Problem string `json:"problem,omitempty"`
	// Unmeasured says what could not be measured although the rest was, and why.
	Unmeasured []string `json:"unmeasured,omitempty"`
	// Model is the digest of the weights that made the masks.
	Model string `json:"model,omitempty"`
}

// Mask returns the mask of a structure, nil if there is none.
func (s *Segmentation) Mask(structure string) *Mask {
	for i := range s.Masks {
		if s.Masks[i].Structure == structure {
			return &s.Masks[i]
		}
	}
	return nil
}

// Check returns an error if what a Segmenter said contradicts itself. Whoever receives it from another process calls
// it before anything is measured.
func (s *Segmentation) Check() error {
	if s.Rows < 1 || s.Cols < 1 || s.Rows > MaxMaskSide || s.Cols > MaxMaskSide {
		return Errorf(BadUpstream, "a segmentation has %d x %d cells, want 1 to %d each way", s.Rows, s.Cols, MaxMaskSide)
	}
	if len(s.Masks) != len(Structures) {
		return Errorf(BadUpstream, "a segmentation has %d masks, want %d", len(s.Masks), len(Structures))
	}
	for i, m := range s.Masks {
		if m.Structure != Structures[i] {
			return Errorf(BadUpstream, "mask %d is of %q, want %q", i, m.Structure, Structures[i])
		}
		if math.IsNaN(m.Confidence) || m.Confidence < 0 || m.Confidence > 1 {
			return Errorf(BadUpstream, "the mask of the %s has the confidence %v", m.Structure, m.Confidence)
		}
		cells := 0
		for _, n := range m.Runs {
			if n < 0 || n > s.Rows*s.Cols-cells {
				return Errorf(BadUpstream, "the mask of the %s has a run of %d cells after %d of %d", m.Structure, n, cells, s.Rows*s.Cols)
			}
			cells += n
		}
		if cells != s.Rows*s.Cols {
			return Errorf(BadUpstream, "the mask of the %s covers %d of %d cells", m.Structure, cells, s.Rows*s.Cols)
		}
	}
	return nil
}
