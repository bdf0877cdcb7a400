package analysis

// Modality is one of the three kinds of content that an encoder understands.
type Modality string

// The modalities. Their order is the order of every per-modality tensor: text, image, audio.
const (
	Text  Modality = "text"
	Image Modality = "image"
	Audio Modality = "audio"
)

// Modalities lists every modality in tensor order.
var Modalities = []Modality{Text, Image, Audio}

// Valid reports whether m is one of Modalities.
func (m Modality) Valid() bool { return m == Text || m == Image || m == Audio }
