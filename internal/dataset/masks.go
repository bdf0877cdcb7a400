package dataset

import (
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Film is a chest radiograph with the masks that people drew on it. A mask has the size of the film.
type Film struct {
	ID, Path, Patient, Split, View string
	Labels                         []string
	NIH                            bool // of NIH ChestX-ray14, where the labels are of one kind
	// Lung, Anatomy and Lesion are the paths of the masks, "" for one that was not drawn.
	//
	// Lung (V7 Labs): both lungs whole, with what lies behind the heart, down to the diaphragm; any value but 0.
	// Anatomy (General Blockchain): the lungs up to the heart's edge, the heart with the great vessels, the airways.
	// Lesion (General Blockchain, on the same films).
	Lung, Anatomy, Lesion string
	// Boxes are where people saw a label, on the few films for which they were drawn.
	Boxes []Box
}

// Values of the pixels of a mask.
const (
	AnatomyRightLung = 1
	AnatomyLeftLung  = 2
	AnatomyHeart     = 3
	AnatomyAirways   = 4

	LesionGroundGlass   = 1
	LesionConsolidation = 2
	LesionEffusion      = 3
	LesionPneumothorax  = 4
)

// ReadFilms reads every row of folder/cxr/metadata.csv, in its order.
func ReadFilms(folder string) ([]Film, error) {
	path, rows, column, err := readFilmTable(folder, "id", "file", "patient_id", "split", "view", "labels", "source_dataset", "mask_lung", "mask_anatomy", "mask_lesion")
	if err != nil {
		return nil, fmt.Errorf("read films: %w", err)
	}
	var films []Film
	for _, row := range rows {
		get := func(name string) string { return row[column[name]] }
		file := func(name string) string {
			if get(name) == "" {
				return ""
			}
			return filepath.Join(folder, "cxr", get(name))
		}
		var boxes []Box
		if at, ok := column["bboxes_xywh_rel"]; ok {
			if boxes, err = readBoxes(row[at]); err != nil {
				return nil, fmt.Errorf("read %s, film %s: %w", path, get("id"), err)
			}
		}
		films = append(films, Film{
			ID: get("id"), Path: file("file"), Patient: get("patient_id"), Split: get("split"), View: get("view"),
			Labels: strings.Split(get("labels"), "|"), NIH: strings.HasPrefix(get("source_dataset"), "NIH"),
			Lung: file("mask_lung"), Anatomy: file("mask_anatomy"), Lesion: file("mask_lesion"), Boxes: boxes,
		})
	}
	return films, nil
}

// Has reports whether the film carries the label.
func (f Film) Has(label string) bool { return slices.Contains(f.Labels, label) }

// Folds is how many parts the films with lesions are divided into for cross-validation.
const Folds = 5

// Fold returns which fold, from 1, a film with a lesion mask belongs to: films of one patient are in one fold, and the
// patients, in the order of their names, go round. A film without one is in none, 0.
func Fold(films []Film, f Film) int {
	if f.Lesion == "" {
		return 0
	}
	var patients []string
	for _, other := range films {
		if other.Lesion != "" {
			patients = append(patients, other.Patient)
		}
	}
	slices.Sort(patients)
	return slices.Index(slices.Compact(patients), f.Patient)%Folds + 1
}

// ReadMask reads a mask as it was drawn: a grey value a pixel.
func ReadMask(path string) (*image.Gray, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read a mask: %w", err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		return nil, fmt.Errorf("read the mask %s: %w", path, err)
	}
	grey, ok := img.(*image.Gray)
	if !ok {
		return nil, fmt.Errorf("read the mask %s: it holds %T, want grey", path, img)
	}
	return grey, nil
}
