package gateway

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"

	"consilium/gateway/api"
	"consilium/internal/analysis"
	"consilium/internal/pipeline"
)

// anyModel is the model that takes each input's own encoder.
const anyModel = "consilium"

// CreateEmbeddings implements POST /v1/embeddings.
func (s *server) CreateEmbeddings(ctx context.Context, request api.CreateEmbeddingsRequestObject) (api.CreateEmbeddingsResponseObject, error) {
	raw, err := request.Body.Input.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("read input that was checked: %w", err)
	}
	inputs, err := embeddingInputs(raw)
	if err != nil {
		return nil, err
	}
	if err := checkModel(request.Body.Model, inputs); err != nil {
		return nil, err
	}
	features, err := s.Embedder.Embed(ctx, inputs)
	if err != nil {
		return nil, err
	}
	list := api.CreateEmbeddings200JSONResponse{Object: api.EmbeddingListObjectList, Model: request.Body.Model, Data: make([]api.Embedding, len(features))}
	base64Wanted := request.Body.EncodingFormat != nil && *request.Body.EncodingFormat == api.Base64
	for i, f := range features {
		e := api.Embedding{Object: api.EmbeddingObjectEmbedding, Index: i, Modality: api.Modality(f.Modality), Model: f.Model, Notes: notesOf(f.Notes)}
		if base64Wanted {
			err = e.Embedding.FromEmbeddingEmbedding1(littleEndian(f.Vector))
		} else {
			err = e.Embedding.FromEmbeddingEmbedding0(f.Vector)
		}
		if err != nil {
			return nil, fmt.Errorf("write embedding %d: %w", i, err)
		}
		list.Data[i] = e
		if f.Modality == analysis.Text {
			list.Usage.PromptTokens += f.TokenCount
		}
	}
	list.Usage.TotalTokens = list.Usage.PromptTokens
	return list, nil
}

// littleEndian writes the values as OpenAI's base64 format has them.
func littleEndian(values []float32) []byte {
	b := make([]byte, 0, 4*len(values))
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

// checkModel refuses a model that does not exist or does not read every input.
func checkModel(model string, inputs []pipeline.Input) error {
	if model == anyModel {
		return nil
	}
	modality, ok := strings.CutPrefix(model, anyModel+"-")
	if !ok || !analysis.Modality(modality).Valid() {
		return &analysis.Error{Code: analysis.NotFound, Field: "model", Message: "no such embedding model; /v1/models lists them", Value: clip(model)}
	}
	for i, input := range inputs {
		if string(input.Modality) != modality {
			e := analysis.Invalid(inputName(i), "the model does not read this kind of input")
			e.Limit, e.Value = modality, string(input.Modality)
			return e
		}
	}
	return nil
}

func inputName(i int) string { return fmt.Sprintf("input.%d", i) }

// errByURL is why media that are only named are refused.
const errByURL = "media by URL is not fetched; send the bytes in base64 as data"

// embeddingInputs reads the field input: a text, or a list of texts and media.
func embeddingInputs(raw json.RawMessage) ([]pipeline.Input, error) {
	var items []json.RawMessage
	switch kind(raw) {
	case "string":
		input, err := embeddingInput("input", raw)
		return []pipeline.Input{input}, err
	case "array":
		if err := json.Unmarshal(raw, &items); err != nil {
			return nil, fmt.Errorf("read input that was checked: %w", err)
		}
	default:
		return nil, wrongKind("input", "a text or a list", kind(raw))
	}
	if len(items) == 0 || len(items) > maxEmbeddingInputs {
		e := analysis.Invalid("input", "the list is empty or too long")
		e.Limit, e.Value = fmt.Sprintf("1 to %d items", maxEmbeddingInputs), fmt.Sprintf("%d items", len(items))
		return nil, e
	}
	inputs := make([]pipeline.Input, len(items))
	for i, item := range items {
		var err error
		if inputs[i], err = embeddingInput(inputName(i), item); err != nil {
			return nil, err
		}
	}
	return inputs, nil
}

// kind returns the JSON kind of a value that is known to be JSON.
func kind(raw json.RawMessage) string {
	switch strings.TrimLeft(string(raw[:min(len(raw), 64)]), " \t\r\n")[0] {
	case '"':
		return "string"
	case '[':
		return "array"
	case '{':
		return "object"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	}
	return "number"
}

func wrongKind(field, want, found string) error {
	e := analysis.Invalid(field, "the value is of the wrong kind")
	e.Limit, e.Value = want, found
	return e
}

func embeddingInput(field string, raw json.RawMessage) (input pipeline.Input, err error) {
	switch kind(raw) {
	case "string":
		input.Modality = analysis.Text
		if err := json.Unmarshal(raw, &input.Text); err != nil {
			return input, fmt.Errorf("read text that was checked: %w", err)
		}
		_, err := checkContent(analysis.Text, field, []byte(input.Text))
		return input, err
	case "object":
	case "number", "array":
		return input, wrongKind(field, "a text or a medium: token ids are not read", kind(raw))
	default:
		return input, wrongKind(field, "a text or a medium", kind(raw))
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return input, fmt.Errorf("read medium that was checked: %w", err)
	}
	for name := range members {
		switch name {
		case "type", "data":
		case "url", "image_url", "audio_url":
			return input, analysis.Invalid(field+"."+name, errByURL)
		default:
			return input, analysis.Invalid(clip(field+"."+name), "the field is unknown")
		}
	}
	values := map[string]string{}
	for _, name := range []string{"type", "data"} {
		if members[name] == nil {
			return input, analysis.Invalid(field+"."+name, "the field is missing")
		}
		if found := kind(members[name]); found != "string" {
			return input, wrongKind(field+"."+name, "a string", found)
		}
		var value string
		if err := json.Unmarshal(members[name], &value); err != nil {
			return input, fmt.Errorf("read medium that was checked: %w", err)
		}
		values[name] = value
	}
	input.Modality = analysis.Modality(values["type"])
	if input.Modality != analysis.Image && input.Modality != analysis.Audio {
		e := analysis.Invalid(field+".type", "the value is none of those that are known")
		e.Limit, e.Value = "image or audio", clip(values["type"])
		return input, e
	}
	if input.Data, err = decodeMedium(field+".data", values["data"]); err != nil {
		return input, err
	}
	_, err = checkContent(input.Modality, field+".data", input.Data)
	return input, err
}

// decodeMedium returns the bytes of base64 or of a data: URL (RFC 2397) that holds base64.
func decodeMedium(field, data string) ([]byte, error) {
	if rest, ok := strings.CutPrefix(data, "data:"); ok {
		header, encoded, found := strings.Cut(rest, ",")
		if !found || !strings.HasSuffix(header, ";base64") {
			return nil, analysis.Invalid(field, "the data: URL does not hold base64")
		}
		data = encoded
	} else if scheme, _, found := strings.Cut(data, "://"); found && len(scheme) < 16 {
		e := analysis.Invalid(field, errByURL)
		e.Value = clip(scheme + "://…")
		return nil, e
	}
	decoded, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		e := analysis.Invalid(field, "the base64 is malformed")
		var at base64.CorruptInputError
		if errors.As(err, &at) {
			e.Value = fmt.Sprintf("at character %d of %d", int64(at), len(data))
		}
		return nil, e
	}
	return decoded, nil
}

// explainEmbeddings replaces err, by which a body does not fit openapi.yaml, if it is about the input: that one
// of several schemas must fit says little to a person.
func explainEmbeddings(raw []byte, err error) error {
	var e *analysis.Error
	var members map[string]json.RawMessage
	if !errors.As(err, &e) || !strings.HasPrefix(e.Field, "input") || json.Unmarshal(raw, &members) != nil || members["input"] == nil {
		return err
	}
	if _, explained := embeddingInputs(members["input"]); explained != nil {
		return explained
	}
	return err
}
