package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"consilium/internal/tensor"
)

// A checkpoint is a safetensors file of float32: every parameter and the optimiser's three running means of it, and in
// the metadata a standing. It holds all that decides the rest of a run.
const (
	parameterPrefix = "parameter/"
	firstPrefix     = "first/"
	secondPrefix    = "second/"
	meanPrefix      = "mean/"
	standingKey     = "standing"
)

// standing is where a run stands.
type standing struct {
	// Identity is what has to be the same for a run to go on: the recipe's keys and the shapes of the parameters.
	Identity  map[string]string `json:"identity"`
	Step      int               `json:"step"`      // steps done
	Optimiser int               `json:"optimiser"` // steps that the optimiser has counted
	Position  position          `json:"position"`  // in the order of the examples
	Random    []byte            `json:"random"`    // state of libtorch's generator
	Best      *float64          `json:"best"`      // of the validation's figures; nil before the first
	Since     int               `json:"since"`     // validations since then
}

// checkpointPath is where the checkpoint of a run lies that writes its weights to out.
func checkpointPath(out string) string { return out + ".checkpoint" }

// identity returns what makes a run the one it is.
func (f *run[B]) identity(a *tensor.Arena) map[string]string {
	id := map[string]string{"processes": fmt.Sprint(f.share.world)}
	for key, value := range f.recipe.values {
		if key != "checkpoint" { // how often to write one changes nothing
			id["recipe "+key] = value
		}
	}
	for name, v := range f.net.shapes(a) {
		id["tensor "+name] = fmt.Sprint(v)
	}
	return id
}

// differences says how two identities differ, at most three times.
func differences(there, here map[string]string) error {
	keys := maps.Clone(there)
	maps.Copy(keys, here)
	var found []string
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if there[key] != here[key] {
			found = append(found, fmt.Sprintf("%s is %s there and %s here", key, valueOrNone(there[key]), valueOrNone(here[key])))
		}
	}
	if len(found) > 3 {
		found = append(found[:3], fmt.Sprintf("and %d more", len(found)-3))
	}
	if len(found) == 0 {
		return nil
	}
	return errors.New(strings.Join(found, "; "))
}

func valueOrNone(s string) string {
	if s == "" {
		return "absent"
	}
	return s
}

// save writes a checkpoint of what the run is now; only rank 0 does.
func (f *run[B]) save(a *tensor.Arena) error {
	if f.share.rank > 0 {
		return nil
	}
	all, tensors := f.optimiser.state(a), map[string]tensor.Raw{}
	all[parameterPrefix] = f.net.values(a)
	for prefix, values := range all {
		for name, v := range values {
			tensors[prefix+name] = v
		}
	}
	state, err := json.Marshal(standing{
		Identity: f.identity(a), Step: f.step, Optimiser: f.optimiser.step, Position: f.at, Random: a.RandomState(),
		Best: f.best, Since: f.since,
	})
	if err != nil {
		return fmt.Errorf("write a checkpoint: %w", err)
	}
	path := checkpointPath(f.env.Out)
	if err := tensor.WriteFullSafetensors(path, tensors, map[string]string{standingKey: string(state)}); err != nil {
		return fmt.Errorf("write a checkpoint: %w", err)
	}
	f.saved = f.step
	return nil
}

// sweep removes the unfinished checkpoints that killed runs left.
func (f *run[B]) sweep() error {
	if f.share.rank > 0 {
		return nil
	}
	path := checkpointPath(f.env.Out)
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("look for a checkpoint: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), filepath.Base(path)+".") {
			if err := os.Remove(filepath.Join(filepath.Dir(path), e.Name())); err != nil {
				return fmt.Errorf("remove an unfinished checkpoint: %w", err)
			}
		}
	}
	return nil
}

// resume continues from the checkpoint if there is one, on every rank from rank 0's.
func (f *run[B]) resume(a *tensor.Arena) error {
	path := checkpointPath(f.env.Out)
	var b []byte
	var err error
	if f.share.rank == 0 {
		if b, err = os.ReadFile(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read the checkpoint: %w", err)
		}
	}
	if f.env.Group != nil {
		if b, err = f.env.Group.Share(b); err != nil {
			return err
		}
	}
	if len(b) == 0 {
		return nil
	}
	tensors, metadata, err := tensor.DecodeSafetensors(b)
	if err != nil {
		return fmt.Errorf("read the checkpoint %s: %w", path, err)
	}
	var p standing
	if err := json.Unmarshal([]byte(metadata[standingKey]), &p); err != nil {
		return fmt.Errorf("read the checkpoint %s: %w", path, err)
	}
	if err := differences(p.Identity, f.identity(a)); err != nil {
		return fmt.Errorf("%s is the checkpoint of another run: %w; remove it to begin anew", path, err)
	}
	part := func(prefix string) map[string]tensor.Raw {
		values := map[string]tensor.Raw{}
		for name, v := range tensors {
			if name, ok := strings.CutPrefix(name, prefix); ok {
				values[name] = v
			}
		}
		return values
	}
	f.net.load(a, part(parameterPrefix))
	state := map[string]map[string]tensor.Raw{}
	for prefix := range f.optimiser.means() {
		state[prefix] = part(prefix)
	}
	if err := f.optimiser.load(a, p.Optimiser, state); err != nil {
		return fmt.Errorf("read the checkpoint %s: %w", path, err)
	}
	if f.share.rank == 0 {
		a.SetRandomState(p.Random)
	}
	f.step, f.at, f.best, f.since, f.saved = p.Step, p.Position, p.Best, p.Since, p.Step
	fmt.Fprintf(f.env.Log, "going on after step %d from %s\n", f.step, path)
	return nil
}
