package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"strconv"

	"consilium/internal/analysis"
)

// Answers remembers what came of whole questions, so that one that was asked before costs no encoder, no fusion and not even the
// reading of what it is about.
type Answers struct {
	cache   *Cache
	digests map[analysis.Modality]Digest
	fusion  Digest
}

// Asked is everything but the models that determines what comes of a question.
type Asked struct {
	Question   string
	Strict     bool
	Candidates int // as in analysis.Request
	// Inputs are the SHA-256 of what the question is about, in lower-case hex.
	Inputs map[analysis.Modality]string
}

// Answers returns a memory of questions, keyed by the digests of the models that would answer now.
func (c *Cache) Answers(digests map[analysis.Modality]Digest, fusion Digest) *Answers {
	return &Answers{c, digests, fusion}
}

// slack is what rounding in float32 may add to a probability.
const slack = 1e-3

// answerKind is the kind of the entries of Answers.
const answerKind = "answer"

// Answer returns the result of compute, or what is remembered of the same. Nobody may change it. A result that lacks something is not
// remembered. A nil Answers remembers nothing.
func (a *Answers) Answer(ctx context.Context, asked *Asked, compute func() (*analysis.Result, error)) (*analysis.Result, error) {
	if a == nil {
		return compute()
	}
	models, err := a.models(ctx, asked)
	if err != nil { // compute will say what is wrong, or work
		a.cache.count(answerKind, "bypass", 1)
		return compute()
	}
	key := asked.key(models)
	if result, ok := a.cache.answers.Get(key); ok {
		a.cache.count(answerKind, "hit", 1)
		return result, nil
	}
	values, ok := a.cache.get(ctx, []string{key})
	if result := decodeAnswer(values[0], models); result != nil {
		a.cache.count(answerKind, "hit", 1)
		a.cache.answers.Put(key, result)
		return result, nil
	}
	outcome := "miss"
	if !ok {
		outcome = "bypass"
	}
	a.cache.count(answerKind, outcome, 1)
	result, err := compute()
	if err != nil || len(result.Degraded) > 0 {
		return result, err
	}
	if encoded, err := json.Marshal(result); err == nil {
		question := sha256.Sum256([]byte(asked.Question))
		inputs := []string{hex.EncodeToString(question[:])}
		for _, modality := range analysis.Modalities {
			if input := asked.Inputs[modality]; input != "" {
				inputs = append(inputs, input)
			}
		}
		key := asked.key(result.Models) // the models may have changed since we asked
		a.cache.set(key, func() []byte { return encoded }, inputs...)
		a.cache.answers.Put(key, result)
	}
	return result, nil
}

// models returns the digests that a result made now would carry.
func (a *Answers) models(ctx context.Context, asked *Asked) (models map[string]string, err error) {
	models = map[string]string{}
	if models[fusionRole], err = a.fusion(ctx); err != nil {
		return nil, err
	}
	for modality, digest := range a.digests {
		if modality == analysis.Text || asked.Inputs[modality] != "" { // the question is a text
			if models[string(modality)], err = digest(ctx); err != nil {
				return nil, err
			}
		}
	}
	return models, nil
}

// key names the entry of what these models made.
func (a *Asked) key(models map[string]string) string {
	determinants := []string{models[fusionRole], a.Question, strconv.FormatBool(a.Strict), strconv.Itoa(a.Candidates)}
	for _, modality := range analysis.Modalities {
		determinants = append(determinants, a.Inputs[modality], models[string(modality)])
	}
	return key(answerKind, determinants...)
}

// decodeAnswer returns the result in value if it is an answer that these models made, else nil.
func decodeAnswer(value []byte, models map[string]string) *analysis.Result {
	var result analysis.Result
	if len(value) == 0 || json.Unmarshal(value, &result) != nil || len(result.Answers) == 0 || len(result.Degraded) > 0 || !maps.Equal(result.Models, models) {
		return nil
	}
	for i, answer := range result.Answers { // Redis is shared and may hold anything
		if !(answer.Probability >= 0 && answer.Probability <= 1+slack) || i > 0 && answer.Probability > result.Answers[i-1].Probability {
			return nil
		}
	}
	return &result
}
