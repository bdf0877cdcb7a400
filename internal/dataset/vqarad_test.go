package dataset

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadVQARAD(t *testing.T) {
	data := os.Getenv("CONSILIUM_DATA")
	if data == "" {
		t.Skip("VQA-RAD needs the data folder that CONSILIUM_DATA names")
	}
	set, err := ReadVQARAD(data)
	if err != nil {
		t.Fatal(err)
	}
	type count struct{ questions, closed, images int }
	counts := map[string]count{}
	images, official := map[string]bool{}, map[string]map[string]bool{"train": {}, "test": {}}
	for _, q := range set {
		for _, split := range []string{q.Split, "official " + q.Official} {
			c := counts[split]
			c.questions++
			if q.Closed {
				c.closed++
			}
			if split == q.Split && !images[q.Image] {
				c.images++
			}
			counts[split] = c
		}
		if !images[q.Image] {
			if _, err := os.Stat(q.Image); err != nil {
				t.Error(err)
			}
		}
		images[q.Image], official[q.Official][q.Image] = true, true
	}
	for split, want := range map[string]count{
		"train": {2734, 1634, 0}, "val": {281, 183, 0}, "test": {175, 87, 15},
		"official train": {2782, 1661, 0}, "official test": {408, 243, 0},
	} {
		got := counts[split]
		if want.images == 0 {
			got.images = 0
		}
		if got != want {
			t.Errorf("%s: %+v, want %+v", split, got, want)
		}
	}
	shared := 0
	for image := range official["test"] {
		if official["train"][image] {
			shared++
		}
	}
	t.Logf("%d of the %d images of the official test are in the official train", shared, len(official["test"]))
	if len(images) != 284 || shared != 185 {
		t.Errorf("%d images, %d of them in both official splits", len(images), shared)
	}
}

func TestReadVQARADRefuses(t *testing.T) {
	good := `{"qid":1,"image":"images/a.jpg","question":"Is it?","answer":"Yes","answer_type":"CLOSED","split_official":"train","split_image":"test"}`
	for name, c := range map[string]struct{ content, want string }{
		"not JSON":         {"{", "line 1"},
		"nothing":          {"", "no questions"},
		"no answer":        {strings.Replace(good, "Yes", ".", 1), "line 1: want a question, an answer"},
		"outside":          {strings.Replace(good, "images/", "../", 1), "an image of the set"},
		"unknown type":     {strings.Replace(good, "CLOSED", "SHUT", 1), `answer_type "SHUT"`},
		"unknown split":    {strings.Replace(good, `:"test"`, `:"exam"`, 1), `split_image "exam"`},
		"unknown official": {strings.Replace(good, `:"train"`, `:"val"`, 1), `split_official "val"`},
		"leak":             {good + "\n" + strings.Replace(good, `:"test"`, `:"val"`, 1), "line 2: images/a.jpg is in test and in val"},
	} {
		folder := t.TempDir()
		path := filepath.Join(folder, "vqa", "vqa_rad", "qa.jsonl")
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(c.content), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadVQARAD(folder); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := ReadVQARAD(t.TempDir()); err == nil {
		t.Error("an empty folder was read")
	}
}

func TestNormaliseAnswer(t *testing.T) {
	for in, want := range map[string]string{"Yes": "yes", " X-ray. ": "x-ray", "Right  upper\tlobe": "right upper lobe", "5.6cm focal": "5.6cm focal"} {
		if got := NormaliseAnswer(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
