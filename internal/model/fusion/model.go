// Package fusion is the net that fuses text, image and sound and decodes answers and findings.
//
// Tokens of the three encoders go through a contrastive cross-modal attention bridge (bridge.go); one decoder
// (decoder.go) with shared parameters reads each modality alone and all of them together; an entropy-weighted gate
// (gate.go) says from the first readings how much each modality counts in the last one. Any subset of the modalities
// may be present.
package fusion

import (
	"encoding/json"
	"fmt"
	"math"

	"consilium/internal/layer"
	"consilium/internal/tensor"
)

// The modalities in tensor order.
const (
	Text = iota
	Image
	Audio
	modalities
)

var names = [modalities]string{"text", "image", "audio"}

// Config is what the weights' file says about the net.
type Config struct {
	Dim         int64 `json:"dim"`          // D, of every token in the net
	Heads       int64 `json:"heads"`        // H, of every attention
	Depth       int   `json:"depth"`        // how often the decoder's block is applied
	ContrastDim int64 `json:"contrast_dim"` // C, of the contrastive vectors
	Grid        int64 `json:"grid"`         // G, an image is G x G tokens
	TextDim     int64 `json:"text_dim"`
	ImageDim    int64 `json:"image_dim"`
	AudioDim    int64 `json:"audio_dim"`

	// Answers is the vocabulary of questions, in the order of the logits.
	Answers []string `json:"answers"`
	// Temperature divides the answers' logits, so that a probability is how often such an answer is right.
	Temperature float64 `json:"temperature"`
	// Findings are the labels of a report, in the order of the logits.
	Findings []Label `json:"findings"`

	// Gate weighs the modalities. It is chosen by whoever runs the net, not by the file.
	Gate Rule `json:"-"`
}

// Label is one finding.
type Label struct {
	Name     string `json:"name"`
	Modality string `json:"modality"` // the modality it is judged from; without it the label is not judged
	// Scale and Shift turn a logit into that of a calibrated probability: scale * logit + shift.
	Scale float64 `json:"scale"`
	Shift float64 `json:"shift"`
	// Threshold is the probability from which the finding counts as present, chosen on validation data.
	Threshold float64 `json:"threshold"`
}

// Probability returns the calibrated probability of the finding.
func (l Label) Probability(logit float64) float64 {
	return 1 / (1 + math.Exp(-(l.Scale*logit + l.Shift)))
}

// ConfigKey is where the weights' file keeps the Config.
const ConfigKey = "config"

// Metadata returns the config as metadata of a weights' file.
func (c Config) Metadata() map[string]string {
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // a Config holds nothing that JSON cannot
	}
	return map[string]string{ConfigKey: string(b)}
}

// ParseConfig reads the metadata of a weights' file.
func ParseConfig(metadata map[string]string) (Config, error) {
	var c Config
	if err := json.Unmarshal([]byte(metadata[ConfigKey]), &c); err != nil {
		return c, fmt.Errorf("read the fusion's config: %w", err)
	}
	if c.Dim <= 0 || c.Heads <= 0 || c.Dim%c.Heads != 0 || c.Depth <= 0 || c.Grid <= 0 || len(c.Answers) == 0 {
		return c, fmt.Errorf("read the fusion's config: impossible sizes in %s", metadata[ConfigKey])
	}
	if c.Temperature <= 0 {
		return c, fmt.Errorf("read the fusion's config: temperature %v, want more than 0", c.Temperature)
	}
	for _, l := range c.Findings {
		if l.Scale <= 0 {
			return c, fmt.Errorf("read the fusion's config: finding %s has scale %v, want more than 0", l.Name, l.Scale)
		}
	}
	return c, nil
}

// Model is the net.
type Model struct {
	config      Config
	bridge      *bridge
	gate        *gate
	decoder     *decoder
	answerQuery tensor.T // (1, D)
	answer      *layer.Linear
	findQueries tensor.T // (F, D)
	findWeight  tensor.T // (F, D)
	findBias    tensor.T // (F)
}

// New builds the net from p, which is a weights' file or a random start.
func New(a *tensor.Arena, p *tensor.Params, c Config) *Model {
	f := int64(len(c.Findings))
	return &Model{
		config:      c,
		bridge:      newBridge(a, p.Sub("bridge"), c),
		gate:        newGate(a, p.Sub("gate")),
		decoder:     newDecoder(a, p.Sub("decoder"), c),
		answerQuery: p.Get(a, "answer.query", tensor.Normal(0.02), 1, c.Dim),
		answer:      layer.NewLinear(a, p.Sub("answer"), c.Dim, int64(len(c.Answers))),
		findQueries: p.Get(a, "finding.query", tensor.Normal(0.5), f, c.Dim),
		findWeight:  p.Get(a, "finding.weight", tensor.Fan(c.Dim), f, c.Dim),
		findBias:    p.Get(a, "finding.bias", tensor.Constant(0), f),
	}
}

// Config returns the net's config.
func (m *Model) Config() Config { return m.config }

// Tokens are the tokens of one modality for a batch.
type Tokens struct {
	Values tensor.T // (B, S, in); no tensor if the whole batch lacks the modality
	Mask   tensor.T // (B, S), 1 for a token, 0 for padding; all 0 in a row that lacks the modality
}

// Batch is the input: what is asked and what is there. At least one modality is present in every row.
type Batch struct {
	// Question is the question's tokens; without them the findings are asked for.
	Question Tokens
	Text     Tokens
	Image    Tokens // from the image encoder's own top, or, where findings are asked for, from that for radiographs
	Audio    Tokens
}

// Output is what the net says. L is the number of answers, or of findings.
type Output struct {
	Logits    tensor.T             // (B, L), from all modalities
	Alone     [modalities]tensor.T // (B, L) each, from one modality alone; no tensor where the batch lacks it
	Entropies tensor.T             // (B, 3), from 0 to 1 for the largest possible; 1 for an absent modality
	Weights   tensor.T             // (B, 3), summing to 1, 0 for an absent modality
	Present   tensor.T             // (B, 3), 1 or 0
	Attention tensor.T             // (B, G*G), the decoder's attention to the image, summing to 1; no tensor without images

	reading tensor.T          // (B, H, T, S), the weights of the decoder's last reading of all modalities
	lengths [modalities]int64 // how many of the S tokens are of each modality, in order
}

// Forward runs the net.
func (m *Model) Forward(a *tensor.Arena, in Batch) Output {
	given := [modalities]Tokens{in.Text, in.Image, in.Audio}
	queries, queryMask, b := m.queries(a, in)

	var out Output
	var embedded, masks, present [modalities]tensor.T
	var joined, joinedMasks, entropies []tensor.T
	var lengths [modalities]int64
	for i, g := range given {
		if !g.Values.Defined() {
			present[i] = a.Zeros(b)
			entropies = append(entropies, a.Ones(b))
			continue
		}
		embedded[i], masks[i] = m.bridge.embed(a, i, !in.Question.Values.Defined(), g.Values), g.Mask
		present[i] = a.Amax(g.Mask, false, 1)
		lengths[i] = a.Size(g.Values, 1)
		joined, joinedMasks = append(joined, embedded[i]), append(joinedMasks, g.Mask)

		alone, _ := m.decoder.forward(a, queries, queryMask, embedded[i], attentionBias(a, absent(a, g.Mask)))
		out.Alone[i] = m.head(a, in, alone)
		h := m.entropy(a, in, out.Alone[i], b)
		// An absent modality knows nothing, whatever its padding decodes to.
		h = a.Add(a.Mul(h, present[i]), a.AddScalar(a.Neg(present[i]), 1))
		entropies = append(entropies, h)
	}
	out.Present = a.Stack(1, present[:]...)
	out.Entropies = a.Stack(1, entropies...)
	out.Weights = m.Weigh(a, in, out, m.config.Gate)

	shown := a.Cat(1, joinedMasks...) // (B, S)
	memory := m.bridge.cross(a, a.Cat(1, joined...), attentionBias(a, absent(a, shown)), lengths)
	logWeights := a.Log(a.AddScalar(out.Weights, 1e-6)) // (B, 3)
	var biases []tensor.T
	for i, n := range lengths {
		if n > 0 {
			biases = append(biases, a.Expand(a.Narrow(logWeights, 1, int64(i), 1), b, n))
		}
	}
	bias := a.Add(a.Cat(1, biases...), absent(a, shown)) // (B, S)
	decoded, weights := m.decoder.forward(a, queries, queryMask, memory, attentionBias(a, bias))
	out.Logits = m.head(a, in, decoded)
	out.reading, out.lengths = weights, lengths
	if lengths[Image] > 0 {
		out.Attention = imageAttention(a, in, weights, lengths)
	}
	return out
}

// queries returns the decoder's queries (B, T, D), their mask (B, 1, 1, T) and B.
func (m *Model) queries(a *tensor.Arena, in Batch) (queries, mask tensor.T, b int64) {
	d := m.config.Dim
	if in.Question.Values.Defined() {
		b = a.Size(in.Question.Values, 0)
		first := a.Expand(a.Unsqueeze(m.answerQuery, 0), b, 1, d)
		queries = a.Cat(1, first, m.bridge.embed(a, Text, false, in.Question.Values)) // (B, 1+T, D)
		return queries, attentionBias(a, absent(a, a.Cat(1, a.Ones(b, 1), in.Question.Mask))), b
	}
	for _, g := range []Tokens{in.Text, in.Image, in.Audio} {
		if g.Values.Defined() {
			b = a.Size(g.Values, 0)
		}
	}
	f := int64(len(m.config.Findings))
	return a.Expand(a.Unsqueeze(m.findQueries, 0), b, f, d), a.Zeros(1, 1, 1, f), b
}

// head maps decoded queries (B, T, D) to logits (B, L).
func (m *Model) head(a *tensor.Arena, in Batch, decoded tensor.T) tensor.T {
	if in.Question.Values.Defined() {
		return m.answer.Forward(a, a.Select(decoded, 1, 0))
	}
	return a.Add(a.Sum(a.Mul(decoded, m.findWeight), false, 2), m.findBias)
}

// Weigh returns the weights (B, 3) that a rule makes of the entropies of out, which Forward made of in.
func (m *Model) Weigh(a *tensor.Arena, in Batch, out Output, rule Rule) tensor.T {
	return m.gate.weigh(a, rule, out.Entropies, out.Present, m.maxEntropy(in))
}

// entropy returns the entropy (B) of what one modality alone says, from 0 to 1.
func (m *Model) entropy(a *tensor.Arena, in Batch, logits tensor.T, b int64) tensor.T {
	if in.Question.Values.Defined() {
		return categorical(a, logits, m.maxEntropy(in))
	}
	return binary(a, logits, m.judged(a, in, b), m.maxEntropy(in))
}

// maxEntropy is the largest entropy, in nats, of an answer or of one finding.
func (m *Model) maxEntropy(in Batch) float64 {
	if in.Question.Values.Defined() {
		return math.Log(float64(len(m.config.Answers)))
	}
	return math.Ln2
}

// judged is 1 for the findings whose modality the batch has, (B, F).
func (m *Model) judged(a *tensor.Arena, in Batch, b int64) tensor.T {
	masks := map[string]Tokens{names[Text]: in.Text, names[Image]: in.Image, names[Audio]: in.Audio}
	columns := make([]tensor.T, len(m.config.Findings))
	for i, f := range m.config.Findings {
		if t := masks[f.Modality]; t.Mask.Defined() {
			columns[i] = a.Amax(t.Mask, false, 1)
		} else {
			columns[i] = a.Zeros(b)
		}
	}
	return a.Stack(1, columns...)
}

// Align returns the contrastive vectors (B, C) of one modality's tokens.
func (m *Model) Align(a *tensor.Arena, modality int, t Tokens) tensor.T {
	return m.bridge.align(a, modality, m.bridge.embed(a, modality, false, t.Values), t.Mask)
}

// ContrastiveScale returns the inverse temperature (1) of the contrastive loss, at most 100.
func (m *Model) ContrastiveScale(a *tensor.Arena) tensor.T {
	return a.Clamp(a.Exp(m.bridge.scale), 1, 100)
}

// attentionBias turns (B, S) into (B, 1, 1, S).
func attentionBias(a *tensor.Arena, x tensor.T) tensor.T { return a.Unsqueeze(a.Unsqueeze(x, 1), 1) }

// imageAttention takes the share of weights (B, H, T, S) that falls on the image, averaged over heads and over the
// queries that ask, and makes it sum to 1.
func imageAttention(a *tensor.Arena, in Batch, weights tensor.T, lengths [modalities]int64) tensor.T {
	w := a.Mean(weights, false, 1) // (B, T, S)
	if in.Question.Values.Defined() {
		w = a.Narrow(w, 1, 0, 1) // the answer's query; the others are the question's words
	}
	w = a.Narrow(a.Mean(w, false, 1), 1, lengths[Text], lengths[Image]) // (B, G*G)
	return a.Div(w, a.AddScalar(a.Sum(w, true, 1), 1e-9))
}
