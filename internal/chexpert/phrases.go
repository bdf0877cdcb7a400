package chexpert

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Own is the labeler of the platform's own phrases. The published lists are not part of the program.
var Own = newLabeler(map[string][]string{
	EnlargedCardiomediastinum: {`(wide|widened|widening of the|enlarged) (upper )?mediastinum`, `mediastinal (widening|enlargement)`, `(cardio ?mediastinal|mediastinal|cardiac and mediastinal|hilar and mediastinal) (silhouette|contours?|shadow|outline|widening|structures)`, `mediastinum`},
	Cardiomegaly:              {`cardiomegaly`, `(large|enlarged) (heart|cardiac \w+)`, `(heart|cardiac \w+)( size| silhouette| shadow| is| are| appears| was| remains| mildly| moderately| markedly| slightly| also)* (enlarged|large)`, `cardiac (enlargement|size|silhouette|shadow|contours?|profile)`, `heart size`, `heart`, `(increased|enlarged) cardio ?thoracic ratio`},
	LungOpacity:               {`opaci\w+`, `infiltrat\w+`, `airspace (disease|changes?|shadowing)`, `air space (disease|changes?|shadowing)`, `ground glass`, `reticul\w+`, `interstitial (markings?|patte?r?n|opacit\w+|changes?|prominence|disease)`, `shadowing`, `densit(y|ies)`, `white ?out`, `white out`},
	LungLesion:                {`mass(es)?`, `nodul\w+`, `tumou?rs?`, `lump`, `metasta\w+`, `neoplasms?`, `carcinoma`, `cavitary`, `cavitat\w+`, `malignan\w+`},
	Edema:                     {`o?edema`, `heart failure`, `chf`, `(pulmonary|vascular) congestion`, `congest\w+`, `kerley`, `septal lines`},
	Consolidation:             {`consolidat\w+`, `air bronchograms?`},
	Pneumonia:                 {`pneumoni\w+`, `infecti\w+`},
	Atelectasis:               {`atelecta\w+`, `collapsed?`, `volume loss`},
	Pneumothorax:              {`pneumothorax`, `pneumothoraces`},
	PleuralEffusion:           {`effusions?`, `pleural fluid`, `(blunt\w*|obliterat\w*|effac\w*)( of)?( the| both| left| right| bilateral)* costophrenic`, `costophrenic (angles?|recess(es)?|sulc\w+)( is| are)* (blunt\w*|obliterat\w*)`},
	PleuralOther:              {`pleural (thickening|plaques?|scar\w*)`, `fibrothorax`, `fibro\w+`, `pleurisy`},
	Fracture:                  {`fractur\w+`},
	SupportDevices:            {`tubes?`, `catheters?`, `lines?`, `pacemakers?`, `pacer`, `picc`, `stents?`, `intubat\w+`, `clips?`, `wires?`, `prosthes[ie]s`, `valves?`, `devices?`, `hardware`, `ett`, `ngt`, `cvc`, `cvl`, `drains?`, `sutures?`, `leads?`, `electrodes?`},
}, map[string][]string{
	LungOpacity:     {`bone densit\w+`, `interstitial pneumoni\w+`},
	SupportDevices:  {`heart line`, `septal lines?`},
	PleuralOther:    {`fibrous lesions?`},
	Cardiomegaly:    {`heart failure`, `(left|right) heart border`, `heart border`, `behind the heart`},
	LungLesion:      {`mass effect`},
	PleuralEffusion: {`pericardial effusions?`, `joint effusions?`},
}, map[string][]string{
	LungOpacity:     {`lungs?( and (the )?pleural spaces?| fields?)?( is| are| appear| appears| remain| both| otherwise)* clear`, `clear lungs?( fields?)?`},
	PleuralEffusion: {`pleural spaces?( is| are)* clear`, `costophrenic (angles?|recess(es)?)( is| are| remain)* (clear|sharp)`},
})

func newLabeler(mentions, unmentions, normal map[string][]string) *Labeler {
	words := func(phrases map[string][]string) map[string][]*regexp.Regexp {
		out := map[string][]*regexp.Regexp{}
		for observation, list := range phrases {
			for _, p := range list {
				out[observation] = append(out[observation], regexp.MustCompile(`\b(`+p+`)\b`))
			}
		}
		return out
	}
	return &Labeler{mentions: words(mentions), unmentions: words(unmentions), normal: words(normal)}
}

// ReadPublished reads the phrase lists of the published labeler: folder holds chexpert_mentions and chexpert_unmention, each
// with a file for an observation and in it one phrase a line, found anywhere in a sentence; _ stands for a blank.
func ReadPublished(folder string) (*Labeler, error) {
	l := &Labeler{mentions: map[string][]*regexp.Regexp{}, unmentions: map[string][]*regexp.Regexp{}}
	for name, into := range map[string]map[string][]*regexp.Regexp{"chexpert_mentions": l.mentions, "chexpert_unmention": l.unmentions} {
		for _, observation := range Observations {
			if observation == NoFinding {
				continue // its mentions are of things that are no observation
			}
			path := filepath.Join(folder, name, strings.ReplaceAll(strings.ToLower(observation), " ", "_")+".txt")
			b, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) && name == "chexpert_unmention" {
				continue // most have none
			}
			if err != nil {
				return nil, fmt.Errorf("read the published phrases: %w", err)
			}
			for line := range strings.Lines(string(b)) {
				phrase := strings.ReplaceAll(hyphens.ReplaceAllString(strings.TrimSpace(line), " "), "_", " ")
				if phrase != "" {
					into[observation] = append(into[observation], regexp.MustCompile(regexp.QuoteMeta(phrase)))
				}
			}
		}
	}
	return l, nil
}
