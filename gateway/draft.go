package gateway

import (
	"context"
	"slices"

	"consilium/internal/analysis"
	"consilium/internal/dicom"
)

// draft is a study that is being put together.
type draft struct {
	study    *analysis.Study
	contents [][]byte // of its artefacts
	note     string   // what the header of a DICOM file says of patient and picture
	warnings []string
}

func (d *draft) add(modality analysis.Modality, mediaType string, content []byte) {
	d.study.Artefacts = append(d.study.Artefacts, analysis.Artefact{Modality: modality, MediaType: mediaType})
	d.contents = append(d.contents, content)
}

// addContent checks content, takes the patient's identity out of DICOM, and adds it. Errors name the field label.
func (s *server) addContent(ctx context.Context, d *draft, modality analysis.Modality, label string, content []byte) error {
	if modality == analysis.Image && dicom.Is(content) {
		in, err := receive(s.cleanerOf(analysis.Tenant(ctx)), content)
		if err != nil {
			return relabel(err, label)
		}
		for _, warning := range in.warnings {
			d.warnings = append(d.warnings, label+": "+warning)
		}
		if d.note == "" {
			d.note = in.record.Note()
		}
		d.add(modality, analysis.DICOMMediaType, in.content)
		return nil
	}
	mediaType, err := checkContent(modality, label, content)
	if err != nil {
		return err
	}
	d.add(modality, mediaType, content)
	return nil
}

// storeDraft stores the study, with what a DICOM header says as its note if it has no other.
func (s *server) storeDraft(ctx context.Context, d *draft) error {
	if d.note != "" && !slices.ContainsFunc(d.study.Artefacts, func(a analysis.Artefact) bool { return a.Modality == analysis.Text }) {
		d.add(analysis.Text, analysis.TextMediaType, []byte(d.note))
	}
	return s.Store.CreateStudy(ctx, d.study, d.contents)
}
