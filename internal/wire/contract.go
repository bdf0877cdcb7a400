package wire

import "consilium/internal/analysis"

// Names of the models in the protocol.
const (
	TextModel   = "text"
	VisionModel = "vision"
	// RadiographModel is served by the vision encoder's process as well.
	RadiographModel = "radiograph"
	AudioModel      = "audio"
	FusionModel     = "fusion"
)

// maxItems is how many items one request to an encoder may hold, above the limits that the encoders have of their
// own, so that theirs decide.
const maxItems = 256

// Sizes of the vectors that package analysis promises; the size of a sound's vector is the encoder's choice.
const (
	textDim  = 384
	imageDim = 1280
)

const (
	maxResponseBytes = 64 << 20
	// maxHeaderBytes bounds the JSON in front of binary tensors.
	maxHeaderBytes = 64 << 10
	// maxFaultBytes bounds an error's JSON.
	maxFaultBytes = 16 << 10
)

// priorityParameter is the protocol's: 0 is the model's own priority, 1 the highest. From bulkPriority on a request lets
// others go first.
const (
	priorityParameter = "priority"
	bulkPriority      = 2
)

// contract is what server and client of one model agree on.
type contract struct {
	model string
	// part is the model's part of the platform in words, for messages.
	part            string
	modality        analysis.Modality
	inputs, outputs []Spec
	// flags and numbers are the names of the parameters that a request may carry.
	flags, numbers []string
	// maxRows bounds every first dimension that a Spec leaves open.
	maxRows int
	// maxRequestBytes bounds the body of a request.
	maxRequestBytes int64
}

var textContract = &contract{
	model: TextModel, part: "text encoder", modality: analysis.Text,
	inputs: []Spec{{Name: "text", Datatype: BYTES, Shape: []int{-1}}},
	outputs: []Spec{
		{Name: "embedding", Datatype: FP32, Shape: []int{-1, textDim}},
		{Name: "tokens", Datatype: FP32, Shape: []int{-1, -1, textDim}},
		{Name: "lengths", Datatype: INT64, Shape: []int{-1}},
		{Name: "notes", Datatype: BYTES, Shape: []int{-1}},
	},
	flags: []string{"strict"}, maxRows: maxItems, maxRequestBytes: 8 << 20,
}

var (
	visionContract     = pictureContract(VisionModel, "vision encoder")
	radiographContract = pictureContract(RadiographModel, "radiograph encoder")
)

func pictureContract(model, part string) *contract {
	return &contract{
		model: model, part: part, modality: analysis.Image,
		inputs: []Spec{{Name: "image", Datatype: BYTES, Shape: []int{-1}, base64: true}},
		outputs: []Spec{
			{Name: "embedding", Datatype: FP32, Shape: []int{-1, imageDim}},
			{Name: "tokens", Datatype: FP32, Shape: []int{-1, -1, imageDim}},
			{Name: "grid", Datatype: INT64, Shape: []int{-1, 2}},
			{Name: "notes", Datatype: BYTES, Shape: []int{-1}},
		},
		maxRows: maxItems, maxRequestBytes: 68 << 20,
	}
}

var audioContract = &contract{
	model: AudioModel, part: "audio encoder", modality: analysis.Audio,
	inputs: []Spec{{Name: "audio", Datatype: BYTES, Shape: []int{-1}, base64: true}},
	outputs: []Spec{
		{Name: "embedding", Datatype: FP32, Shape: []int{-1, -1}},
		{Name: "tokens", Datatype: FP32, Shape: []int{-1, -1, -1}},
		{Name: "lengths", Datatype: INT64, Shape: []int{-1}},
		{Name: "seconds", Datatype: FP32, Shape: []int{-1}},
		{Name: "notes", Datatype: BYTES, Shape: []int{-1}},
	},
	flags: []string{"strict"}, maxRows: maxItems, maxRequestBytes: 68 << 20,
}

var fusionContract = &contract{
	model: FusionModel, part: "fusion",
	inputs: append([]Spec{
		{Name: "task", Datatype: BYTES, Shape: []int{-1}},
		{Name: "image_grid", Datatype: INT64, Shape: []int{-1, 2}, optional: true},
	}, roleSpecs()...),
	outputs: []Spec{
		{Name: "answer", Datatype: BYTES, Shape: []int{-1}},
		{Name: "probability", Datatype: FP32, Shape: []int{-1}},
		{Name: "finding", Datatype: BYTES, Shape: []int{-1}},
		{Name: "finding_probability", Datatype: FP32, Shape: []int{-1}},
		{Name: "finding_threshold", Datatype: FP32, Shape: []int{-1}},
		{Name: "finding_present", Datatype: BOOL, Shape: []int{-1}},
		{Name: "finding_modality", Datatype: BYTES, Shape: []int{-1}},
		{Name: "modality", Datatype: BYTES, Shape: []int{-1}},
		{Name: "weight", Datatype: FP32, Shape: []int{-1}},
		{Name: "entropy", Datatype: FP32, Shape: []int{-1}},
		{Name: "attention", Datatype: FP32, Shape: []int{-1, -1}, optional: true},
		// One grid for each finding whose modality is image, in their order.
		{Name: "finding_activation", Datatype: FP32, Shape: []int{-1, -1, -1}, optional: true},
		// Of several results: how many answers, findings, modalities, rows of attention and grids of activation are of each.
		{Name: "counts", Datatype: INT64, Shape: []int{-1, countKinds}, optional: true},
	},
	numbers: []string{"candidates"}, maxRows: analysis.MaxFuseRequests * analysis.MaxAnswers, maxRequestBytes: 16 << 20,
}

// roleSpecs are the inputs of each role. Several sets of tokens lie behind one another, as …_lengths says, and …_rows says which
// set each request takes.
func roleSpecs() (specs []Spec) {
	for _, role := range roles {
		specs = append(specs,
			Spec{Name: role.prefix + "_embedding", Datatype: FP32, Shape: []int{-1, -1}, optional: true},
			Spec{Name: role.prefix + "_tokens", Datatype: FP32, Shape: []int{1, -1, -1}, optional: true},
			Spec{Name: role.prefix + "_lengths", Datatype: INT64, Shape: []int{-1}, optional: true},
			Spec{Name: role.prefix + "_rows", Datatype: INT64, Shape: []int{-1}, optional: true})
	}
	return specs
}
