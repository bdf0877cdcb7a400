package train

import (
	"context"
	"io"
	"math/rand/v2"

	"consilium/internal/tensor"
	"consilium/internal/train/allreduce"
)

// A Task is what a recipe trains: a net, its examples and its loss. B is a batch in Go's memory.
type Task[B any] interface {
	// Random returns the generator that Draw and Shuffle will be given.
	Random(seed uint64) *rand.PCG
	// Pretrained returns the parameters to begin with; the others are drawn at random.
	Pretrained() (map[string]tensor.Raw, error)
	// Build makes the net of p. It may be called many times, and keeps no tensor but p's.
	Build(a *tensor.Arena, p *tensor.Params)
	// EpochLength is the number of draws in an epoch, 0 if there are no epochs.
	EpochLength() int
	// Shuffle orders the examples of the next epoch. It is called before the first draw of each.
	Shuffle(rng *rand.Rand)
	// Draw decides what batch number i of the run (of the epoch, if there are epochs) holds, and returns the function
	// that makes it, which may run beside others and while the net computes.
	Draw(rng *rand.Rand, i int) func() (B, error)
	// Loss returns the loss, a scalar, and what to print about it.
	Loss(a *tensor.Arena, batch B) (loss tensor.T, note string)
	// Validate measures the net on validation data and returns a figure that training is to raise. It may print to out.
	Validate(a *tensor.Arena, out io.Writer) float64
	// Metadata is what the weights' file says besides the weights. It is asked for after Validate.
	Metadata() map[string]string
}

// Env is what a run takes from outside its recipe.
type Env struct {
	Data    string // folder of the data sets
	EasyVQA string // folder of the easy-VQA set, holding train/ and test/
	Cache   string // folder where encoded features are kept
	Out     string // the weights' file to write, beside which the checkpoint lies
	Device  tensor.Device
	Threads int
	Log     io.Writer
	Group   *allreduce.Group // the other processes of a run on several; nil if there are none
	// Encoders starts the frozen encoders.
	Encoders func() (Encoders, func(), error)

	onStep func(step int, loss float64) // sees every step
}

// tasks are what recipes can train, by the value of the key "task".
var tasks = map[string]func(ctx context.Context, r *Recipe, env Env) error{
	"audio":         trainAudio,
	"lesions":       trainLesions,
	"lungs":         trainLungs,
	"report":        trainReport,
	"report-smollm": trainReportSmolLM,
	"radiographs":   trainRadiographs,
	"vqa":           trainVQA,
	"vqa-rad":       trainVQARAD,
}
