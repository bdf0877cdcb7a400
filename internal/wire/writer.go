package wire

import (
	"context"
	"fmt"
	"net/http"

	"consilium/internal/analysis"
)

// WriterModel is the name of the decoder of reports in the protocol. The fusion's process serves it as well.
const WriterModel = "report-writer"

// maxDraftBytes bounds one draft.
const maxDraftBytes = 4096

var writerContract = &contract{
	model: WriterModel, part: "report writer",
	inputs: []Spec{
		{Name: "image_embedding", Datatype: FP32, Shape: []int{1, -1}},
		{Name: "image_tokens", Datatype: FP32, Shape: []int{1, -1, -1}},
		{Name: "image_grid", Datatype: INT64, Shape: []int{1, 2}},
		{Name: "observation", Datatype: BYTES, Shape: []int{-1}},
		{Name: "observation_present", Datatype: BOOL, Shape: []int{-1}},
		{Name: "side", Datatype: BYTES, Shape: []int{1}},
		{Name: "finding", Datatype: BYTES, Shape: []int{-1}, optional: true},
		{Name: "finding_probability", Datatype: FP32, Shape: []int{-1}, optional: true},
		{Name: "finding_threshold", Datatype: FP32, Shape: []int{-1}, optional: true},
		{Name: "finding_present", Datatype: BOOL, Shape: []int{-1}, optional: true},
	},
	outputs: []Spec{{Name: "draft", Datatype: BYTES, Shape: []int{-1}}},
	flags:   []string{"ground_glass"}, numbers: []string{"drafts"}, maxRows: maxItems, maxRequestBytes: 4 << 20,
}

// NewWriterServer serves writer as the model "report-writer".
func NewWriterServer(writer analysis.SentenceWriter, info ModelInfo) http.Handler {
	return newServer(writerContract, info, func(ctx context.Context, r *request) ([]Tensor, error) {
		request, err := unpackSentenceRequest(r)
		if err != nil {
			return nil, err
		}
		drafts, err := writer.WriteSentence(ctx, request)
		if err != nil {
			return nil, err
		}
		return []Tensor{byteStrings("draft", column(drafts.Texts, func(s string) []byte { return []byte(s) }))}, nil
	})
}

// Writer is a decoder of reports in another process.
type Writer struct{ *client }

var _ analysis.SentenceWriter = (*Writer)(nil)

// NewWriter returns a client of the model "report-writer" at baseURL.
func NewWriter(baseURL string, options ClientOptions) (*Writer, error) {
	c, err := newClient(writerContract, baseURL, options)
	if err != nil {
		return nil, err
	}
	return &Writer{c}, nil
}

// WriteSentence implements analysis.SentenceWriter, with BadUpstream and Unavailable as for TextEncoder.
func (w *Writer) WriteSentence(ctx context.Context, request *analysis.SentenceRequest) (*analysis.Drafts, error) {
	inputs, err := packSentenceRequest(request)
	if err != nil {
		return nil, err
	}
	outputs, digest, err := w.infer(ctx, parameters{"drafts": request.Drafts, "ground_glass": request.Statement.GroundGlass}, inputs)
	if err != nil {
		return nil, err
	}
	drafts := &analysis.Drafts{Model: digest}
	for _, text := range find(outputs, "draft").Bytes {
		if len(text) > maxDraftBytes || len(drafts.Texts) == request.Drafts {
			w.remember("")
			return nil, w.broken(fmt.Errorf("more than %d drafts, or one of more than %d bytes", request.Drafts, maxDraftBytes))
		}
		drafts.Texts = append(drafts.Texts, string(text))
	}
	return drafts, nil
}

// packSentenceRequest makes the inputs of a request. An image that contradicts itself is InvalidArgument here already.
func packSentenceRequest(r *analysis.SentenceRequest) ([]Tensor, error) {
	f := r.Image
	if f == nil {
		return nil, analysis.Invalid("image", "a sentence needs the features of an image")
	}
	if err := f.Check(); err != nil {
		return nil, analysis.Invalid("image", "%v", err)
	}
	if len(r.Statement.Asserts) == 0 {
		return nil, analysis.Invalid("statement", "a sentence needs something to state")
	}
	inputs := []Tensor{
		floats("image_embedding", f.Vector, 1, len(f.Vector)),
		floats("image_tokens", f.Tokens, 1, f.TokenCount, f.TokenDim),
		ints("image_grid", []int64{int64(f.Rows), int64(f.Cols)}, 1, 2),
		byteStrings("observation", column(r.Statement.Asserts, func(a analysis.Assertion) []byte { return []byte(a.Observation) })),
		bools("observation_present", column(r.Statement.Asserts, func(a analysis.Assertion) bool { return a.Present })),
		byteStrings("side", [][]byte{[]byte(r.Statement.Side)}),
	}
	if n := len(r.Findings); n > 0 {
		inputs = append(inputs,
			byteStrings("finding", column(r.Findings, func(f analysis.Finding) []byte { return []byte(f.Label) })),
			floats("finding_probability", column(r.Findings, func(f analysis.Finding) float32 { return float32(f.Probability) }), n),
			floats("finding_threshold", column(r.Findings, func(f analysis.Finding) float32 { return float32(f.Threshold) }), n),
			bools("finding_present", column(r.Findings, func(f analysis.Finding) bool { return f.Present })))
	}
	return inputs, nil
}

// unpackSentenceRequest is the inverse of packSentenceRequest. What contradicts itself is InvalidArgument.
func unpackSentenceRequest(r *request) (*analysis.SentenceRequest, error) {
	number, _, err := r.parameters.number("drafts", maxItems) // the writer has a limit of its own
	if err != nil {
		return nil, invalid(err)
	}
	glass, _, err := r.parameters.flag("ground_glass")
	if err != nil {
		return nil, invalid(err)
	}
	get := func(name string) *Tensor { return find(r.inputs, name) }
	tokens, grid := get("image_tokens"), get("image_grid").Ints
	if grid[0] < 1 || grid[1] < 1 || grid[0] > int64(tokens.Shape[1]) || grid[1] > int64(tokens.Shape[1]) {
		return nil, analysis.Invalid("image_grid", "needs rows and columns that make up the %d tokens", tokens.Shape[1])
	}
	out := &analysis.SentenceRequest{
		Image: &analysis.Features{
			Modality: analysis.Image, Vector: get("image_embedding").Floats, Tokens: tokens.Floats, TokenCount: tokens.Shape[1], TokenDim: tokens.Shape[2],
			Rows: int(grid[0]), Cols: int(grid[1]),
		},
		Statement: analysis.Statement{Side: string(get("side").Bytes[0]), GroundGlass: glass},
		Drafts:    number,
	}
	for _, group := range [][]string{{"observation", "observation_present"}, {"finding", "finding_probability", "finding_threshold", "finding_present"}} {
		for _, name := range group {
			first, t := get(group[0]), get(name)
			if (first == nil) != (t == nil) || t != nil && t.Shape[0] != first.Shape[0] {
				return nil, analysis.Invalid(name, "has to have as many values as %s", group[0])
			}
		}
	}
	for i, o := range get("observation").Bytes {
		out.Statement.Asserts = append(out.Statement.Asserts, analysis.Assertion{Observation: string(o), Present: get("observation_present").Bools[i]})
	}
	if labels := get("finding"); labels != nil {
		for i, label := range labels.Bytes {
			out.Findings = append(out.Findings, analysis.Finding{
				Label: string(label), Probability: float64(get("finding_probability").Floats[i]), Threshold: float64(get("finding_threshold").Floats[i]),
				Present: get("finding_present").Bools[i], Modality: analysis.Image,
			})
		}
	}
	return out, nil
}
