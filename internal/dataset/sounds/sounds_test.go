package sounds

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadDataFolder(t *testing.T) {
	folder := os.Getenv("CONSILIUM_DATA")
	if folder == "" {
		t.Skip("CONSILIUM_DATA is not set: the recordings are only in the data folder")
	}
	clips, err := Read(folder)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, c := range clips {
		kind := c.Label
		if c.IsDigit() {
			kind = "digit"
		}
		counts[kind+" "+c.Split]++
	}
	for kind, want := range map[string]int{"digit train": 2100, "digit val": 150, "digit test": 250,
		"cough train": 541, "cough val": 117, "cough test": 84, "dog bark train": 8, "rooster test": 2} {
		if counts[kind] != want {
			t.Errorf("%d clips of %s, want %d", counts[kind], kind, want)
		}
	}
	labels := Labels(clips)
	if len(labels) != 21 || labels[0] != "0" || labels[9] != "9" {
		t.Errorf("labels %v", labels)
	}
}

func TestReadSplitsDigits(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, "audio/metadata.csv", "file,task,label,split\ncough/a.wav,cough_covid,1,val\nesc10/b.wav,environment,dog_bark,test\n")
	for _, name := range []string{"3_ann_0", "3_ann_4", "3_ann_5", "3_ann_7", "3_ann_8", "3_ann_49"} {
		write(t, folder, "audio/fsdd_full/"+name+".wav", "")
	}
	clips, err := Read(folder)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range clips {
		got = append(got, strings.TrimSuffix(filepath.Base(c.Path), ".wav")+" "+c.Label+" "+c.Split)
	}
	want := "3_ann_0 3 test, 3_ann_4 3 test, 3_ann_49 3 train, 3_ann_5 3 val, 3_ann_7 3 val, 3_ann_8 3 train, a cough val, b dog bark test"
	if strings.Join(got, ", ") != want {
		t.Errorf("got %v", got)
	}
	if clips[0].Digit() != 3 || clips[6].Digit() != -1 {
		t.Errorf("digits %d and %d", clips[0].Digit(), clips[6].Digit())
	}
}

func TestReadNamesWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ file, content, want string }{
		{"audio/fsdd_full/x.wav", "", "x.wav"},
		{"audio/fsdd_full/3_ann_q.wav", "", "3_ann_q.wav"},
		{"audio/fsdd_full/readme.txt", "", "no WAV"},
		{"audio/metadata.csv", "", "spoken digits"},
		{"audio/fsdd_full/3_ann_1.wav", "", "metadata.csv"},
	} {
		folder := t.TempDir()
		write(t, folder, c.file, c.content)
		if _, err := Read(folder); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.file, err, c.want)
		}
	}
}

func write(t *testing.T, folder, name, content string) {
	t.Helper()
	path := filepath.Join(folder, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
