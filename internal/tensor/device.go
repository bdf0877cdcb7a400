package tensor

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sugarme/gotch/libtch"
)

// Device is where tensors live: CPU, or the index of a CUDA device.
type Device int32

// CPU is the host's memory.
const CPU Device = -1

// ParseDevice reads "cpu", "cuda" (the first one) or "cuda:N". It is an error to name a CUDA device that this
// libtorch cannot use.
func ParseDevice(s string) (Device, error) {
	if s == "" || s == "cpu" {
		return CPU, nil
	}
	name, index, numbered := strings.Cut(s, ":")
	n := 0
	if numbered {
		var err error
		if n, err = strconv.Atoi(index); err != nil || n < 0 {
			return CPU, fmt.Errorf("device %q: want cpu, cuda or cuda:N", s)
		}
	}
	if name != "cuda" {
		return CPU, fmt.Errorf("device %q: want cpu, cuda or cuda:N", s)
	}
	if !libtch.AtcCudaIsAvailable() {
		return CPU, fmt.Errorf("device %q: this libtorch finds no CUDA device", s)
	}
	if count := int(libtch.AtcCudaDeviceCount()); n >= count {
		return CPU, fmt.Errorf("device %q: there are %d CUDA devices", s, count)
	}
	return Device(n), nil
}

func (d Device) String() string {
	if d == CPU {
		return "cpu"
	}
	return fmt.Sprintf("cuda:%d", int(d))
}
