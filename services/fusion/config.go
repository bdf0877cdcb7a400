package fusion

// Config says how a fusion service runs.
type Config struct {
	// Device is cpu, cuda or cuda:N.
	Device string
	// Threads is the size of the OpenMP team, 0 for half of the cores.
	Threads int
}
