package train

import "fmt"

// Settings are the keys that every recipe has.
type Settings struct {
	Seed   uint64 `recipe:"seed"`   // of the start, of the examples and of dropout
	Steps  int    `recipe:"steps"`  // 0 if the recipe counts epochs
	Epochs int    `recipe:"epochs"` // 0 if the recipe counts steps

	Rate        float64 `recipe:"rate"`         // peak learning rate, then half a cosine down to a hundredth
	Warmup      int     `recipe:"warmup"`       // steps of the linear rise
	Clip        float64 `recipe:"clip"`         // largest global norm of the gradients
	WeightDecay float64 `recipe:"weight_decay"` // of matrices
	Average     float64 `recipe:"average"`      // decay of the running mean of the weights, which is what is kept; 0: the weights themselves

	Validate   int    `recipe:"validate"`   // steps between validations; 0: once an epoch
	Patience   int    `recipe:"patience"`   // validations in a row without a better figure that end the run; 0: never
	Keep       string `recipe:"keep"`       // weights written: "best" by the validation's figure, or "last"
	Checkpoint int    `recipe:"checkpoint"` // steps between checkpoints

	Freeze        float64 `recipe:"freeze"`        // share of the parameters, from the lowest layer up, that stay as they are
	LoRARank      int     `recipe:"lora_rank"`     // of the adapters of frozen matrices; 0: none
	LoRAAlpha     float64 `recipe:"lora_alpha"`    // their scale is lora_alpha / lora_rank
	Precision     string  `recipe:"precision"`     // of products: "float32" or "bfloat16"
	Checkpointing bool    `recipe:"checkpointing"` // compute blocks twice and keep less in memory
}

// check refuses what no run could use.
func (s Settings) check() error {
	switch {
	case (s.Steps > 0) == (s.Epochs > 0):
		return fmt.Errorf("steps = %d and epochs = %d: want one of them above 0", s.Steps, s.Epochs)
	case s.Rate == 0:
		return fmt.Errorf("rate = 0: want a learning rate")
	case s.Clip == 0:
		return fmt.Errorf("clip = 0: want the largest norm of the gradients")
	case s.Average >= 1:
		return fmt.Errorf("average = %v: want a decay below 1", s.Average)
	case s.Keep != "best" && s.Keep != "last":
		return fmt.Errorf("keep = %q: want best or last", s.Keep)
	case s.Checkpoint == 0:
		return fmt.Errorf("checkpoint = 0: want a number of steps")
	case s.Freeze >= 1:
		return fmt.Errorf("freeze = %v: want a share below 1", s.Freeze)
	case s.LoRARank > 0 && s.Freeze == 0:
		return fmt.Errorf("lora_rank = %d, freeze = 0: adapters are of frozen matrices", s.LoRARank)
	case s.LoRARank > 0 && s.LoRAAlpha == 0:
		return fmt.Errorf("lora_alpha = 0: want the adapters' scale")
	case s.Precision != "float32" && s.Precision != "bfloat16":
		return fmt.Errorf("precision = %q: want float32 or bfloat16", s.Precision)
	}
	return nil
}
