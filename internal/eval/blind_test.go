package eval

import (
	"slices"
	"testing"

	"consilium/internal/dataset"
	"consilium/internal/tensor"
)

// TestBlindFloors answers four questions by hand: two directions, of which one was asked four times and one three
// times, and an open question whose answer occurs once.
func TestBlindFloors(t *testing.T) {
	train := blindSet{}
	add := func(s *blindSet, text, answer string, closed bool, v ...float32) {
		s.questions = append(s.questions, dataset.RadQuestion{Text: text, Answer: answer, Closed: closed})
		s.vectors = append(s.vectors, v)
	}
	for _, answer := range []string{"no", "no", "no", "yes"} {
		add(&train, "a?", answer, true, 1, 0)
	}
	for range 3 {
		add(&train, "b?", "yes", true, 0, 1)
	}
	add(&train, "where?", "left", false, -1, 0)
	var test blindSet
	add(&test, "a?", "no", true, 1, 0)
	add(&test, "a, is it?", "yes", true, 0.8, 0.6)
	add(&test, "b?", "yes", true, 0, 1)
	add(&test, "where then?", "left", false, -0.8, -0.6)

	if got, want := majority(train, test), []string{"yes", "yes", "yes", "left"}; !slices.Equal(got, want) {
		t.Errorf("majority %v, want %v", got, want)
	}
	if got, want := nearest(train, test), []string{"no", "no", "yes", "left"}; !slices.Equal(got, want) {
		t.Errorf("nearest %v, want %v", got, want)
	}
	engine := tensor.NewEngine(tensor.Options{Device: tensor.CPU, Threads: 1})
	defer engine.Close()
	classified, err := classify(t.Context(), engine, train, 1e-3, test)
	if err != nil {
		t.Fatal(err)
	}
	if got := classified[0][:3]; !slices.Equal(got, []string{"no", "yes", "yes"}) || classified[0][3] == "left" {
		t.Errorf("classifier %v", classified[0])
	}
	got := map[string]Figure{}
	figures, blind := blindFigures("", train, test, classified[0])
	if !slices.Equal(blind.closed, classified[0]) || blind.open[3] != "left" {
		t.Errorf("the better answers are %+v", blind)
	}
	for _, f := range figures {
		got[f.Metric] = f
	}
	for metric, want := range map[string]Figure{
		"closed-question-only": {Value: 1, Floor: 2. / 3, N: 3},
		"open-question-only":   {Value: 1, Floor: 1, N: 1},
	} {
		if f := got[metric]; f.Value != want.Value || f.Floor != want.Floor || f.N != want.N {
			t.Errorf("%s: %+v, want %+v", metric, f, want)
		}
	}
	if _, err := classify(t.Context(), engine, blindSet{}, 1, test); err == nil {
		t.Error("a classifier of nothing was fitted")
	}
}
