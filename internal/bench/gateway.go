package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"consilium/gateway/client"
	"consilium/internal/analysis"
	"consilium/internal/pipeline"
	"consilium/internal/weights"
)

// Sizes of the gateway's measurement.
const (
	coldQuestions   = 60
	cachedQuestions = 300
	cachedClients   = 16
	cachedFor       = 3 * time.Second
	warmUp          = 5
)

// gateway times questions: those that nobody asked before, each also put to the same pipeline on the services of this
// process, without gateway, wire, cache and store; and one that was asked before.
func (b *bench) gateway(ctx context.Context) error {
	fmt.Fprintf(b.Out, "gateway: %d questions that are new, then one over and over\n", coldQuestions)
	puzzles, err := puzzles(coldQuestions + warmUp)
	if err != nil {
		return err
	}
	url, stop, err := b.Platform(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = stop() }()
	api, err := client.NewClientWithResponses(url)
	if err != nil {
		return err
	}
	direct := &pipeline.Pipeline{Text: b.Text, Vision: b.Vision, Fusion: b.Fusion}
	before, err := readUsage()
	if err != nil {
		return err
	}
	var whole, models, overhead []float64
	var alone parts
	var study, question string
	for i, p := range puzzles {
		if study, err = store(ctx, api, p.picture); err != nil {
			return err
		}
		question = p.question
		var seconds [2]float64
		for turn := range seconds { // who comes first changes, so that neither finds the caches of the processor warm
			which := (turn + i) % len(seconds)
			start := time.Now()
			if which == 0 {
				err = ask(ctx, api, study, question)
			} else {
				_, err = direct.Analyze(ctx, &analysis.Request{Task: analysis.Question, Question: question, Image: p.picture})
			}
			if err != nil {
				return err
			}
			seconds[which] = time.Since(start).Seconds()
		}
		taken, err := b.parts(ctx, p)
		if err != nil {
			return err
		}
		if i >= warmUp {
			alone.text, alone.image, alone.fusion = append(alone.text, taken[0]), append(alone.image, taken[1]), append(alone.fusion, taken[2])
			whole, models, overhead = append(whole, seconds[0]), append(models, seconds[1]), append(overhead, seconds[0]-seconds[1])
		}
	}
	after, err := readUsage()
	if err != nil {
		return err
	}
	others := after.others(before)
	difference := milliseconds("gateway", "overhead-p50-ms", "the difference of the two, question by question", others, overhead)
	difference.Best = nil // of two times that others disturb, the least difference says nothing
	b.add(
		milliseconds("gateway", "cold-p50-ms", "a question with a picture, both new, through the gateway", others, whole),
		milliseconds("gateway", "models-p50-ms", "the same by the pipeline alone, on services in one process", others, models),
		difference,
	)
	b.add(alone.figures(whole, others)...)
	return b.cached(ctx, url, study, question)
}

// parts are the seconds of what a question cannot do without, each alone.
type parts struct{ text, image, fusion []float64 }

// parts times the encoders and one forward pass of the fusion, one after the other, on the services of this process.
func (b *bench) parts(ctx context.Context, p puzzle) (seconds [3]float64, err error) {
	start := time.Now()
	lap := func(i int) {
		now := time.Now()
		seconds[i], start = now.Sub(start).Seconds(), now
	}
	text, err := b.Text.EncodeText(ctx, []string{p.question}, false)
	if err != nil {
		return seconds, err
	}
	lap(0)
	image, err := b.Vision.EncodeImage(ctx, [][]byte{p.picture})
	if err != nil {
		return seconds, err
	}
	lap(1)
	_, err = analysis.FuseOne(ctx, b.Fusion, &analysis.FuseRequest{Task: analysis.Question, Question: text[0], Image: image[0], Candidates: analysis.MaxAnswers})
	lap(2)
	return seconds, err
}

// figures say how long the parts take, and how long whole questions do in comparison.
func (p *parts) figures(whole []float64, others float64) []Figure {
	slowest, name := p.image, "image"
	if median(p.text) > median(p.image) {
		slowest, name = p.text, "text"
	}
	ratio := median(whole) / (median(slowest) + median(p.fusion))
	return []Figure{
		milliseconds("gateway", "slowest-encoder-p50-ms", "the encoder of the "+name+" alone, of the same questions", others, slowest),
		milliseconds("gateway", "one-fusion-p50-ms", "one forward pass of the fusion alone", others, p.fusion),
		{Name: "gateway", Metric: "cold-to-parts", Value: &ratio, Others: others, About: "cold-p50-ms over the sum of these two; the aim is 1.25 or less"},
	}
}

// cached times a question that was asked before.
func (b *bench) cached(ctx context.Context, url, study, question string) error {
	askers := make([]*asker, cachedClients)
	for i := range askers {
		a, err := newAsker(ctx, url, study, question)
		if err != nil {
			return err
		}
		defer a.Close()
		if err := a.ask(); err != nil { // every connection is known before the clock starts
			return err
		}
		askers[i] = a
	}
	before, err := readUsage()
	if err != nil {
		return err
	}
	seconds := make([]float64, cachedQuestions)
	for i := range seconds {
		start := time.Now()
		if err := askers[0].ask(); err != nil {
			return err
		}
		seconds[i] = time.Since(start).Seconds()
	}
	var asked atomic.Int64
	start := time.Now()
	group, _ := errgroup.WithContext(ctx)
	for _, a := range askers {
		group.Go(func() error {
			for time.Since(start) < cachedFor {
				if err := a.ask(); err != nil {
					return err
				}
				asked.Add(1)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	rate := float64(asked.Load()) / time.Since(start).Seconds()
	after, err := readUsage()
	if err != nil {
		return err
	}
	others := after.others(before)
	b.add(milliseconds("gateway", "cached-p50-ms", "a question that was asked before", others, seconds), Figure{
		Name: "gateway", Metric: "cached-per-second", Value: &rate, Others: others,
		About: fmt.Sprintf("the same by %d clients, on a machine of %d processors that the clients share", cachedClients, runtime.NumCPU()),
	})
	return nil
}

// puzzle is a picture and a question about it, each seen once.
type puzzle struct {
	picture  []byte
	question string
}

// puzzles returns pictures of easy-VQA, with questions that differ in a number, so that none is remembered.
func puzzles(n int) ([]puzzle, error) {
	folder, err := weights.Path("easy-vqa")
	if err != nil {
		return nil, err
	}
	file, err := os.ReadFile(filepath.Join(folder, "data", "test", "questions.json"))
	if err != nil {
		return nil, err
	}
	var questions []json.RawMessage // of text, answer and number of the picture
	if err := json.Unmarshal(file, &questions); err != nil {
		return nil, fmt.Errorf("read the questions of easy-VQA: %w", err)
	}
	seen, out := map[int]bool{}, []puzzle{}
	for _, raw := range questions {
		var question, answer string
		var picture int
		if err := json.Unmarshal(raw, &[]any{&question, &answer, &picture}); err != nil {
			return nil, fmt.Errorf("read a question of easy-VQA: %w", err)
		}
		if seen[picture] {
			continue
		}
		seen[picture] = true
		content, err := os.ReadFile(filepath.Join(folder, "data", "test", "images", fmt.Sprintf("%d.png", picture)))
		if err != nil {
			return nil, err
		}
		if out = append(out, puzzle{content, fmt.Sprintf("%s (%d)", question, picture)}); len(out) == n {
			return out, nil
		}
	}
	return nil, fmt.Errorf("easy-VQA has %d test pictures with questions, want %d", len(out), n)
}

// store stores a study of one picture and returns its id.
func store(ctx context.Context, api *client.ClientWithResponses, picture []byte) (string, error) {
	upload := &client.Upload{Images: [][]byte{picture}}
	contentType, form, err := upload.Form()
	if err != nil {
		return "", err
	}
	r, err := api.CreateStudyWithBodyWithResponse(ctx, contentType, form)
	if err != nil {
		return "", fmt.Errorf("store a study: %w", err)
	}
	if r.JSON201 == nil {
		return "", fmt.Errorf("store a study: the platform answered %.300q", r.Body)
	}
	return r.JSON201.Id, nil
}

// ask asks and reads the whole answer.
func ask(ctx context.Context, api *client.ClientWithResponses, study, question string) error {
	r, err := api.AskStudyWithResponse(ctx, study, client.QuestionRequest{Question: question})
	if err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	if r.StatusCode() != http.StatusOK {
		return fmt.Errorf("ask: the platform answered %.300q", r.Body)
	}
	return nil
}
