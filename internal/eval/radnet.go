package eval

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sort"

	"consilium/internal/analysis"
	"consilium/internal/model/fusion"
	"consilium/internal/tensor"
	"consilium/internal/train"
)

// radNet is a fusion with the vocabulary of VQA-RAD.
type radNet struct {
	engine *tensor.Engine
	params *tensor.Params
	model  *fusion.Model
	enc    Models
	images map[string]*analysis.Features // by path
}

func newRadNet(ctx context.Context, engine *tensor.Engine, enc Models, file []byte) (*radNet, error) {
	raw, metadata, err := tensor.DecodeSafetensors(file)
	if err != nil {
		return nil, fmt.Errorf("read the weights of vqa-rad: %w", err)
	}
	config, err := fusion.ParseConfig(metadata)
	if err != nil {
		return nil, err
	}
	n := &radNet{engine: engine, params: tensor.FromRaw(raw), enc: enc, images: map[string]*analysis.Features{}}
	err = engine.Do(ctx, func(a *tensor.Arena) error {
		n.model = fusion.New(a, n.params, config)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load the weights of vqa-rad: %w", err)
	}
	return n, nil
}

func (n *radNet) free() {
	_ = n.engine.Do(context.Background(), func(a *tensor.Arena) error { // the engine is open
		n.params.Free(a)
		return nil
	})
}

// image returns the features of a picture, encoded once.
func (n *radNet) image(ctx context.Context, path string) (*analysis.Features, error) {
	if n.images[path] == nil {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		f, err := train.One(n.enc.Vision.EncodeImage(ctx, [][]byte{b}))
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", path, err)
		}
		n.images[path] = f
	}
	return n.images[path], nil
}

// radAnswers are the answers to the questions of a set, in their order.
type radAnswers struct {
	shown    []string // about the picture
	blank    []string // about a grey one
	shuffled []string // about another one of the set
	none     []string // without any
}

// answers asks every question four times.
func (n *radNet) answers(ctx context.Context, test blindSet) (r radAnswers, err error) {
	grey, err := blankFeatures(ctx, n.enc.Vision)
	if err != nil {
		return r, err
	}
	other := shuffledImages(test)
	for _, q := range test.questions {
		text, err := train.One(n.enc.Text.EncodeText(ctx, []string{q.Text}, false))
		if err != nil {
			return r, fmt.Errorf("encode question %d: %w", q.ID, err)
		}
		own, err := n.image(ctx, q.Image)
		if err != nil {
			return r, err
		}
		wrong, err := n.image(ctx, other[q.Image])
		if err != nil {
			return r, err
		}
		for _, ask := range []struct {
			answers *[]string
			image   *analysis.Features
		}{{&r.shown, own}, {&r.blank, grey}, {&r.shuffled, wrong}, {&r.none, nil}} {
			answer, err := n.answer(ctx, text, ask.image)
			if err != nil {
				return r, fmt.Errorf("answer question %d: %w", q.ID, err)
			}
			*ask.answers = append(*ask.answers, answer)
		}
	}
	return r, nil
}

// answer returns the net's first choice; image may be nil.
func (n *radNet) answer(ctx context.Context, question, image *analysis.Features) (string, error) {
	var out string
	err := n.engine.Do(ctx, func(a *tensor.Arena) error {
		tokens := func(f *analysis.Features) fusion.Tokens {
			if f == nil {
				return fusion.Tokens{}
			}
			return fusion.Tokens{Values: a.FromFloat32(f.Tokens, 1, int64(f.TokenCount), int64(f.TokenDim)), Mask: a.Ones(1, int64(f.TokenCount))}
		}
		text := tokens(question)
		logits := n.model.Forward(a, fusion.Batch{Question: text, Text: text, Image: tokens(image)}).Logits
		out = n.model.Config().Answers[a.Int64s(a.Argmax(logits, 1))[0]]
		return nil
	})
	return out, err
}

// shuffledImages gives each picture of a set another one of it: the next in the order of their names.
func shuffledImages(s blindSet) map[string]string {
	var paths []string
	for _, q := range s.questions {
		paths = append(paths, q.Image)
	}
	slices.Sort(paths)
	paths = slices.Compact(paths)
	next := map[string]string{}
	for i, p := range paths {
		next[p] = paths[(i+1)%len(paths)]
	}
	return next
}

// gainInterval is the 95 % interval of how much more often answers are right than floor is, over the closed questions,
// by drawing whole pictures with replacement: questions about one picture are not independent.
func gainInterval(test blindSet, answers, floor []string) (low, high float64) {
	type sums struct{ gain, n int }
	byImage := map[string]*sums{}
	var images []string
	for i, q := range test.questions {
		if !q.Closed {
			continue
		}
		if byImage[q.Image] == nil {
			byImage[q.Image] = &sums{}
			images = append(images, q.Image)
		}
		s := byImage[q.Image]
		s.n++
		if answers[i] == q.Answer {
			s.gain++
		}
		if floor[i] == q.Answer {
			s.gain--
		}
	}
	if len(images) == 0 {
		return 0, 0
	}
	rng := rand.New(rand.NewPCG(1, 1))
	gains := make([]float64, 10000)
	for i := range gains {
		var total sums
		for range images {
			s := byImage[images[rng.IntN(len(images))]]
			total.gain, total.n = total.gain+s.gain, total.n+s.n
		}
		gains[i] = float64(total.gain) / float64(total.n)
	}
	sort.Float64s(gains)
	return gains[len(gains)/40], gains[len(gains)-1-len(gains)/40]
}
