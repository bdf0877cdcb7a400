package narrative

import "strings"

// neutral are the words that claim nothing of a film beside the observations in the same sentence.
var neutral = set(`a an the this that these there is are was were be been has have no not without or and of on in at with within
	any evidence sign signs seen noted identified visible visualized demonstrated demonstrates shown shows show present presence
	absent found finding findings appear appears apparent evident observed detected free from for
	lung lungs field fields pulmonary pleural space spaces chest thorax thoracic image film radiograph frontal heart
	cardiac size sized silhouette shadow contour contours border normal limits enlarged enlargement clear definite
	convincing obvious otherwise also as well its it parenchyma parenchymal changes change area areas region regions
	consistent compatible appearance involving affecting`)

// observed are the words of the observations themselves; what they state is the labeler's to say.
var observed = set(`edema oedema opacity opacities opacification opacifications opacified infiltrate infiltrates infiltration airspace air disease
	consolidation consolidations consolidated consolidative pneumonia atelectasis atelectatic atelectases collapse effusion effusions fluid
	thickening cardiomegaly`)

// plural are those of them that "there is" does not go with.
var plural = set(`opacities opacifications infiltrates consolidations atelectases effusions`)

func set(words string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(words) {
		out[w] = true
	}
	return out
}

// sides are the words that say where, and what has to be measured for each.
var sides = map[string]string{
	"right": "right", "left": "left", "bilateral": "both", "bilaterally": "both", "both": "both", "sided": "one",
}
