// Package narrative says what a report on a chest radiograph may state and holds sentences to it.
package narrative

import (
	"consilium/internal/analysis"
	"consilium/internal/chexpert"
)

// When measurements say something in words. Masks of lesions are uncertain, so that what lies between says nothing.
const (
	affected     = analysis.UsualLesionShare // share of a lung above which opacities name its side
	oneSided     = 3.0                       // least ratio of the shares of the two lungs to name one of them only
	ofKind       = 0.05                      // least share of both lungs from which masks say ground glass, or consolidation
	normalHeart  = 0.50                      // greatest cardiothoracic ratio of a heart that is called not enlarged (Danzer 1919)
	enlargeHeart = 0.55                      // least of one that is called enlarged: a film from the front (AP) shows it wider by about a tenth
)

// Facts are what was judged and measured on one film.
type Facts struct {
	judged       map[string]bool // observation to whether it is present
	side         string
	groundGlass  bool
	consolidated bool
}

// FactsOf returns what findings and measurements, which may be missing, say.
func FactsOf(findings []analysis.Finding, s *analysis.Segmentation) *Facts {
	f := &Facts{judged: map[string]bool{}}
	for i := range findings {
		if o := chexpert.Of(findings[i].Label); o != "" && findings[i].Modality == analysis.Image {
			f.judged[o] = f.judged[o] || findings[i].Present // Mass and Nodule are one observation
		}
	}
	if s == nil {
		return f
	}
	measured := map[string]float64{}
	for _, m := range s.Measurements {
		measured[m.Name] = m.Value
	}
	if ratio, ok := measured[analysis.CardiothoracicRatio]; ok && (ratio <= normalHeart || ratio >= enlargeHeart) {
		f.judged[chexpert.Cardiomegaly] = ratio >= enlargeHeart
	}
	right, left := measured[analysis.LesionShareRightLung], measured[analysis.LesionShareLeftLung]
	switch {
	case right > affected && right >= oneSided*left:
		f.side = analysis.RightSide
	case left > affected && left >= oneSided*right:
		f.side = analysis.LeftSide
	case right > affected && left > affected:
		f.side = analysis.BothSides
	}
	f.groundGlass = f.side != "" && measured[analysis.GroundGlassShare] >= ofKind
	f.consolidated = f.side != "" && measured[analysis.ConsolidationShare] >= ofKind
	return f
}

// Statement returns the statement of some observations that were judged: opacities that are present with what was measured
// of them.
func (f *Facts) Statement(observations ...string) analysis.Statement {
	var s analysis.Statement
	for _, o := range observations {
		s.Asserts = append(s.Asserts, analysis.Assertion{Observation: o, Present: f.judged[o]})
		if f.judged[o] && opacity(o) {
			s.Side, s.GroundGlass = f.side, f.groundGlass
		}
	}
	return s
}

// Judged reports whether an observation was judged, and whether it is present.
func (f *Facts) Judged(observation string) (present, ok bool) {
	present, ok = f.judged[observation]
	return present, ok
}

// opacity reports whether an observation is one of the lung's opacities, which masks measure.
func opacity(o string) bool {
	for ; o != ""; o = chexpert.Parent[o] {
		if o == chexpert.LungOpacity {
			return true
		}
	}
	return false
}

// allows says whether the facts carry that an observation is present, or that it is absent. What is a kind of another one
// carries that one, and nothing of a kind is absent while one of them is present.
func (f *Facts) allows(observation string, class chexpert.Class) bool {
	present, judged := f.judged[observation]
	for o, p := range f.judged {
		for at := chexpert.Parent[o]; at != "" && p; at = chexpert.Parent[at] {
			if at == observation && (!judged || observation == chexpert.LungOpacity) {
				present, judged = true, true
			}
		}
	}
	if class == chexpert.Negative && (observation == chexpert.LungOpacity && f.side != "" || observation == chexpert.Consolidation && f.consolidated) {
		return false // it was measured, whatever was judged
	}
	return judged && (class == chexpert.Positive && present || class == chexpert.Negative && !present)
}

// Deny reports whether the facts carry that there is none of an observation: of opacities in general, no kind is present
// and none was measured.
func (f *Facts) Deny(observation string) bool { return f.allows(observation, chexpert.Negative) }

// Contradicts returns the observations of which a sentence states, by the labeler, what the facts say the opposite of.
func (f *Facts) Contradicts(l *chexpert.Labeler, sentence string) (observations []string) {
	for o, class := range l.Label(sentence) {
		opposite := chexpert.Positive
		if class != chexpert.Negative {
			opposite = chexpert.Negative
		}
		if f.allows(o, opposite) && !f.allows(o, class) {
			observations = append(observations, o)
		}
	}
	return observations
}
