package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"

	"github.com/oasdiff/yaml"

	"consilium/gateway/api"
	"consilium/internal/analysis"
)

// maxModelUploads is how many models may be brought at once: their weights lie on disk twice while they are checked.
const maxModelUploads = 2

// modelFormBytes bounds a form with a card and weights: they and what stands around them.
const modelFormBytes = analysis.MaxModelBytes + analysis.MaxCardBytes + 16<<10

// CreateModel implements POST /v1/models.
func (s *server) CreateModel(ctx context.Context, request api.CreateModelRequestObject) (api.CreateModelResponseObject, error) {
	select {
	case s.modelUploads <- struct{}{}:
		defer func() { <-s.modelUploads }()
	default:
		return nil, &analysis.Error{Code: analysis.Overloaded, Message: "too many models are being brought",
			Limit: fmt.Sprintf("%d models at once", maxModelUploads), Value: "more"}
	}
	card, weights, err := s.readModel(ctx, request.Body)
	if weights != nil {
		defer func() {
			if err := weights.Discard(); err != nil {
				s.Log.ErrorContext(ctx, "staged weights stay behind", "error", err.Error())
			}
		}()
	}
	if err != nil {
		return nil, err
	}
	if err := s.proveModel(ctx, card, weights); err != nil {
		return nil, err
	}
	version, err := s.Judge.Models.CreateModel(ctx, card, weights)
	if err != nil {
		if e := s.Judge.Runner.UnloadModel(context.WithoutCancel(ctx), weights.ID()); e != nil {
			s.Log.WarnContext(ctx, "a model that was not stored stays loaded", "error", e.Error())
		}
		return nil, err
	}
	out, err := broughtOf(version, api.Loaded)
	if err != nil {
		return nil, err
	}
	return api.CreateModel201JSONResponse{
		Body:    out,
		Headers: api.CreateModel201ResponseHeaders{Location: fmt.Sprintf("/v1/models/%s/versions/%d", version.Card.Name, version.Version)},
	}, nil
}

// readModel reads the form. Weights that it returns are the caller's to discard, whatever the error.
func (s *server) readModel(ctx context.Context, form *multipart.Reader) (card *analysis.ModelCard, weights analysis.Weights, err error) {
	for parts := 0; ; parts++ {
		raw, err := form.NextRawPart()
		switch {
		case errors.Is(err, io.EOF) && parts == 0:
			return nil, weights, unreadable400("body", "the form holds no part: it is empty, or its boundary is another one")
		case errors.Is(err, io.EOF) && card == nil:
			return nil, weights, analysis.Invalid("card", "the part is missing")
		case errors.Is(err, io.EOF) && weights == nil:
			return nil, weights, analysis.Invalid("weights", "the part is missing")
		case errors.Is(err, io.EOF):
			return card, weights, nil
		case err != nil:
			return nil, weights, bodyError(err)
		}
		switch name := raw.FormName(); {
		case name == "card" && card == nil:
			content, err := readPart(raw, "card", analysis.MaxCardBytes)
			if err == nil {
				card, err = s.readCard(content)
			}
			if err != nil {
				return nil, weights, err
			}
		case name == "weights" && weights == nil:
			body := &source{Reader: raw}
			if weights, err = s.Judge.Models.StageWeights(ctx, body); err != nil && body.err != nil {
				return nil, nil, bodyError(body.err)
			} else if err != nil {
				return nil, nil, err
			}
		case name == "card" || name == "weights":
			e := analysis.Invalid(name, "the form has the part more than once")
			e.Limit, e.Value = "1", "2"
			return nil, weights, e
		default:
			e := analysis.Invalid(clip(named(name)), "the form's part is unknown")
			e.Limit, e.Value = "card, weights", clip(name)
			return nil, weights, e
		}
	}
}

// source remembers whether reading failed, which is the caller's fault, where writing would be ours.
type source struct {
	io.Reader
	err error
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.Reader.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// readCard reads a card in JSON or in YAML.
func (s *server) readCard(content []byte) (*analysis.ModelCard, error) {
	if trimmed := bytes.TrimSpace(content); len(trimmed) > 0 && trimmed[0] != '{' {
		converted, err := cardFromYAML(trimmed)
		if err != nil {
			e := unreadable400("card", "the card is neither JSON nor YAML")
			e.cause.Value, e.cause.Err = clip(err.Error()), err
			return nil, e
		}
		content = converted
	}
	if err := s.checkJSON("card", content, s.spec.Components.Schemas["ModelCard"].Value); err != nil {
		return nil, err
	}
	card := &analysis.ModelCard{}
	if err := json.Unmarshal(content, card); err != nil {
		return nil, fmt.Errorf("read a card that was checked: %w", err)
	}
	return card, card.Validate()
}

// cardFromYAML returns the same as JSON. The decoder refuses aliases that expand to much more than they are.
func cardFromYAML(content []byte) (converted []byte, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("panic: %v", reason)
		}
	}()
	return yaml.YAMLToJSON(content)
}

// proveModel has the runner load the model, which checks it by a forward pass.
func (s *server) proveModel(ctx context.Context, card *analysis.ModelCard, weights analysis.Weights) error {
	switch {
	case weights.Bytes() == 0:
		return analysis.Invalid("weights", "the part is empty")
	case weights.SHA256() != card.SHA256:
		e := analysis.Invalid("card.sha256", "the weights that came have another digest than the card says")
		e.Limit, e.Value = card.SHA256, weights.SHA256()
		return e
	}
	content, err := weights.Open()
	if err != nil {
		return err
	}
	defer content.Close()
	return s.Judge.Runner.LoadModel(ctx, &analysis.ModelVersion{ID: weights.ID(), Card: *card, Bytes: weights.Bytes()}, content)
}
