package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"consilium/internal/analysis"
	"consilium/internal/childproc"
)

var server *childproc.Valkey

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "cachetest")
	if err == nil {
		defer os.RemoveAll(dir)
		err = os.Chmod(dir, 0o755) // root's server runs as another user
	}
	if err == nil {
		server, err = childproc.StartValkey(context.Background(), filepath.Join(dir, "valkey"), nil)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "start a server for the tests:", err)
		return 1
	}
	status := m.Run()
	if err := server.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return status
}

// connect returns a client of an empty Redis.
func connect(t *testing.T) *redis.Client {
	t.Helper()
	client, err := Connect(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if err := client.FlushAll(context.Background()).Err(); err != nil {
		t.Fatal(err)
	}
	return client
}

func newCache(client *redis.Client, options Options) *Cache {
	return New(client, options, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
}

// model implements the encoders and the fusion and counts what reaches it.
type model struct {
	digest string
	inputs atomic.Int64
	wait   chan struct{} // if not nil, a call says so on called and waits for its end
	called chan struct{}
	err    error
}

func (m *model) Digest(context.Context) (string, error) { return m.digest, nil }

func (m *model) features(ctx context.Context, modality analysis.Modality, inputs ...string) ([]*analysis.Features, error) {
	m.inputs.Add(int64(len(inputs)))
	if m.wait != nil {
		m.called <- struct{}{}
		select {
		case <-m.wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if m.err != nil {
		return nil, m.err
	}
	var features []*analysis.Features
	for _, input := range inputs {
		f := &analysis.Features{Modality: modality, Vector: []float32{float32(len(input)), 0.5}, Tokens: []float32{1, 2, 3, 4}, TokenCount: 2, TokenDim: 2,
			Notes: []analysis.Note{{Modality: modality, Kind: "resized", Detail: input}}, Model: m.digest}
		if modality == analysis.Image {
			f.Rows, f.Cols = 1, 2
		} else if modality == analysis.Audio {
			f.Seconds = 1.5
		}
		features = append(features, f)
	}
	return features, nil
}

func (m *model) EncodeText(ctx context.Context, texts []string, _ bool) ([]*analysis.Features, error) {
	return m.features(ctx, analysis.Text, texts...)
}

func (m *model) EncodeImage(ctx context.Context, images [][]byte) ([]*analysis.Features, error) {
	return m.features(ctx, analysis.Image, stringsOf(images)...)
}

func (m *model) EncodeAudio(ctx context.Context, sounds [][]byte, _ bool) ([]*analysis.Features, error) {
	return m.features(ctx, analysis.Audio, stringsOf(sounds)...)
}

func stringsOf(list [][]byte) (s []string) {
	for _, b := range list {
		s = append(s, string(b))
	}
	return s
}

func (m *model) Fuse(_ context.Context, requests []*analysis.FuseRequest) ([]*analysis.Result, error) {
	m.inputs.Add(1)
	results := make([]*analysis.Result, len(requests))
	for i, request := range requests {
		results[i] = &analysis.Result{Answers: []analysis.Candidate{{Text: string(request.Task), Probability: 1}},
			Attention: &analysis.Grid{Rows: 1, Cols: 1, Values: []float32{1}}, Models: map[string]string{"fusion": m.digest}}
	}
	return results, nil
}

func TestFeaturesAreRemembered(t *testing.T) {
	ctx := context.Background()
	for _, modality := range analysis.Modalities {
		t.Run(string(modality), func(t *testing.T) {
			m := &model{digest: "d1"}
			c := newCache(connect(t), DefaultOptions)
			encode := func(strict bool, inputs ...string) []*analysis.Features {
				t.Helper()
				var raw [][]byte
				for _, input := range inputs {
					raw = append(raw, []byte(input))
				}
				var features []*analysis.Features
				var err error
				switch modality {
				case analysis.Text:
					features, err = c.TextEncoder(m, m.Digest).EncodeText(ctx, inputs, strict)
				case analysis.Image:
					features, err = c.VisionEncoder(m, m.Digest).EncodeImage(ctx, raw)
				case analysis.Audio:
					features, err = c.AudioEncoder(m, m.Digest).EncodeAudio(ctx, raw, strict)
				}
				if err != nil {
					t.Fatal(err)
				}
				c.Flush()
				return features
			}
			reached := func(want int64) {
				t.Helper()
				if got := m.inputs.Swap(0); got != want {
					t.Errorf("%d inputs reached the encoder, want %d", got, want)
				}
			}
			first := encode(false, "a", "bb")
			reached(2)
			if again := encode(false, "a", "bb"); !reflect.DeepEqual(again, first) {
				t.Errorf("remembered %+v, want %+v", again[0], first[0])
			}
			reached(0)
			mixed := encode(false, "ccc", "bb", "dddd", "a")
			reached(2)
			for i, want := range []float32{3, 2, 4, 1} {
				if mixed[i].Vector[0] != want {
					t.Errorf("position %d holds the features of another input", i)
				}
			}
			if modality != analysis.Image {
				encode(true, "a")
				reached(1)
			}
			m.digest = "d2"
			if got := encode(false, "a"); got[0].Model != "d2" {
				t.Errorf("the new model's features carry %s", got[0].Model)
			}
			reached(1)
		})
	}
}

func TestResultsAreRemembered(t *testing.T) {
	ctx := context.Background()
	m := &model{digest: "d1"}
	c := newCache(connect(t), DefaultOptions)
	f := c.Fuser(m, m.Digest)
	text := func(value float32, digest string) *analysis.Features {
		return &analysis.Features{Modality: analysis.Text, Vector: []float32{value}, Tokens: []float32{value}, TokenCount: 1, TokenDim: 1, Model: digest}
	}
	base := analysis.FuseRequest{Task: analysis.Report, Text: text(1, "t"), Candidates: 3}
	first, err := analysis.FuseOne(ctx, f, &base)
	if err != nil {
		t.Fatal(err)
	}
	c.Flush()
	again, err := analysis.FuseOne(ctx, f, &base)
	if err != nil || !reflect.DeepEqual(first, again) || m.inputs.Load() != 1 {
		t.Errorf("got %+v, %v after %d calls, want %+v after 1", again, err, m.inputs.Load(), first)
	}
	noted := base
	withNote := *base.Text
	withNote.Notes = []analysis.Note{{Kind: "truncated"}}
	noted.Text = &withNote
	if _, err := analysis.FuseOne(ctx, f, &noted); err != nil || m.inputs.Load() != 1 {
		t.Errorf("a note made another entry (%v)", err)
	}
	for name, change := range map[string]func(*analysis.FuseRequest){
		"text":            func(r *analysis.FuseRequest) { r.Text = text(2, "t") },
		"encoder":         func(r *analysis.FuseRequest) { r.Text = text(1, "u") },
		"candidates":      func(r *analysis.FuseRequest) { r.Candidates = 4 },
		"a question":      func(r *analysis.FuseRequest) { r.Task, r.Question = analysis.Question, base.Text },
		"another place":   func(r *analysis.FuseRequest) { r.Question, r.Text = base.Text, nil },
		"the other model": func(*analysis.FuseRequest) { m.digest = "d2" },
	} {
		request := base
		m.inputs.Store(0)
		change(&request)
		if _, err := analysis.FuseOne(ctx, f, &request); err != nil || m.inputs.Load() != 1 {
			t.Errorf("%s: %d calls, %v, want one of its own", name, m.inputs.Load(), err)
		}
	}
	m.inputs.Store(0)
	if results, err := f.Fuse(ctx, []*analysis.FuseRequest{&base, &base}); err != nil || len(results) != 2 || m.inputs.Load() != 1 {
		t.Errorf("two in one call: %v, %v, with %d calls", results, err, m.inputs.Load())
	}
}

func TestWithoutRedisEverythingWorks(t *testing.T) {
	ctx := context.Background()
	dead, err := Connect("redis://user:secret@127.0.0.1:1/0")
	if err != nil {
		t.Fatal(err)
	}
	defer dead.Close()
	for name, client := range map[string]*redis.Client{"none": nil, "unreachable": dead} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			c := New(client, Options{TTL: time.Hour, MaxValueBytes: 1 << 20, Cooldown: time.Hour}, slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry())
			m := &model{digest: "d"}
			for range 20 {
				if features, err := c.TextEncoder(m, m.Digest).EncodeText(ctx, []string{"a"}, false); err != nil || len(features) != 1 {
					t.Fatal(features, err)
				}
			}
			if m.inputs.Load() != 20 {
				t.Errorf("%d calls reached the encoder, want 20", m.inputs.Load())
			}
			if warnings := strings.Count(log.String(), "level=WARN"); client != nil && warnings != 1 || client == nil && warnings != 0 {
				t.Errorf("the log warns %d times: %s", warnings, log.String())
			}
			if strings.Contains(log.String(), "secret") {
				t.Error("the log holds the password")
			}
			if err := c.Ready(ctx); analysis.CodeOf(err) != analysis.Unavailable {
				t.Errorf("ready says %v, want unavailable", err)
			}
		})
	}
	if _, err := Connect("http://user:secret@host"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a wrong address gives %v, want an error without the password", err)
	}
}

func TestRedisComesBack(t *testing.T) {
	ctx := context.Background()
	client := connect(t)
	var log bytes.Buffer
	c := New(client, Options{TTL: time.Hour, MaxValueBytes: 1 << 20, Cooldown: 0}, slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry())
	m := &model{digest: "d"}
	encode := func() {
		t.Helper()
		if _, err := c.TextEncoder(m, m.Digest).EncodeText(ctx, []string{"a"}, false); err != nil {
			t.Fatal(err)
		}
		c.Flush()
	}
	c.breaker.report(ctx, "read", errors.New("connection reset"))
	encode() // asks again, since the cooldown is over
	encode()
	if m.inputs.Load() != 1 || !strings.Contains(log.String(), "cache is on again") {
		t.Errorf("%d calls reached the encoder; the log says %s", m.inputs.Load(), log.String())
	}
}

func TestWhatRedisHoldsIsNotTrusted(t *testing.T) {
	ctx := context.Background()
	client := connect(t)
	m := &model{digest: "d"}
	c := newCache(client, DefaultOptions)
	e := c.VisionEncoder(m, m.Digest)
	encode := func() {
		t.Helper()
		features, err := e.EncodeImage(ctx, [][]byte{[]byte("picture")})
		if err != nil || features[0].Vector[0] != 7 {
			t.Fatalf("got %v, %v", features, err)
		}
		c.Flush()
	}
	encode()
	keys, err := client.Keys(ctx, "consilium:image:*").Result()
	if err != nil || len(keys) != 1 {
		t.Fatal(keys, err)
	}
	good, err := client.Get(ctx, keys[0]).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	nan := &analysis.Features{Modality: analysis.Image, Vector: []float32{float32(math.NaN())}, Tokens: []float32{1}, TokenCount: 1, TokenDim: 1, Rows: 1, Cols: 1, Model: "d"}
	for name, value := range map[string][]byte{
		"empty": {}, "garbage": []byte("garbage that is long enough"), "cut off": good[:len(good)-1], "half": good[:len(good)/2],
		"flipped": append(append(bytes.Clone(good[:20]), good[20]^1), good[21:]...), "NaN": encodeFeatures(nan),
		"another model's": encodeFeatures(&analysis.Features{Modality: analysis.Image, Vector: []float32{9}, Tokens: []float32{1}, TokenCount: 1, TokenDim: 1, Rows: 1, Cols: 1, Model: "x"}),
	} {
		if err := client.Set(ctx, keys[0], value, 0).Err(); err != nil {
			t.Fatal(err)
		}
		m.inputs.Store(0)
		encode()
		if m.inputs.Load() != 1 {
			t.Errorf("%s: the entry was believed", name)
		}
	}
}

func TestLargeEntriesAreNotStored(t *testing.T) {
	client := connect(t)
	m := &model{digest: "d"}
	options := DefaultOptions
	options.MaxValueBytes = 16
	if _, err := newCache(client, options).TextEncoder(m, m.Digest).EncodeText(context.Background(), []string{"a"}, false); err != nil {
		t.Fatal(err)
	}
	if n := client.DBSize(context.Background()).Val(); n != 0 {
		t.Errorf("%d entries, want none", n)
	}
}

func TestAnErrorIsNotRemembered(t *testing.T) {
	client := connect(t)
	m := &model{digest: "d", err: analysis.Errorf(analysis.Overloaded, "busy")}
	if _, err := newCache(client, DefaultOptions).TextEncoder(m, m.Digest).EncodeText(context.Background(), []string{"a"}, false); analysis.CodeOf(err) != analysis.Overloaded {
		t.Errorf("got %v, want overloaded", err)
	}
	if n := client.DBSize(context.Background()).Val(); n != 0 {
		t.Errorf("%d entries, want none", n)
	}
}

// TestEqualCallsAtOnceShareOneResult starts equal calls, ends the first caller's context while all wait, and
// expects an answer for every other caller.
func TestEqualCallsAtOnceShareOneResult(t *testing.T) {
	m := &model{digest: "d", wait: make(chan struct{}), called: make(chan struct{}, 100)}
	e := newCache(nil, DefaultOptions).TextEncoder(m, m.Digest)
	leader, cancel := context.WithCancel(context.Background())
	left := make(chan error)
	go func() {
		_, err := e.EncodeText(leader, []string{"a"}, false)
		left <- err
	}()
	<-m.called
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if features, err := e.EncodeText(context.Background(), []string{"a"}, false); err != nil || len(features) != 1 {
				t.Errorf("got %v, %v", features, err)
			}
		})
	}
	cancel()
	if err := <-left; analysis.CodeOf(err) != analysis.Canceled {
		t.Errorf("the leader got %v, want canceled", err)
	}
	close(m.wait)
	group.Wait()
}

func TestAPanicIsAnError(t *testing.T) {
	c := newCache(nil, DefaultOptions)
	_, err := once(context.Background(), c, "k", func() (int, error) { panic("boom") })
	if analysis.CodeOf(err) != analysis.Internal || !strings.Contains(err.Error(), "boom") {
		t.Errorf("got %v", err)
	}
}
