package tensor

// #include "device.h"
import "C"

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
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

// ParseOptions reads a device, as ParseDevice does, and the precision of the nets that can do without float32 there: "fp32",
// which the empty one means as well, "bf16" or "fp16". On the CPU all compute in float32.
func ParseOptions(device, precision string) (Options, error) {
	kind, ok := map[string]Kind{"": Float, "fp32": Float, "bf16": BFloat16, "fp16": Half}[precision]
	if !ok {
		return Options{}, fmt.Errorf("precision %q: want fp32, bf16 or fp16", precision)
	}
	d, err := ParseDevice(device)
	if d == CPU {
		kind = Float
	}
	return Options{Device: d, Precision: kind}, err
}

// OnProcessor reports whether a net computes in float32 on the CPU. Only there may package kernels take libtorch's place.
func (o Options) OnProcessor() bool { return o.Device == CPU && o.Rounding() == "" }

// Rounding names the precision for the digest of what a net computes; it is empty at float32.
func (o Options) Rounding() string {
	switch o.Precision {
	case Half, BFloat16:
		return o.Precision.String()
	}
	return ""
}

// Digest identifies what a net computes by its weights and whatever else decides it, in that order.
func Digest(parts ...[]byte) string {
	h := sha256.New()
	for _, part := range parts {
		sum := sha256.Sum256(part)
		h.Write(sum[:])
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// Digest is Digest of the parts and, if o rounds, of the precision.
func (o Options) Digest(parts ...[]byte) string {
	if rounding := o.Rounding(); rounding != "" {
		parts = append(parts, []byte(rounding))
	}
	return Digest(parts...)
}

// ownStream has the engine's thread use a stream of the device that no other engine has.
func (a *Arena) ownStream() error {
	a.native("stream", C.consilium_own_stream(C.int(a.device)))
	return nil
}

// Synchronize waits until the device has done what it was told, for whoever takes the time. The CPU has always done it.
func (a *Arena) Synchronize() {
	if a.device != CPU {
		a.native("synchronize", C.consilium_synchronize(C.int(a.device)))
	}
}

// memoryShare is the part of a device's free memory that a batch may take.
const memoryShare = 0.7

// MaxCost is what a batch may cost at most where one unit takes so many bytes: on the CPU onCPU, on a CUDA device what fits
// into seven tenths of the memory that is free now, and no more than most.
func (a *Arena) MaxCost(bytes int64, onCPU, most int) int {
	if a.device == CPU {
		return onCPU
	}
	return fitting(a.freeMemory(), bytes, most)
}

func (a *Arena) freeMemory() int64 {
	var free C.ulonglong
	a.native("free memory", C.consilium_free_memory(&free))
	return int64(free)
}

// fitting is how many units of so many bytes a batch may have in a memory with so many free ones: 1 to most.
func fitting(free, bytes int64, most int) int {
	return max(1, min(most, int(memoryShare*float64(free)/float64(bytes))))
}

// ErrMemory is what an operator's error is where it found no memory: half of the work may still fit.
var ErrMemory = errors.New("out of memory")

// Is makes errors.Is know an error of ErrMemory. libtorch says it in words alone: of a CUDA device, of a library on it, of
// the CPU.
func (e *OpError) Is(target error) bool {
	if target != ErrMemory {
		return false
	}
	for _, words := range []string{"out of memory", "ALLOC_FAILED", "can't allocate memory"} {
		if strings.Contains(e.Message, words) {
			return true
		}
	}
	return false
}
