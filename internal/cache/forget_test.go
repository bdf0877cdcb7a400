package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"consilium/internal/analysis"
)

// remaining returns the entries that are stored, and the marks of what was forgotten.
func remaining(t *testing.T, client *redis.Client) (entries, marks []string) {
	t.Helper()
	keys, err := client.Keys(context.Background(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(keys)
	for _, key := range keys {
		if strings.HasPrefix(key, "consilium:gone:") {
			marks = append(marks, key)
		} else {
			entries = append(entries, key)
		}
	}
	return entries, marks
}

func digestOf(input string) string {
	sum := sha256.Sum256([]byte(input))
	return hex.EncodeToString(sum[:])
}

func TestForgetRemovesEverythingOfAnInput(t *testing.T) {
	ctx := context.Background()
	client := connect(t)
	m := &model{digest: "d"}
	c := newCache(client, DefaultOptions)
	vision, fuser := c.VisionEncoder(m, m.Digest), c.Fuser(m, m.Digest)
	var features []*analysis.Features
	for _, input := range []string{"mine", "theirs"} {
		made, err := vision.EncodeImage(ctx, [][]byte{[]byte(input)})
		if err != nil {
			t.Fatal(err)
		}
		features = append(features, made[0])
		shuffled := *made[0]
		shuffled.Tokens = []float32{4, 3, 2, 1}
		for _, f := range []*analysis.Features{made[0], &shuffled} {
			if _, err := analysis.FuseOne(ctx, fuser, &analysis.FuseRequest{Task: analysis.Report, Image: f}); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.Flush()
	if entries, _ := remaining(t, client); len(entries) != 8 { // features, two results and the index, twice
		t.Fatalf("stored %v", entries)
	}
	if err := c.Forget(ctx, []string{digestOf("mine"), digestOf("never seen")}); err != nil {
		t.Fatal(err)
	}
	entries, marks := remaining(t, client)
	if len(entries) != 4 || !slices.Contains(entries, indexKey(digestOf("theirs"))) || len(marks) != 2 {
		t.Errorf("after forgetting: %v, %v", entries, marks)
	}

	// A request that had the input in hand stores nothing anew.
	if _, err := vision.EncodeImage(ctx, [][]byte{[]byte("mine")}); err != nil {
		t.Fatal(err)
	}
	if _, err := analysis.FuseOne(ctx, fuser, &analysis.FuseRequest{Task: analysis.Report, Image: features[0], Candidates: 2}); err != nil {
		t.Fatal(err)
	}
	c.Flush()
	for _, key := range entries {
		if strings.HasPrefix(key, "consilium:of:") {
			continue
		}
		if n, err := client.Exists(ctx, key).Result(); err != nil || n != 1 {
			t.Errorf("%s of the other input is gone: %v", key, err)
		}
	}
	after, _ := remaining(t, client)
	after = slices.DeleteFunc(after, func(key string) bool { return key == indexKey(digestOf("mine")) })
	if !slices.Equal(after, entries) {
		t.Errorf("stored anew: %v, want %v", after, entries)
	}
	for _, mark := range marks {
		if ttl, err := client.TTL(ctx, mark).Result(); err != nil || ttl <= 0 || ttl > goneTTL {
			t.Errorf("%s stays for %v: %v", mark, ttl, err)
		}
	}
}

// TestWhatIsBeingWrittenIsForgottenToo forgets inputs as soon as their features are made.
func TestWhatIsBeingWrittenIsForgottenToo(t *testing.T) {
	ctx := context.Background()
	client := connect(t)
	m := &model{digest: "d"}
	c := newCache(client, DefaultOptions)
	vision := c.VisionEncoder(m, m.Digest)
	for i := range 20 {
		mine := fmt.Sprint("mine ", i)
		if _, err := vision.EncodeImage(ctx, [][]byte{[]byte("theirs"), []byte(mine), []byte("a third " + mine)}); err != nil {
			t.Fatal(err)
		}
		if err := c.Forget(ctx, []string{digestOf(mine)}); err != nil {
			t.Fatal(err)
		}
		m.inputs.Store(0)
		if entries, _ := remaining(t, client); slices.Contains(entries, indexKey(digestOf(mine))) {
			t.Fatalf("turn %d: stored after it was forgotten: %v", i, entries)
		}
		if _, err := vision.EncodeImage(ctx, [][]byte{[]byte("theirs"), []byte(mine)}); err != nil || m.inputs.Load() != 1 {
			t.Fatalf("turn %d: %d inputs were encoded, %v, want the forgotten one", i, m.inputs.Load(), err)
		}
	}
	c.Flush()
	entries, _ := remaining(t, client)
	entries = slices.DeleteFunc(entries, func(key string) bool { return strings.HasPrefix(key, "consilium:of:") })
	if len(entries) != 21 { // theirs, and the third of each turn
		t.Errorf("%d entries are left, want 21", len(entries))
	}
}

func TestForgetFailsWithoutItsRedis(t *testing.T) {
	client, err := Connect("redis://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := newCache(client, DefaultOptions).Forget(context.Background(), []string{digestOf("x")}); analysis.CodeOf(err) != analysis.Unavailable {
		t.Errorf("got %v, want unavailable", err)
	}
	if err := newCache(nil, DefaultOptions).Forget(context.Background(), []string{digestOf("x")}); err != nil {
		t.Errorf("no Redis is no error, got %v", err)
	}
}
