package dataset

import (
	"slices"
	"strings"
	"testing"
)

func TestBoxesAreRead(t *testing.T) {
	head := strings.TrimSpace(filmsHeader) + ",bboxes_xywh_rel\n"
	films, err := ReadFilms(writeFilms(t, head+
		`a,images/a.jpg,p2,test,PA,NIH,Pneumonia,,,,"[[""Pneumonia"", 0.5, 0.25, 0.25, 0.5], [""Edema"", 0, 0, 1, 1]]"`+"\n"+
		"b,images/b.jpg,p1,train,AP,NIH,No Finding,,,,\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Box{{"Pneumonia", 0.5, 0.25, 0.25, 0.5}, {"Edema", 0, 0, 1, 1}}
	if !slices.Equal(films[0].Boxes, want) || films[1].Boxes != nil {
		t.Fatalf("boxes %v and %v, want %v and none", films[0].Boxes, films[1].Boxes, want)
	}
	for point, in := range map[[2]float64]bool{{0.5, 0.25}: true, {0.74, 0.74}: true, {0.75, 0.5}: false, {0.6, 0.75}: false, {0.4, 0.5}: false} {
		if got := want[0].Holds(point[0], point[1]); got != in {
			t.Errorf("the box holds %v: %v", point, got)
		}
	}
	for _, bad := range []string{`[`, `{}`, `[["Pneumonia"]]`, `[["", 0, 0, 1, 1]]`, `[["a", 0, 0, 1, 7]]`, `[["a", 0, 0, 1, "1"]]`, `[["a", 0, 0, 1, 1, 1]]`} {
		if _, err := ReadFilms(writeFilms(t, head+"a,images/a.jpg,p2,test,PA,NIH,Pneumonia,,,,\""+strings.ReplaceAll(bad, `"`, `""`)+"\"\n")); err == nil || !strings.Contains(err.Error(), "film a") {
			t.Errorf("boxes %s: %v", bad, err)
		}
	}
}
