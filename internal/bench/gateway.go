package bench

import (
	"context"
	"encoding/json"
	"fmt"
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
	const each = coldQuestions + warmUp
	puzzles, err := puzzles(each * (1 + mostAgain))
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
	asked, err := b.cold(ctx, api, puzzles[:each])
	for err == nil && asked.others >= busyFrom && b.once(ctx, "gateway, new questions", asked.others) {
		puzzles = puzzles[each:] // the platform remembers the others
		asked, err = b.cold(ctx, api, puzzles[:each])
	}
	if err != nil {
		return err
	}
	b.add(asked.figures...)
	figures, others, err := b.cached(ctx, url, asked.study, asked.question)
	for err == nil && others >= busyFrom && b.once(ctx, "gateway, one question over and over", others) {
		figures, others, err = b.cached(ctx, url, asked.study, asked.question)
	}
	if err != nil {
		return err
	}
	b.add(figures...)
	return nil
}

// questioning is what came of putting new questions.
type questioning struct {
	figures         []Figure
	others          float64
	study, question string // the last
}

// cold times new questions.
func (b *bench) cold(ctx context.Context, api *client.ClientWithResponses, puzzles []puzzle) (q questioning, err error) {
	direct := &pipeline.Pipeline{Text: b.Text, Vision: b.Vision, Fusion: b.Fusion}
	before, err := readUsage()
	if err != nil {
		return q, err
	}
	var whole, models, overhead []float64
	var alone parts
	stages := [2]laps{{}, {}} // of the platform and of the pipeline
	for i, p := range puzzles {
		if q.study, err = store(ctx, api, p.picture); err != nil {
			return q, err
		}
		q.question = p.question
		var seconds [2]float64
		var timing [2]map[string]float64
		for turn := range seconds { // who comes first changes, so that neither finds the caches of the processor warm
			which := (turn + i) % len(seconds)
			start := time.Now()
			if which == 0 {
				timing[which], err = ask(ctx, api, q.study, q.question)
			} else {
				timed, clocks := pipeline.WithTiming(ctx)
				_, err = direct.Analyze(timed, &analysis.Request{Task: analysis.Question, Question: q.question, Image: p.picture})
				timing[which] = byName(clocks.Stages())
			}
			if err != nil {
				return q, err
			}
			seconds[which] = time.Since(start).Seconds()
		}
		taken, err := b.parts(ctx, p)
		if err != nil {
			return q, err
		}
		if i >= warmUp {
			timing[0]["around"] = seconds[0] - timing[0]["total"]
			for which := range stages {
				stages[which].add(timing[which])
			}
			alone.text, alone.image, alone.fusion = append(alone.text, taken[0]), append(alone.image, taken[1]), append(alone.fusion, taken[2])
			whole, models, overhead = append(whole, seconds[0]), append(models, seconds[1]), append(overhead, seconds[0]-seconds[1])
		}
	}
	after, err := readUsage()
	if err != nil {
		return q, err
	}
	q.others = after.others(before)
	difference := milliseconds("gateway", "overhead-p50-ms", "the difference of the two, question by question", q.others, overhead)
	difference.Best = nil // of two times that others disturb, the least difference says nothing
	q.figures = append(q.figures,
		milliseconds("gateway", "cold-p50-ms", "a question with a picture, both new, through the gateway", q.others, whole),
		milliseconds("gateway", "models-p50-ms", "the same by the pipeline alone, on services in one process", q.others, models),
		difference,
	)
	for _, s := range []struct{ name, about string }{
		{"text", "encoding the question, at the same time as the picture"}, {"image", "encoding the picture, at the same time as the question"},
		{"fusion", "the fusion of the question as it is, with the picture blank and with its tokens shuffled"},
	} {
		q.figures = append(q.figures, milliseconds("gateway", "stage-"+s.name+"-p50-ms", s.about+", through the gateway", q.others, stages[0][s.name]),
			milliseconds("gateway", "stage-"+s.name+"-models-p50-ms", "the same by the pipeline alone", q.others, stages[1][s.name]))
	}
	q.figures = append(q.figures, milliseconds("gateway", "stage-around-p50-ms", "what is left of a new question: HTTP, checks, what is remembered, and the answer on the disk", q.others, stages[0]["around"]))
	q.figures = append(q.figures, alone.figures(whole, q.others)...)
	return q, nil
}

// laps are the seconds of each stage of every question.
type laps map[string][]float64

func (l laps) add(timing map[string]float64) {
	for stage, seconds := range timing {
		l[stage] = append(l[stage], seconds)
	}
}

// byName returns the seconds of each stage.
func byName(stages []analysis.Stage) map[string]float64 {
	seconds := map[string]float64{}
	for _, s := range stages {
		seconds[s.Name] = s.Seconds
	}
	return seconds
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
func (b *bench) cached(ctx context.Context, url, study, question string) (figures []Figure, others float64, err error) {
	askers := make([]*asker, cachedClients)
	for i := range askers {
		a, err := newAsker(ctx, url, study, question)
		if err != nil {
			return nil, 0, err
		}
		defer a.Close()
		if err := a.ask(); err != nil { // every connection is known before the clock starts
			return nil, 0, err
		}
		askers[i] = a
	}
	before, err := readUsage()
	if err != nil {
		return nil, 0, err
	}
	seconds := make([]float64, cachedQuestions)
	for i := range seconds {
		start := time.Now()
		if err := askers[0].ask(); err != nil {
			return nil, 0, err
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
		return nil, 0, err
	}
	rate := float64(asked.Load()) / time.Since(start).Seconds()
	after, err := readUsage()
	if err != nil {
		return nil, 0, err
	}
	others = after.others(before)
	return []Figure{milliseconds("gateway", "cached-p50-ms", "a question that was asked before", others, seconds), Figure{
		Name: "gateway", Metric: "cached-per-second", Value: &rate, Others: others,
		About: fmt.Sprintf("the same by %d clients, on a machine of %d processors that the clients share", cachedClients, runtime.NumCPU()),
	}}, others, nil
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

// ask asks, reads the whole answer and returns the seconds of each stage.
func ask(ctx context.Context, api *client.ClientWithResponses, study, question string) (map[string]float64, error) {
	r, err := api.AskStudyWithResponse(ctx, study, client.QuestionRequest{Question: question})
	if err != nil {
		return nil, fmt.Errorf("ask: %w", err)
	}
	if r.JSON200 == nil {
		return nil, fmt.Errorf("ask: the platform answered %.300q", r.Body)
	}
	seconds := map[string]float64{}
	for _, s := range r.JSON200.Timing {
		seconds[s.Name] = s.Seconds
	}
	return seconds, nil
}
