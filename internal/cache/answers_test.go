package cache

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"consilium/internal/analysis"
)

func digestIs(digest *string) Digest {
	return func(context.Context) (string, error) {
		if *digest == "" {
			return "", errors.New("the model is down")
		}
		return *digest, nil
	}
}

func TestAnswersAreRememberedByAllThatDeterminesThem(t *testing.T) {
	client, vision := connect(t), "v1"
	text, fusion := "t1", "f1"
	digests := map[analysis.Modality]Digest{analysis.Text: digestIs(&text), analysis.Image: digestIs(&vision)}
	open := func() *Answers { return newCache(client, DefaultOptions).Answers(digests, digestIs(&fusion)) }
	base := Asked{Question: "Is it red?", Candidates: 3, Inputs: map[analysis.Modality]string{analysis.Image: digestOf("picture")}}
	changed := func(change func(*Asked)) Asked {
		asked := base
		change(&asked)
		return asked
	}
	for _, test := range []struct {
		name     string
		asked    Asked
		vision   string
		degraded bool
		computed bool
	}{
		{name: "the first time", asked: base, vision: "v1", computed: true},
		{name: "again", asked: base, vision: "v1"},
		{name: "another question", asked: changed(func(a *Asked) { a.Question = "Is it blue?" }), vision: "v1", computed: true},
		{name: "strictly", asked: changed(func(a *Asked) { a.Strict = true }), vision: "v1", computed: true},
		{name: "more candidates", asked: changed(func(a *Asked) { a.Candidates = 4 }), vision: "v1", computed: true},
		{name: "another picture", asked: changed(func(a *Asked) {
			a.Inputs = map[analysis.Modality]string{analysis.Image: digestOf("other")}
		}), vision: "v1", computed: true},
		{name: "another model", asked: base, vision: "v2", computed: true},
		{name: "the model of before", asked: base, vision: "v1"},
		{name: "an answer by halves", asked: changed(func(a *Asked) { a.Question = "Half?" }), vision: "v1", degraded: true, computed: true},
		{name: "which is not remembered", asked: changed(func(a *Asked) { a.Question = "Half?" }), vision: "v1", computed: true},
		{name: "with the model's digest unknown", asked: base, computed: true},
	} {
		vision = test.vision
		want := &analysis.Result{Answers: []analysis.Candidate{{Text: "yes", Probability: 0.75}}, Modalities: []analysis.ModalityWeight{},
			Models: map[string]string{"text": text, "image": vision, "fusion": fusion}}
		if test.degraded {
			want.Degraded = []analysis.Degradation{{Modality: analysis.Image, Reason: "down"}}
		}
		computed := false
		for _, from := range []*Answers{open(), open()} { // the second process has it from Redis, if it has it
			got, err := from.Answer(context.Background(), &test.asked, func() (*analysis.Result, error) {
				computed = true
				return want, nil
			})
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: got %+v, %v, want %+v", test.name, got, err, want)
			}
			from.cache.Flush()
			if test.computed {
				break
			}
		}
		if computed != test.computed {
			t.Errorf("%s: computed is %v", test.name, computed)
		}
	}
}

func TestForgottenAnswersAreComputedAgain(t *testing.T) {
	model := "d"
	c := newCache(connect(t), DefaultOptions)
	answers := c.Answers(map[analysis.Modality]Digest{analysis.Text: digestIs(&model), analysis.Image: digestIs(&model)}, digestIs(&model))
	asked := &Asked{Question: "Is it red?", Inputs: map[analysis.Modality]string{analysis.Image: digestOf("picture")}}
	computed := 0
	ask := func() {
		t.Helper()
		if _, err := answers.Answer(context.Background(), asked, func() (*analysis.Result, error) {
			computed++
			return &analysis.Result{Answers: []analysis.Candidate{{Text: "yes", Probability: 1}}, Models: map[string]string{"text": "d", "image": "d", "fusion": "d"}}, nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	ask()
	ask()
	if computed != 1 {
		t.Errorf("computed %d times before", computed)
	}
	if err := c.Forget(context.Background(), []string{digestOf("picture")}); err != nil {
		t.Fatal(err)
	}
	ask()
	if computed != 2 {
		t.Errorf("computed %d times, want 2: the answer was not forgotten", computed)
	}
}

func TestRecentKeepsWhatIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r Recent[int]
		r.Put("used", 1)
		r.Put("left", 2)
		r.Put("dropped", 3)
		r.Drop("dropped")
		for range 4 {
			time.Sleep(recentPeriod) // of the bubble's clock
			synctest.Wait()
			if got, ok := r.Get("used"); !ok || got != 1 {
				t.Fatalf("what is used is %d, %v", got, ok)
			}
		}
		for _, key := range []string{"left", "dropped"} {
			if _, ok := r.Get(key); ok {
				t.Errorf("%s is still there", key)
			}
		}
		time.Sleep(2 * recentPeriod)
		synctest.Wait()
		if len(r.younger)+len(r.older) > 0 || r.turning {
			t.Errorf("a minute after the last use there are %v and %v", r.younger, r.older)
		}
		for i := range 3 * recentEntries {
			r.Put(string(rune(i)), i)
		}
		if n := len(r.younger) + len(r.older); n > 2*recentEntries {
			t.Errorf("%d entries", n)
		}
		r.Clear()
		time.Sleep(2 * recentPeriod)
	})
}

func TestAnswersOfRedisAreNotTrusted(t *testing.T) {
	models := map[string]string{"fusion": "f", "text": "t"}
	for value, want := range map[string]bool{
		`{"answers":[{"text":"yes","probability":0.75},{"text":"no","probability":0.25}],"models":{"fusion":"f","text":"t"}}`: true,
		``: false, `[]`: false, `{"answers":[],"models":{"fusion":"f","text":"t"}}`: false,
		`{"answers":[{"text":"yes","probability":0.75}],"models":{"fusion":"g","text":"t"}}`:                                             false,
		`{"answers":[{"text":"yes","probability":7}],"models":{"fusion":"f","text":"t"}}`:                                                false,
		`{"answers":[{"text":"no","probability":0.25},{"text":"yes","probability":0.75}],"models":{"fusion":"f","text":"t"}}`:            false,
		`{"answers":[{"text":"yes","probability":1}],"models":{"fusion":"f","text":"t"},"degraded":[{"modality":"image","reason":"x"}]}`: false,
	} {
		if got := decodeAnswer([]byte(value), models) != nil; got != want {
			t.Errorf("%s is an answer: %v", value, got)
		}
	}
}
