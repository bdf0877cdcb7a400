// Package sandbox runs models that users brought, each in a process of its own that can compute and nothing else.
//
// A TorchScript archive is a program, and libtorch's reader was not made for hostile ones: it can loop for ever, ask
// for all memory, read files, or end the process that runs it. So the process that runs it is not the encoder but a
// child (Enter), started from the same executable, without an environment. Before it looks at the archive it gives up
// what it does not need: memory beyond a limit, files, and every system call but those that computing takes (confine).
// The archive is then unpacked and packed anew, so that libtorch reads only what was looked at (repack), and a module
// whose forward reaches an operator beyond a list of plain computations is refused before it runs (operators). The
// parent holds the child to deadlines and believes nothing of what it says (Process).
package sandbox

import (
	"errors"
	"fmt"
	"strings"

	"consilium/internal/analysis"
)

// Spec is what the process of a model has to know of it.
type Spec struct {
	Format                  string // analysis.TorchScript or analysis.Safetensors
	Channels, Height, Width int
	Text                    int // values of the text vector, 0 if the model reads none
	Labels                  int
}

// SpecOf returns the spec of a card that was validated.
func SpecOf(card *analysis.ModelCard) Spec {
	s := Spec{Format: card.Format, Channels: card.Input.Channels, Height: card.Input.Height, Width: card.Input.Width, Labels: len(card.Labels)}
	if card.Reads(analysis.Text) {
		s.Text = analysis.TextDim
	}
	return s
}

// inputs is how many values one forward pass takes: those of the picture and behind them those of the text.
func (s *Spec) inputs() int { return s.Channels*s.Height*s.Width + s.Text }

// check refuses what no validated card gives: the process does not build on its parent's word alone.
func (s *Spec) check() error {
	sides := s.Height >= analysis.MinInputSide && s.Height <= analysis.MaxInputSide && s.Width >= analysis.MinInputSide && s.Width <= analysis.MaxInputSide
	if !sides || s.Channels < 1 || s.Channels > 3 || s.Text < 0 || s.Text > analysis.TextDim || s.Labels < 1 || s.Labels > analysis.MaxCardLabels {
		return fmt.Errorf("the spec %+v is out of bounds", *s)
	}
	return nil
}

// weightsField names the weights in errors, as the form's part is named.
const weightsField = "weights"

// refused is an error about the weights.
func refused(format string, args ...any) *analysis.Error {
	return analysis.Invalid(weightsField, format, args...)
}

// complaint is an error as it crosses from the child to the parent.
type complaint struct {
	Field   string `json:"field"`
	Message string `json:"message"`
	Limit   string `json:"limit,omitempty"`
	Value   string `json:"value,omitempty"`
}

func complaintOf(err error) complaint {
	var e *analysis.Error
	if errors.As(err, &e) {
		return complaint{e.Field, shown(e.Message), shown(e.Limit), shown(e.Value)}
	}
	return complaint{Field: weightsField, Message: shown(err.Error())}
}

func (c complaint) error() *analysis.Error {
	return &analysis.Error{Code: analysis.InvalidArgument, Field: shown(c.Field), Message: shown(c.Message), Limit: shown(c.Limit), Value: shown(c.Value)}
}

// shown makes text that a stranger may have written fit for one line of a message.
func shown(text string) string {
	const most = 400
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "\uFFFD")), " ")
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, text)
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
