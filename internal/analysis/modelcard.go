package analysis

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// How the logits of a model become probabilities.
const (
	// MultiLabel: each label is judged for itself, by the logistic function.
	MultiLabel = "multi-label"
	// OneOf: the labels exclude one another; their probabilities, the softmax, sum to 1.
	OneOf = "one-of"
)

// The formats of weights.
const (
	// TorchScript is an archive of torch.jit.save. The module takes (1, channels, height, width) and, with the
	// modality text, (1, TextDim), both float32, and returns logits (1, labels).
	TorchScript = "torchscript"
	// Safetensors is the state of an architecture that the platform knows.
	Safetensors = "safetensors"
)

// EfficientNetLite0 is the architecture whose state safetensors may hold: the names of the PyTorch package
// efficientnet_lite0, with a head "_fc" of one output for each label.
const EfficientNetLite0 = "efficientnet-lite0"

// SchemeCentred is the normalisation (v - 127) / 128 of the values 0 to 255.
const SchemeCentred = "(x-127)/128"

// TextDim is the size of the vector of a note.
const TextDim = 384

// The bounds of a card.
const (
	MaxCardLabels  = 256
	MaxLabelLength = 100 // bytes of UTF-8
	MaxCardText    = 2000
	MinInputSide   = 8
	MaxInputSide   = 1024
)

// ModelCard is what a user says about weights.
type ModelCard struct {
	Name         string      `json:"name"`
	Description  string      `json:"description,omitempty"`
	Task         string      `json:"task"` // MultiLabel or OneOf
	Labels       []CardLabel `json:"labels"`
	Modalities   []Modality  `json:"modalities"` // Image, or Image and Text
	Input        CardInput   `json:"input"`
	Licence      string      `json:"licence"`
	SHA256       string      `json:"sha256"` // of the weights, in lower-case hex
	Format       string      `json:"format"` // TorchScript or Safetensors
	Architecture string      `json:"architecture,omitempty"`
}

// CardLabel is one label, in the order of the logits.
type CardLabel struct {
	Name string `json:"name"`
	// Threshold is the probability from which the label counts as present.
	Threshold float64 `json:"threshold"`
}

// CardInput is the picture that a model wants.
type CardInput struct {
	Height        int           `json:"height"`
	Width         int           `json:"width"`
	Channels      int           `json:"channels"` // 1 (grey) or 3 (red, green, blue)
	Normalisation Normalisation `json:"normalisation"`
}

// Normalisation makes inputs of pixels: a named scheme, or (v / 255 - mean) / std for each channel.
type Normalisation struct {
	Scheme string    `json:"scheme,omitempty"`
	Mean   []float64 `json:"mean,omitempty"`
	Std    []float64 `json:"std,omitempty"`
}

// Affine returns scale and offset of each channel: a value v of 0 to 255 becomes v * scale + offset.
func (in *CardInput) Affine() (scale, offset []float32) {
	scale, offset = make([]float32, in.Channels), make([]float32, in.Channels)
	for c := range in.Channels {
		if in.Normalisation.Scheme == SchemeCentred {
			scale[c], offset[c] = 1.0/128, -127.0/128
			continue
		}
		mean, std := in.Normalisation.Mean[c], in.Normalisation.Std[c]
		scale[c], offset[c] = float32(1/(255*std)), float32(-mean/std)
	}
	return scale, offset
}

// Reads reports whether the model reads a modality.
func (c *ModelCard) Reads(m Modality) bool { return slices.Contains(c.Modalities, m) }

var (
	modelName   = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$`)
	sha256Name  = regexp.MustCompile(`^[0-9a-f]{64}$`)
	printedText = regexp.MustCompile(`^[^\p{Cc}]*$`)
)

// reservedName begins the names of the platform's own models.
const reservedName = "consilium"

// Validate returns an InvalidArgument error that names the first field at fault, below "card".
func (c *ModelCard) Validate() error {
	switch {
	case !modelName.MatchString(c.Name):
		return wanted("card.name", "1 to 64 characters of a-z, 0-9, . _ and -, with a letter or digit at either end", c.Name)
	case strings.HasPrefix(c.Name, reservedName):
		return wanted("card.name", "a name that does not begin with "+reservedName, c.Name)
	case c.Task != MultiLabel && c.Task != OneOf:
		return wanted("card.task", MultiLabel+" or "+OneOf, c.Task)
	}
	for _, check := range []func() error{c.checkTexts, c.checkLabels, c.checkModalities, c.checkInput, c.checkFormat} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (c *ModelCard) checkTexts() error {
	if strings.TrimSpace(c.Licence) == "" {
		return Invalid("card.licence", "the field is missing: say under which licence the weights may be used")
	}
	if err := ValidateText("card.licence", c.Licence, MaxLabelLength); err != nil {
		return err
	}
	if !printedText.MatchString(c.Licence) {
		return Invalid("card.licence", "the text holds a control character")
	}
	return ValidateText("card.description", c.Description, MaxCardText)
}

func (c *ModelCard) checkLabels() error {
	least := 1
	if c.Task == OneOf {
		least = 2
	}
	if n := len(c.Labels); n < least || n > MaxCardLabels {
		return wanted("card.labels", fmt.Sprintf("%d to %d labels for the task %s", least, MaxCardLabels, c.Task), fmt.Sprint(n))
	}
	seen := map[string]bool{}
	for i, label := range c.Labels {
		field := fmt.Sprintf("card.labels.%d.", i)
		if err := ValidateText(field+"name", label.Name, MaxLabelLength); err != nil {
			return err
		}
		switch folded := strings.ToLower(strings.TrimSpace(label.Name)); {
		case folded == "" || folded != strings.ToLower(label.Name) || !printedText.MatchString(label.Name):
			return wanted(field+"name", "a text without spaces at its ends or control characters", label.Name)
		case seen[folded]:
			return wanted(field+"name", "labels that differ", label.Name)
		default:
			seen[folded] = true
		}
		if !(label.Threshold > 0 && label.Threshold < 1) { // NaN is neither
			return wanted(field+"threshold", "more than 0 and less than 1", fmt.Sprint(label.Threshold))
		}
	}
	return nil
}

func (c *ModelCard) checkModalities() error {
	for i, m := range c.Modalities {
		if m != Image && m != Text || slices.Contains(c.Modalities[:i], m) {
			return wanted(fmt.Sprintf("card.modalities.%d", i), "image, or image and text", string(m))
		}
	}
	if !c.Reads(Image) {
		return wanted("card.modalities", "image, or image and text", fmt.Sprint(c.Modalities))
	}
	return nil
}

func (c *ModelCard) checkInput() error {
	for _, side := range []struct {
		name string
		size int
	}{{"height", c.Input.Height}, {"width", c.Input.Width}} {
		if side.size < MinInputSide || side.size > MaxInputSide {
			return wanted("card.input."+side.name, fmt.Sprintf("%d to %d pixels", MinInputSide, MaxInputSide), fmt.Sprint(side.size))
		}
	}
	if c.Input.Channels != 1 && c.Input.Channels != 3 {
		return wanted("card.input.channels", "1 or 3", fmt.Sprint(c.Input.Channels))
	}
	n := &c.Input.Normalisation
	const field = "card.input.normalisation"
	switch {
	case n.Scheme != "" && len(n.Mean)+len(n.Std) > 0:
		return Invalid(field, "it has both a scheme and mean or std, which contradict each other")
	case n.Scheme != "" && n.Scheme != SchemeCentred:
		return wanted(field+".scheme", SchemeCentred, n.Scheme)
	case n.Scheme != "":
		return nil
	case len(n.Mean)+len(n.Std) == 0:
		return Invalid(field, "the field is missing: give mean and std, or the scheme %s", SchemeCentred)
	}
	for _, list := range []struct {
		name        string
		values      []float64
		least, most float64
	}{{"mean", n.Mean, -100, 100}, {"std", n.Std, 1e-4, 100}} {
		if len(list.values) != c.Input.Channels {
			return wanted(field+"."+list.name, fmt.Sprintf("%d values, one for each channel", c.Input.Channels), fmt.Sprintf("%d values", len(list.values)))
		}
		for i, v := range list.values {
			if !(v >= list.least && v <= list.most) {
				return wanted(fmt.Sprintf("%s.%s.%d", field, list.name, i), fmt.Sprintf("%v to %v, on values of 0 to 1", list.least, list.most), fmt.Sprint(v))
			}
		}
	}
	return nil
}

func (c *ModelCard) checkFormat() error {
	switch {
	case !sha256Name.MatchString(c.SHA256):
		return wanted("card.sha256", "64 characters of lower-case hex", c.SHA256)
	case c.Format != TorchScript && c.Format != Safetensors:
		return wanted("card.format", TorchScript+" or "+Safetensors, c.Format)
	case c.Format == TorchScript && c.Architecture != "":
		return wanted("card.architecture", "none: a TorchScript module holds its own", c.Architecture)
	case c.Format == TorchScript:
		return nil
	case c.Architecture != EfficientNetLite0:
		return wanted("card.architecture", EfficientNetLite0+" for the format safetensors", c.Architecture)
	case c.Reads(Text):
		return wanted("card.modalities", "image, which is all that "+EfficientNetLite0+" reads", "image and text")
	case c.Input.Height != 224 || c.Input.Width != 224 || c.Input.Channels != 3:
		return wanted("card.input", "3 x 224 x 224, the input of "+EfficientNetLite0, fmt.Sprintf("%d x %d x %d", c.Input.Channels, c.Input.Height, c.Input.Width))
	}
	return nil
}

// wanted is an error about a field with what was wanted and what was found.
func wanted(field, want, found string) error {
	e := Invalid(field, "the value is not one that a model card may have")
	if found == "" {
		e.Message = "the field is missing"
	}
	e.Limit, e.Value = want, clipped(found)
	return e
}

// clipped shortens what is shown back to whoever sent it.
func clipped(s string) string {
	const most = 64
	if s = strings.ToValidUTF8(s, "\uFFFD"); len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
