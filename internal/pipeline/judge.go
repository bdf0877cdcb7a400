package pipeline

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"golang.org/x/sync/singleflight"

	"consilium/internal/analysis"
)

// Judge judges studies by models that users brought. It is safe for concurrent use; nobody copies it after the first use.
type Judge struct {
	Text   analysis.TextEncoder
	Models analysis.ModelStore
	Runner analysis.ModelRunner

	loads singleflight.Group
}

// BroughtRole is the role under which a result names the digest of a model that a user brought.
const BroughtRole = "brought"

// runAttempts is how often a model is loaded for one study: another study's model may take its place before it runs.
const runAttempts = 3

// Judge returns the findings of the labels of version's card. The study has to have what the card says that the model
// reads. A model that is not loaded is loaded first.
func (j *Judge) Judge(ctx context.Context, request *analysis.Request, version *analysis.ModelVersion) (*analysis.Result, error) {
	if err := request.Validate(); err != nil {
		return nil, err
	}
	card := &version.Card
	for _, part := range []struct {
		modality analysis.Modality
		there    bool
	}{{analysis.Image, len(request.Image) > 0}, {analysis.Text, request.Text != ""}} {
		if card.Reads(part.modality) && !part.there {
			return nil, analysis.Invalid("model", "the model %s reads the %s of a study, and this one has none", card.Name, noun(part.modality))
		}
	}
	defer Stage(ctx, "total")()
	digest := version.Digest()
	result := &analysis.Result{
		Models:  map[string]string{BroughtRole: digest},
		Brought: &analysis.BroughtModel{Name: card.Name, Version: version.Version, Digest: digest, Licence: card.Licence},
	}
	var text []float32
	if card.Reads(analysis.Text) {
		done := Stage(ctx, string(analysis.Text))
		features, err := j.Text.EncodeText(ctx, []string{request.Text}, request.Strict)
		done()
		if features, err = checked(features, err, analysis.Text, 1); err != nil {
			return nil, err
		}
		text, result.Notes = features[0].Vector, features[0].Notes
		result.Models[string(analysis.Text)] = features[0].Model
	}
	made, err := j.run(ctx, version, request.Image, text)
	if err != nil {
		return nil, err
	}
	if len(made.Logits) != len(card.Labels) {
		return nil, analysis.Errorf(analysis.BadUpstream, "the model %s returned %d logits for %d labels", card.Name, len(made.Logits), len(card.Labels))
	}
	result.Notes = append(result.Notes, made.Notes...)
	for i, p := range probabilities(card.Task, made.Logits) {
		if math.IsNaN(p) || math.IsInf(p, 0) {
			return nil, analysis.Errorf(analysis.BadUpstream, "the model %s returned logits of which no probability follows", card.Name)
		}
		label := card.Labels[i]
		result.Findings = append(result.Findings, analysis.Finding{
			Label: label.Name, Probability: p, Threshold: label.Threshold, Present: p >= label.Threshold, Modality: analysis.Image, Model: digest,
		})
	}
	return result, nil
}

func (j *Judge) run(ctx context.Context, version *analysis.ModelVersion, image []byte, text []float32) (*analysis.Judgement, error) {
	defer Stage(ctx, "model")()
	for range runAttempts {
		made, err := j.Runner.RunModel(ctx, version.ID, image, text)
		if analysis.CodeOf(err) != analysis.NotFound {
			return made, err
		}
		if err := j.Load(ctx, version); err != nil {
			var e *analysis.Error
			if errors.As(err, &e) && e.Code == analysis.InvalidArgument { // it passed when it was stored
				return nil, &analysis.Error{Code: analysis.BadUpstream, Field: "model", Message: "the model does not load any more: " + e.Message, Limit: e.Limit, Value: e.Value, Err: err}
			}
			return nil, err
		}
	}
	return nil, &analysis.Error{Code: analysis.Overloaded, Message: "other models took the place of this one before it could run",
		Limit: fmt.Sprintf("%d models loaded", analysis.MaxModelsLoaded), Value: "more", RetryAfter: time.Second}
}

// Load has the runner hold a stored model, once for all who ask at the same time.
func (j *Judge) Load(ctx context.Context, version *analysis.ModelVersion) error {
	loaded := j.loads.DoChan(version.ID, func() (any, error) {
		// It is for everybody, so it does not end with the caller who came first.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*analysis.MaxModelLoadTime)
		defer cancel()
		weights, err := j.Models.OpenModel(ctx, version)
		if err != nil {
			return nil, err
		}
		defer weights.Close()
		return nil, j.Runner.LoadModel(ctx, version, weights)
	})
	select {
	case result := <-loaded:
		return result.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// probabilities turns logits into the probabilities of a task.
func probabilities(task string, logits []float32) []float64 {
	out := make([]float64, len(logits))
	if task != analysis.OneOf {
		for i, v := range logits {
			out[i] = 1 / (1 + math.Exp(-float64(v)))
		}
		return out
	}
	greatest, sum := math.Inf(-1), 0.0
	for _, v := range logits {
		greatest = max(greatest, float64(v))
	}
	for i, v := range logits {
		out[i] = math.Exp(float64(v) - greatest)
		sum += out[i]
	}
	for i := range out {
		out[i] /= sum
	}
	return out
}

// WriteBrought returns the report on what a model that a user brought found, in the words of Write. It says whose model
// judged, and what of the study the model does not read.
func WriteBrought(result *analysis.Result, card *analysis.ModelCard, present map[analysis.Modality]bool) analysis.Narrative {
	narrative := Write(result, present)
	b := result.Brought
	together := ""
	if card.Reads(analysis.Text) {
		together = " It judges the image together with the note."
	}
	narrative.Disclaimer = fmt.Sprintf("%s The findings are those of the model %s, version %d (%s), which a user brought under the licence %q; this platform has not validated it.%s",
		Disclaimer, b.Name, b.Version, b.Digest, b.Licence, together)
	narrative.NotAssessed = []analysis.Omission{}
	for _, modality := range analysis.Modalities {
		if card.Reads(modality) {
			continue
		}
		reason := fmt.Sprintf("The model %s does not read the %s.", b.Name, noun(modality))
		if !present[modality] {
			reason = fmt.Sprintf("The study has no %s, and the model %s reads none.", noun(modality), b.Name)
		}
		narrative.NotAssessed = append(narrative.NotAssessed, analysis.Omission{Modality: modality, Reason: reason})
	}
	return narrative
}
