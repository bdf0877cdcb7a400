package fusion

import net "consilium/internal/model/fusion"

// Config says how a fusion service runs.
type Config struct {
	// Device is cpu, cuda or cuda:N.
	Device string
	// Threads is the size of the OpenMP team, 0 for half of the cores.
	Threads int
	// Gate weighs the modalities.
	Gate net.Rule `env:"FUSION_GATE" envDefault:"learned"`
}
