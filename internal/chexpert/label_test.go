package chexpert

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
)

// sentences are written for this test, in the way of reports.
var sentences = []struct {
	text string
	want map[string]Class
}{
	{"No pleural effusion or pneumothorax.", map[string]Class{PleuralEffusion: Negative, Pneumothorax: Negative}},
	{"There is consolidation in the right lower lobe", map[string]Class{Consolidation: Positive}},
	{"Bilateral opacities without effusion", map[string]Class{LungOpacity: Positive, PleuralEffusion: Negative}},
	{"No effusion, but there is atelectasis at the left base", map[string]Class{PleuralEffusion: Negative, Atelectasis: Positive}},
	{"Pneumonia cannot be excluded", map[string]Class{Pneumonia: Uncertain}},
	{"The findings may represent edema", map[string]Class{Edema: Uncertain}},
	{"Suspicious for pneumonia", map[string]Class{Pneumonia: Uncertain}},
	{"Heart size is normal", map[string]Class{Cardiomegaly: Negative}},
	{"The heart is not enlarged", map[string]Class{Cardiomegaly: Negative}},
	{"The heart is mildly enlarged", map[string]Class{Cardiomegaly: Positive}},
	{"Cardiomegaly", map[string]Class{Cardiomegaly: Positive}},
	{"Normal mediastinal contours", map[string]Class{EnlargedCardiomediastinum: Negative}},
	{"The lungs are clear", map[string]Class{LungOpacity: Negative}},
	{"The consolidation has resolved", map[string]Class{Consolidation: Negative}},
	{"No significant change of the consolidation", map[string]Class{Consolidation: Positive}},
	{"Effusion: not found in the image (probability 0.10, threshold 0.26).", map[string]Class{PleuralEffusion: Negative}},
	{"Pneumonia: present in the image (probability 0.91, threshold 0.56).", map[string]Class{Pneumonia: Positive}},
	{"A nasogastric tube is in place", map[string]Class{SupportDevices: Positive}},
	{"The right heart border is lost", map[string]Class{}},
	{"Air-space disease on both sides", map[string]Class{LungOpacity: Positive}},
	{"No evidence of acute edema and/or infiltrate", map[string]Class{Edema: Negative, LungOpacity: Negative}},
	{"Blunting of the left costophrenic angle", map[string]Class{PleuralEffusion: Positive}},
	{"Fever for three days", map[string]Class{}},
	{"", map[string]Class{}},
}

func TestLabel(t *testing.T) {
	for _, c := range sentences {
		if got := Own.Label(c.text); !maps.Equal(got, c.want) {
			t.Errorf("%q: %v, want %v", c.text, got, c.want)
		}
	}
}

func TestReport(t *testing.T) {
	for name, c := range map[string]struct {
		report []string
		want   map[string]Class
	}{
		"nothing":           {nil, map[string]Class{NoFinding: Positive}},
		"only negatives":    {[]string{"No effusion", "Heart size normal"}, map[string]Class{NoFinding: Positive, PleuralEffusion: Negative, Cardiomegaly: Negative}},
		"a device":          {[]string{"Tube in place"}, map[string]Class{NoFinding: Positive, SupportDevices: Positive}},
		"the strongest":     {[]string{"No effusion", "Possible effusion", "Small effusion"}, map[string]Class{PleuralEffusion: Positive}},
		"what is uncertain": {[]string{"Possible edema"}, map[string]Class{Edema: Uncertain}},
	} {
		if got := Own.Report(c.report); !maps.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestPublished reads the published lists and holds them against the sentences above, but for what only one of the two
// lists takes for a mention.
func TestPublished(t *testing.T) {
	data := os.Getenv("CONSILIUM_DATA")
	if data == "" {
		t.Skip("the published phrases lie in the data folder that CONSILIUM_DATA names")
	}
	l, err := ReadPublished(filepath.Join(data, "kg"))
	if err != nil {
		t.Fatal(err)
	}
	same, all := 0, 0
	for _, c := range sentences {
		got := l.Label(c.text)
		for o, class := range c.want {
			if all++; got[o] == class {
				same++
			} else {
				t.Logf("%q: %s is %s to the published phrases, want %s", c.text, o, got[o], class)
			}
		}
	}
	if same < all*8/10 {
		t.Errorf("%d of %d classes as expected", same, all)
	}
	if _, err := ReadPublished(t.TempDir()); err == nil {
		t.Error("an empty folder was read")
	}
}
