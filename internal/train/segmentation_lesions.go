package train

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"consilium/internal/dataset"
	"consilium/internal/mask"
	"consilium/internal/tensor"
)

// lesionClasses are what the recipe lesions finds. "lesion" is any opacity, effusion included, which is drawn on a single
// film and cannot be learnt alone.
var lesionClasses = []string{"lesion", "ground glass", "consolidation"}

// lesionValues are the pixels of a class in the masks.
var lesionValues = [][]uint8{
	{dataset.LesionGroundGlass, dataset.LesionConsolidation, dataset.LesionEffusion},
	{dataset.LesionGroundGlass},
	{dataset.LesionConsolidation},
}

// noFinding is the label of a film on which nothing is to be found.
const noFinding = "No Finding"

// LeftOut is the metadata entry of a fold's weights: the digests of the films that they have not seen, between commas.
const LeftOut = "left_out"

// trainLesions trains the net that finds opacities of the lungs, on the films with a mask of them outside the test split.
// Training films without any finding are shown beside them: all films with a mask are of ill lungs.
func trainLesions(ctx context.Context, r *Recipe, env Env) error {
	return trainSegmentation(ctx, r, env, lesionClasses, func(t *segmentTask, films []dataset.Film) error {
		var digests []string
		for _, f := range films {
			drawn := f.Lesion != ""
			if f.Split != "train" && f.Split != "val" || !drawn && !f.Has(noFinding) {
				continue
			}
			e, err := lesionExample(f, t.settings.Side)
			if err != nil {
				return err
			}
			held := t.settings.Fold == 0 && f.Split == "val" && t.settings.Validation == "held"
			switch fold := dataset.Fold(films, f); {
			case !drawn && f.Split == "train":
				t.empty = append(t.empty, e)
			case !drawn:
				t.healthy = append(t.healthy, e)
			case held || fold == t.settings.Fold:
				digest, err := fileDigest(f.Path)
				if err != nil {
					return err
				}
				t.val, digests = append(t.val, e), append(digests, digest)
			default:
				t.films = append(t.films, e)
			}
		}
		t.about[LeftOut] = strings.Join(digests, ",")
		t.judge = judgeLesions
		return nil
	})
}

func lesionExample(f dataset.Film, side int) (e segmentExample, err error) {
	e = segmentExample{film: f, target: make([][]float32, len(lesionClasses))}
	if e.image, err = readFilm(f, side); err != nil {
		return e, err
	}
	for i, values := range lesionValues {
		if f.Lesion == "" {
			e.target[i] = make([]float32, side*side)
			continue
		}
		m, err := readClass(f.Lesion, values...)
		if err != nil {
			return e, err
		}
		e.target[i] = shares(m, side)
	}
	return e, nil
}

// fileDigest is the SHA-256 of a file in lower-case hex.
func fileDigest(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read a film: %w", err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// judgeLesions prints the overlap of each class on the films of the fold that show it, at their size, and how much is
// marked on films without a finding. It returns the mean overlap of the first class.
func judgeLesions(t *segmentTask, a *tensor.Arena, out io.Writer) float64 {
	side := t.settings.Side
	overlaps := make([][]float64, len(lesionClasses))
	for _, e := range t.val {
		planes := t.logits(a, e.image)
		for i, values := range lesionValues {
			want, err := readClass(e.film.Lesion, values...)
			if err != nil {
				a.Fail("validate", "%v", err)
			}
			if want.Area() > 0 {
				overlaps[i] = append(overlaps[i], mask.Dice(mask.Threshold(planes[i], side, side, 0, want.Width, want.Height), want))
			}
		}
	}
	for i, name := range lesionClasses {
		fmt.Fprintf(out, "validation: Dice of %s %s\n", name, spread(overlaps[i]))
	}
	if shares := t.healthyShares(a); len(shares) > 0 {
		slices.Sort(shares)
		fmt.Fprintf(out, "validation: of the lung with more of it %.1f %% is marked on films without a finding, at most %.1f %% on 19 of 20 (%d films)\n",
			100*meanOf(shares), 100*shares[len(shares)*19/20], len(shares))
	}
	return meanOf(overlaps[0])
}

// healthyShares returns the part that is marked as a lesion of that lung of each healthy film of which it is more. Films
// on which the encoder's own net finds no two lungs have none.
func (t *segmentTask) healthyShares(a *tensor.Arena) []float64 {
	if t.base == nil {
		return nil
	}
	var shares []float64
	side := t.settings.Side
	for _, e := range t.healthy {
		lung := mask.Threshold(t.logitsOf(a, t.base, e.image)[0], side, side, 0, side, side)
		lesion := mask.Threshold(t.logits(a, e.image)[0], side, side, 0, side, side)
		parts := mask.Lungs(lung).Components()
		if len(parts) != 2 {
			continue
		}
		most := 0.0
		for _, p := range parts {
			most = max(most, float64(p.And(lesion).Area())/float64(p.Area()))
		}
		shares = append(shares, most)
	}
	return shares
}
