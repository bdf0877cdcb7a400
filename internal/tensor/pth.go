package tensor

import (
	"fmt"
	"io"

	"github.com/sugarme/gotch/pickle"
)

// ReadPTH reads the float32 tensors of a flat PyTorch state dict (torch.save of a module's state_dict); tensors of
// other kinds, such as the counters of BatchNorm, are left out. gotch unpickles the file; its own tensors are
// not made, because they leak.
func ReadPTH(path string) (tensors map[string]Raw, err error) {
	defer func() { // the unpickler panics on what it does not know
		if r := recover(); r != nil {
			err = fmt.Errorf("read state dict %s: %v", path, r)
		}
	}()
	object, err := pickle.LoadWithUnpickler(path, func(r io.Reader) pickle.Unpickler { return pickle.NewUnpickler(r) })
	if err != nil {
		return nil, fmt.Errorf("read state dict %s: %w", path, err)
	}
	tensors = map[string]Raw{}
	add := func(key, value any) error {
		name, named := key.(string)
		t, ok := value.(*pickle.StorageTensor)
		if !named || !ok {
			return fmt.Errorf("read state dict %s: entry %v is a %T, want a tensor", path, key, value)
		}
		storage, ok := t.Source.GetData().([]float32)
		if !ok {
			return nil
		}
		values, err := gatherStrided(storage, t.StorageOffset, t.Size, t.Stride)
		if err != nil {
			return fmt.Errorf("read state dict %s: tensor %s: %w", path, name, err)
		}
		tensors[name] = Raw{Shape: t.Size, Values: values}
		return nil
	}
	switch dict := object.(type) {
	case *pickle.OrderedDict:
		for key, entry := range dict.Map {
			if err := add(key, entry.Value); err != nil {
				return nil, err
			}
		}
	case *pickle.Dict:
		for _, entry := range *dict {
			if err := add(entry.Key, entry.Value); err != nil {
				return nil, err
			}
		}
	default:
		return nil, fmt.Errorf("read state dict %s: it holds a %T, want a dictionary of tensors", path, object)
	}
	return tensors, nil
}

// gatherStrided copies a strided view of a storage out, row-major.
func gatherStrided(storage []float32, offset int64, shape, stride []int64) ([]float32, error) {
	if len(shape) != len(stride) {
		return nil, fmt.Errorf("shape %v with strides %v", shape, stride)
	}
	size, last := int64(1), offset
	for i, n := range shape {
		if n < 0 || stride[i] < 0 || (n > 0 && size > int64(len(storage))/n) {
			return nil, fmt.Errorf("shape %v with strides %v in a storage of %d", shape, stride, len(storage))
		}
		size *= n
		last += (n - 1) * stride[i]
	}
	if offset < 0 || (size > 0 && last >= int64(len(storage))) {
		return nil, fmt.Errorf("shape %v with strides %v from %d in a storage of %d", shape, stride, offset, len(storage))
	}
	out := make([]float32, size)
	index := make([]int64, len(shape))
	for i := range out {
		at := offset
		for d, k := range index {
			at += k * stride[d]
		}
		out[i] = storage[at]
		for d := len(index) - 1; d >= 0; d-- {
			if index[d]++; index[d] < shape[d] {
				break
			}
			index[d] = 0
		}
	}
	return out, nil
}
