package jobs

import (
	"fmt"
	"slices"
	"strings"

	"consilium/internal/analysis"
)

// Check returns an InvalidArgument error that names the first field that does not fit the task.
func (r *Request) Check() error {
	if err := r.Filter.Validate("filter"); err != nil {
		return err
	}
	o := &r.Options
	given := []struct {
		field string
		set   bool
		tasks []Task
	}{
		{"questions", len(o.Questions) > 0, []Task{Questions, Evaluate}},
		{"candidates", o.Candidates != 0, []Task{Questions}},
		{"review_below", o.ReviewBelow != nil, []Task{Questions}},
		{"strict", o.Strict, []Task{Questions, Report, Evaluate}},
		{"degraded", o.Whole, []Task{Questions, Report, Evaluate}},
		{"model", o.Model != "", []Task{Report, Evaluate}},
		{"artefact_ids", len(o.Artefacts) > 0, []Task{Questions, Report}},
		{"modalities", len(o.Modalities) > 0, []Task{Embed}},
		{"finding", o.Finding != "", []Task{Evaluate}},
		{"positive", len(o.Positive) > 0, []Task{Evaluate}},
		{"label", o.Label != "", []Task{Evaluate}},
		{"expected", len(o.Expected) > 0, []Task{Evaluate}},
	}
	for _, g := range given {
		if g.set && !slices.Contains(g.tasks, r.Task) {
			e := analysis.Invalid("options."+g.field, "a job of this task has no such option")
			e.Limit, e.Value = tasks(g.tasks), string(r.Task)
			return e
		}
	}
	if len(o.Artefacts) > 0 && len(r.Filter.IDs) != 1 {
		e := analysis.Invalid("options.artefact_ids", "artefacts are of one study, which the filter has to name")
		e.Limit, e.Value = "1 id in filter.ids", fmt.Sprintf("%d ids", len(r.Filter.IDs))
		return e
	}
	for i, question := range o.Questions {
		field := fmt.Sprintf("options.questions.%d", i)
		if strings.TrimSpace(question) == "" {
			return analysis.Invalid(field, "a question needs text")
		}
		if err := analysis.ValidateText(field, question, analysis.MaxQuestionBytes); err != nil {
			return err
		}
	}
	switch r.Task {
	case Questions:
		if len(o.Questions) == 0 {
			return analysis.Invalid("options.questions", "the field is missing")
		}
	case Evaluate:
		return o.checkEvaluation()
	}
	return nil
}

func (o *Options) checkEvaluation() error {
	switch {
	case len(o.Questions) == 0 && o.Finding == "":
		return analysis.Invalid("options", "an evaluation needs one question or a finding")
	case len(o.Questions) > 0 && o.Finding != "":
		return analysis.Invalid("options.finding", "an evaluation is of a question or of a finding")
	case len(o.Questions) > 1:
		e := analysis.Invalid("options.questions", "an evaluation is of one question")
		e.Limit, e.Value = "1 item", fmt.Sprintf("%d items", len(o.Questions))
		return e
	case o.Model != "" && o.Finding == "":
		return analysis.Invalid("options.model", "a model that you brought judges findings and answers no questions")
	case (o.Finding != "") != (len(o.Positive) > 0):
		return analysis.Invalid("options.positive", "the labels that count as the finding's presence belong to a finding, and a finding needs them")
	case o.Label == "" && len(o.Expected) == 0:
		return analysis.Invalid("options", "an evaluation needs a label of the studies, or what is expected of each")
	case o.Label != "" && len(o.Expected) > 0:
		return analysis.Invalid("options.expected", "what is expected is a label of the studies or in the request, not both")
	}
	return nil
}

func tasks(list []Task) string {
	words := make([]string, len(list))
	for i, task := range list {
		words[i] = string(task)
	}
	return strings.Join(words, " or ")
}

// The words for whether a finding is there.
const (
	Present = "present"
	Absent  = "absent"
)

// Known returns what an evaluation compares with: the label as it is, or whether it stands for the finding.
func (o *Options) Known(label string) string {
	if o.Finding == "" {
		return label
	}
	if slices.ContainsFunc(o.Positive, func(p string) bool { return Right(p, label) }) {
		return Present
	}
	return Absent
}

// Right reports whether an answer is what a label says, or one of several that the label divides by |, but for case and
// surrounding space.
func Right(answer, label string) bool {
	for value := range strings.SplitSeq(label, "|") {
		if strings.EqualFold(strings.TrimSpace(answer), strings.TrimSpace(value)) {
			return true
		}
	}
	return false
}
