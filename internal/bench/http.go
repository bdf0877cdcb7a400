package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"consilium/internal/batch"
)

// clients is a contender behind a server: its iterations are requests that clients send side by side.
type clients struct {
	name string
	send func(ctx context.Context, texts []string) ([][]float32, error)
	stop func() error
	c    *Case
	next int // iteration, so that every contender gets the same texts, and no text twice
}

// Name implements Contender.
func (s *clients) Name() string { return s.name }

// Take implements Contender.
func (s *clients) Take(ctx context.Context, c *Case) ([][]float32, error) {
	s.c, s.next = c, 0
	return s.all(ctx, s.requests())
}

// Run implements Contender.
func (s *clients) Run(ctx context.Context, n int) ([]float64, error) {
	seconds := make([]float64, n)
	for i := range seconds {
		requests := s.requests()
		start := time.Now()
		if _, err := s.all(ctx, requests); err != nil {
			return nil, err
		}
		seconds[i] = time.Since(start).Seconds()
	}
	return seconds, nil
}

// Close implements Contender.
func (s *clients) Close() error { return s.stop() }

// requests returns those of the next iteration.
func (s *clients) requests() [][]string {
	s.next++
	return s.c.Requests(s.next)
}

// all sends requests and returns the vectors in their order.
func (s *clients) all(ctx context.Context, requests [][]string) (all [][]float32, err error) {
	answers := make([][][]float32, len(requests))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(s.c.Clients)
	for i, texts := range requests {
		group.Go(func() (err error) {
			answers[i], err = s.send(ctx, texts)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for _, vectors := range answers {
		all = append(all, vectors...)
	}
	return all, nil
}

// embeddings returns what sends texts to an interface of the shape of OpenAI's embeddings.
func embeddings(url, model string, most int) func(ctx context.Context, texts []string) ([][]float32, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: most}}
	return func(ctx context.Context, texts []string) ([][]float32, error) {
		body, err := json.Marshal(map[string]any{"model": model, "input": texts})
		if err != nil {
			return nil, err
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		request.Header.Set("Content-Type", "application/json")
		response, err := client.Do(request)
		if err != nil {
			return nil, err
		}
		defer response.Body.Close()
		said, err := io.ReadAll(response.Body)
		if err != nil {
			return nil, err
		}
		var list struct {
			Data []struct {
				Embedding []float32 `json:"embedding"`
			} `json:"data"`
		}
		if response.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("%s answered %s: %.300q", url, response.Status, said)
		}
		if err := json.Unmarshal(said, &list); err != nil {
			return nil, fmt.Errorf("read what %s answered: %w", url, err)
		}
		vectors := make([][]float32, len(list.Data))
		for i, d := range list.Data {
			vectors[i] = d.Embedding
		}
		return vectors, nil
	}
}

// Sizes of the HTTP cases.
const (
	singleClients, singleRequests = 32, 64
	batchClients, batchRequests   = 4, 4
	batchTexts                    = 32
)

// httpCases are the cases over HTTP. Every iteration of every case has texts of its own, since a gateway remembers.
func httpCases(c *corpus, work func(tokens int) float64) []*Case {
	one := func(name, about string, clients, requests, size int) *Case {
		texts := func(i int) []string {
			texts := c.mixed(httpSeed, requests*size)
			for j := range texts {
				texts[j] = fmt.Sprintf("Film %d of series %d in %d: %s", j, i, size, texts[j])
			}
			return texts
		}
		k := &Case{Name: name, About: about, Items: requests * size, Clients: clients, Requests: func(i int) [][]string { return calls(texts(i), size) }}
		for _, text := range texts(0) {
			k.Work += work(c.tokens(text))
		}
		return k
	}
	return []*Case{
		one("text-http-mixed", fmt.Sprintf("%d clients, one text of mixed length a request", singleClients), singleClients, singleRequests, 1),
		one("text-http-batch", fmt.Sprintf("%d clients, %d texts of mixed length a request", batchClients, batchTexts), batchClients, batchRequests, batchTexts),
	}
}

// http times texts through servers: ours through the gateway, as users reach it, which the ratio is of; ours through the
// encoder's own server; and infinity.
func (b *bench) http(ctx context.Context) error {
	url, stop, err := b.Platform(ctx)
	if err != nil {
		return err
	}
	gateway := &clients{name: "consilium, POST /v1/embeddings", send: embeddings(url+"/v1/embeddings", "consilium-text", singleClients), stop: stop}
	defer gateway.Close()
	encoder, stop, err := b.Wire(ctx)
	if err != nil {
		return err
	}
	wire := &clients{name: "consilium, the encoder's own server", stop: stop, send: func(ctx context.Context, texts []string) ([][]float32, error) {
		features, err := encoder.EncodeText(ctx, texts, false)
		return vectors(features), err
	}}
	defer wire.Close()
	infinity, err := b.infinity(ctx)
	if err != nil {
		return err
	}
	defer infinity.Close()
	for _, c := range httpCases(b.corpus, b.TextWork) {
		rows, others, err := b.measure(ctx, c, []entrant{
			{Contender: gateway, class: FP32, ours: true}, {Contender: wire, class: FP32, ours: true}, {Contender: infinity, class: FP32},
		})
		if err != nil {
			return err
		}
		b.add(ratio(c.Name, c.About, FP32, false, rows, others))
	}
	return b.batching(ctx)
}

// batching times the encoder's queue: callers of one text each, against one call with all their texts.
func (b *bench) batching(ctx context.Context) error {
	c := httpCases(b.corpus, b.TextWork)[0]
	c.Name, c.About = "text-batching", fmt.Sprintf("without HTTP: %d callers of one text, to one call with all %d texts", singleClients, singleRequests)
	encode := func(ctx context.Context, texts []string) ([][]float32, error) {
		features, err := b.Text.EncodeText(ctx, texts, false)
		return vectors(features), err
	}
	callers := &clients{name: "consilium, one text a call", send: encode, stop: func() error { return nil }}
	whole := &own{name: "consilium, all texts in a call", begin: func(c *Case) func(context.Context) ([][]float32, error) {
		i := 0
		return func(ctx context.Context) ([][]float32, error) {
			i++
			return encode(ctx, slices.Concat(c.Requests(i)...))
		}
	}}
	rows, others, err := b.measure(ctx, c, []entrant{{Contender: callers, class: FP32, ours: true}, {Contender: whole, class: FP32}})
	if err != nil {
		return err
	}
	b.add(ratio(c.Name, c.About, FP32, false, rows, others))
	return b.alone(ctx, encode)
}

// alone times what a queue costs a caller whom nobody keeps waiting: the encoder as it is, queue included, and with one
// more queue of the same kind before it.
func (b *bench) alone(ctx context.Context, encode func(context.Context, []string) ([][]float32, error)) error {
	queue := batch.New(batch.Config{MaxCost: longest, Queue: singleClients, Workers: 1}, func([]string) int { return 1 },
		func(calls [][]string) ([]batch.Result[[][]float32], error) {
			results := make([]batch.Result[[][]float32], len(calls))
			for i, texts := range calls {
				results[i].Value, results[i].Err = encode(ctx, texts)
			}
			return results, nil
		})
	defer queue.Close()
	texts := b.corpus.texts(timedSeed, 1, textLengths[0])
	c := &Case{Name: "text-batching-alone", About: "one text of 16 tokens by one caller: the time with one more queue before the encoder to that without", Items: 1, Work: b.TextWork(textLengths[0])}
	rows, others, err := b.measure(ctx, c, []entrant{
		single("the encoder, which has a queue", func(ctx context.Context) ([][]float32, error) { return encode(ctx, texts) }),
		single("with one more queue", func(ctx context.Context) ([][]float32, error) { return queue.Do(ctx, texts) }),
	})
	if err != nil {
		return err
	}
	b.add(slower(c, rows[1], rows[0], others))
	return nil
}

// patienceInfinity is how long infinity may take to load.
const patienceInfinity = 5 * time.Minute

// infinity starts infinity's server as its documentation does, with its defaults.
func (b *bench) infinity(ctx context.Context) (_ *clients, err error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0") // infinity takes no port 0
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err = errors.Join(err, listener.Close()); err != nil {
		return nil, err
	}
	cmd := b.peers.python(ctx, "-c", "from infinity_emb.cli import cli; cli()", "v2", "--model-id", filepath.Join(b.peers.models, "minilm"),
		"--served-model-name", "minilm", "--engine", "torch", "--device", "cpu", "--host", "127.0.0.1", "--port", port)
	said := &ending{}
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start infinity: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // what it said is what counts
		close(ended)
	}()
	stop := func() error {
		_ = cmd.Process.Kill()
		<-ended
		return nil
	}
	url := "http://127.0.0.1:" + port
	send := embeddings(url+"/embeddings", "minilm", singleClients)
	ctx, cancel := context.WithTimeout(ctx, patienceInfinity)
	defer cancel()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		_, err := send(ctx, []string{"Is it ready?"})
		if err == nil {
			return &clients{name: "infinity, torch", send: send, stop: stop}, nil
		}
		select {
		case <-ended:
			return nil, fmt.Errorf("infinity ended; it said: %s", said)
		case <-ctx.Done():
			_ = stop()
			return nil, fmt.Errorf("wait for infinity: %w; it said: %s", err, said)
		case <-ticker.C:
		}
	}
}
