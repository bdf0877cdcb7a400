package main

import (
	"strings"
	"testing"
)

func TestTrainNamesWhatIsWrong(t *testing.T) {
	data := t.TempDir()
	for args, want := range map[string]string{
		"":                          "usage: consilium train audio|",
		"-seed 1":                   "usage: consilium train",
		"vqa now":                   "usage: consilium train",
		"dance":                     `no recipe "dance"; there are audio`,
		"none.recipe":               "none.recipe",
		"audio -set steps":          `override "steps", want key=value`,
		"audio -set sped=2":         `unknown key "sped"; known are`,
		"audio -set epochs=-1":      `epochs = "-1": want a whole number from 0`,
		"audio -device abacus":      "abacus",
		"audio -world 2":            "-world 2 without -peers",
		"audio -out " + data + "/w": data,
	} {
		var out strings.Builder
		getenv := func(name string) string { return map[string]string{"CONSILIUM_DATA": data + "/none"}[name] }
		err := run(t.Context(), append([]string{"train"}, strings.Fields(args)...), getenv, &out, &out)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("consilium train %s: %v, want %q", args, err, want)
		}
	}
	var out strings.Builder
	err := run(t.Context(), []string{"train", "audio"}, func(string) string { return "" }, &out, &out)
	if err == nil || !strings.Contains(err.Error(), "CONSILIUM_DATA is not set") {
		t.Errorf("got %v", err)
	}
}
