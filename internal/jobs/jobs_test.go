package jobs

import (
	"reflect"
	"testing"
	"time"
)

func TestRight(t *testing.T) {
	for _, test := range []struct {
		answer, label string
		want          bool
	}{
		{"red", "red", true},
		{" Red ", "red", true},
		{"red", "blue|RED", true},
		{"red", "blue", false},
		{"red", "", false},
		{"pneumonia", "Pneumonia|Effusion", true},
		{"Pneumonia|Effusion", "Pneumonia|Effusion", false}, // an answer is one value
	} {
		if got := Right(test.answer, test.label); got != test.want {
			t.Errorf("%q for %q is right: %v", test.answer, test.label, got)
		}
	}
}

func TestKnown(t *testing.T) {
	question, finding := &Options{}, &Options{Finding: "pneumonia", Positive: []string{"Pneumonia", "covid"}}
	for _, test := range []struct {
		options     *Options
		label, want string
	}{
		{question, "Red|blue", "Red|blue"},
		{finding, "COVID", Present},
		{finding, "Effusion|Pneumonia", Present},
		{finding, "No Finding", Absent},
	} {
		if got := test.options.Known(test.label); got != test.want {
			t.Errorf("%q is known as %q, want %q", test.label, got, test.want)
		}
	}
}

func TestSummarise(t *testing.T) {
	got := Summarise([]LabelScore{{"Red", 2, 1}, {"blue", 4, 4}, {"red ", 3, 0}})
	want := &Evaluation{Cases: 9, Correct: 5, Majority: 5.0 / 9, MajorityLabel: "red", Labels: []LabelScore{{"red", 5, 1}, {"blue", 4, 4}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the summary is %+v, want %+v", got, want)
	}
	if none := Summarise(nil); none.Accuracy() != 0 || none.Majority != 0 || none.Labels == nil {
		t.Errorf("of nothing it is %+v", none)
	}
}

func TestRemaining(t *testing.T) {
	job := &Job{State: Running, Rate: 2, Counts: Counts{Queued: 9, Running: 1}}
	if left, ok := job.Remaining(); !ok || left != 5*time.Second {
		t.Errorf("%v %v are left", left, ok)
	}
	job.State = Paused
	if _, ok := job.Remaining(); ok {
		t.Error("a paused job has an end")
	}
}
