package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"

	"consilium/internal/tensor"
	"consilium/internal/train/allreduce"
)

// run is one training run: the loop that all recipes share.
type run[B any] struct {
	recipe    *Recipe
	settings  Settings
	task      Task[B]
	env       Env
	engine    *tensor.Engine
	net       *net
	optimiser *AdamW
	schedule  Schedule
	validate  int // steps between validations
	share     share

	step  int      // steps done
	saved int      // the step of the checkpoint, 0 if there is none
	at    position // in the order of the examples, behind the last step
	best  *float64 // of the validation's figures
	since int      // validations since then
}

// fit trains the task's net by the settings and writes its weights as float16 safetensors. It goes on from the
// checkpoint that an earlier run of the same recipe left beside them.
func fit[B any](ctx context.Context, r *Recipe, s Settings, task Task[B], env Env, engine *tensor.Engine) (err error) {
	f := &run[B]{recipe: r, settings: s, task: task, env: env, engine: engine, share: share{0, 1}}
	if env.Group != nil {
		f.share = share{env.Group.Rank(), env.Group.World()}
		defer func() { env.Group.Close(err) }()
	}
	if err := f.plan(); err != nil {
		return fmt.Errorf("recipe %s: %w", r.Name, err)
	}
	if err := f.do(f.begin); err != nil {
		return fmt.Errorf("train %s: %w", r.Name, err)
	}
	defer func() {
		_ = f.do(func(a *tensor.Arena) error { // the engine is open
			f.optimiser.Free(a)
			f.net.free(a)
			return nil
		})
	}()
	if err := f.loop(ctx); err != nil {
		return fmt.Errorf("train %s: %w", r.Name, err)
	}
	if f.share.rank > 0 {
		return nil
	}
	if err := os.Remove(checkpointPath(env.Out)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the checkpoint of the finished run: %w", err)
	}
	return nil
}

// do runs fn on the engine to its end, whether or not somebody wants to stop: the loop asks between steps.
func (f *run[B]) do(fn func(a *tensor.Arena) error) error {
	return f.engine.Do(context.Background(), fn)
}

// plan turns epochs into steps.
func (f *run[B]) plan() error {
	s := &f.settings
	if err := s.check(); err != nil {
		return err
	}
	perEpoch := f.task.EpochLength() / f.share.world
	if perEpoch == 0 && (s.Epochs > 0 || s.Validate == 0) {
		return fmt.Errorf("epochs = %d, validate = %d: the task %s has no epochs of %d processes; count steps", s.Epochs, s.Validate, f.recipe.values["task"], f.share.world)
	}
	if s.Epochs > 0 {
		s.Steps = s.Epochs * perEpoch
	}
	if f.validate = s.Validate; f.validate == 0 {
		f.validate = perEpoch
	}
	f.schedule = Schedule{Peak: s.Rate, Warmup: s.Warmup, Total: s.Steps}
	return nil
}

// begin makes the net and the optimiser and continues from a checkpoint.
func (f *run[B]) begin(a *tensor.Arena) (err error) {
	if err := f.sweep(); err != nil {
		return err
	}
	// The generator is one for the process; ranks beyond the first drop other units out.
	a.ManualSeed(f.settings.Seed + uint64(f.share.rank)<<32)
	raw, err := f.task.Pretrained()
	if err != nil {
		return err
	}
	base := tensor.RandomFrom(f.settings.Seed, raw)
	f.task.Build(a, base)
	if f.net, err = newNet(a, base, f.settings); err != nil {
		return err
	}
	f.optimiser = newAdamW(a, f.net.trainable)
	f.optimiser.ClipNorm, f.optimiser.WeightDecay, f.optimiser.Average = f.settings.Clip, f.settings.WeightDecay, f.settings.Average
	if err := f.agree(a); err != nil {
		return err
	}
	return f.resume(a)
}

// agree makes sure that all processes run the same recipe on the same net.
func (f *run[B]) agree(a *tensor.Arena) error {
	if f.env.Group == nil {
		return nil
	}
	here := f.identity(a)
	b, err := json.Marshal(here)
	if err != nil {
		return err
	}
	if b, err = f.env.Group.Share(b); err != nil {
		return err
	}
	var there map[string]string
	if err := json.Unmarshal(b, &there); err != nil {
		return fmt.Errorf("read rank 0's recipe: %w", err)
	}
	if err := differences(there, here); err != nil {
		return fmt.Errorf("rank 0 runs something else: %w", err)
	}
	return nil
}

func (f *run[B]) loop(ctx context.Context) error {
	s := f.settings
	examples, err := newLoader(ctx, f.task, s.Seed, f.at, f.share)
	if err != nil {
		return err
	}
	defer examples.close()
	report := NewProgress(f.env.Log, "step", s.Steps)
	report.before = f.step
	for f.step < s.Steps {
		if ctx.Err() != nil {
			return f.stopped(ctx.Err())
		}
		batch, after, err := examples.next(ctx)
		if ctx.Err() != nil {
			return f.stopped(ctx.Err())
		}
		if err != nil {
			return fmt.Errorf("step %d: %w", f.step+1, err)
		}
		var note string
		err = f.do(func(a *tensor.Arena) (err error) {
			note, err = f.update(a, batch)
			return err
		})
		var lost *allreduce.LostError
		switch {
		case errors.Is(err, allreduce.ErrFinished):
			return nil
		case errors.As(err, &lost):
			return f.stopped(err)
		case err != nil:
			return f.failed(fmt.Errorf("step %d: %w", f.step+1, err))
		}
		f.step++
		f.at = after
		report.Report(f.step, note)
		last := f.step == s.Steps
		if f.share.rank == 0 && (f.step%f.validate == 0 || last) {
			done, err := f.judge()
			if err != nil {
				return f.failed(fmt.Errorf("validation after step %d: %w", f.step, err))
			}
			if done {
				return nil
			}
		}
		if f.step%s.Checkpoint == 0 && !last {
			if err := f.do(f.save); err != nil {
				return err
			}
		}
	}
	return nil
}

// stopped writes a checkpoint, because nothing is wrong with the run itself, and says how to go on.
func (f *run[B]) stopped(why error) error {
	if f.share.rank > 0 {
		return fmt.Errorf("stopped after step %d of %d: %w", f.step, f.settings.Steps, why)
	}
	if err := f.do(f.save); err != nil {
		return errors.Join(why, err)
	}
	return fmt.Errorf("stopped after step %d of %d (%w); the same command goes on from %s", f.step, f.settings.Steps, why, checkpointPath(f.env.Out))
}

// failed says where the last good state is.
func (f *run[B]) failed(err error) error {
	if f.saved > 0 && f.share.rank == 0 {
		err = fmt.Errorf("%w; the checkpoint of step %d stays at %s", err, f.saved, checkpointPath(f.env.Out))
	}
	return err
}

// update takes one step and returns what to print of it.
func (f *run[B]) update(a *tensor.Arena, batch B) (note string, err error) {
	if f.net.lora != nil {
		f.task.Build(a, f.net.merged(a))
	}
	var loss tensor.T
	forward := func() { loss, note = f.task.Loss(a, batch) }
	if f.settings.Checkpointing {
		inner := forward
		forward = func() { a.SaveMemory(inner) }
	}
	if f.settings.Precision == "bfloat16" {
		a.Autocast(forward)
	} else {
		forward()
	}
	value := a.Item(a.Detach(loss))
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return "", fmt.Errorf("the loss is %v%s", value, f.culprit(a))
	}
	grads := a.Gradients(loss, f.optimiser.params)
	if f.env.Group != nil {
		if value, err = average(a, f.env.Group, f.optimiser.params, grads, value); err != nil {
			return "", err
		}
	}
	if f.env.onStep != nil {
		f.env.onStep(f.step+1, value)
	}
	if note != "" {
		note = "  " + note
	}
	return fmt.Sprintf("loss %.4f%s", value, note), f.optimiser.Step(a, grads, f.schedule.Rate(f.step))
}

// culprit names a parameter that is not finite.
func (f *run[B]) culprit(a *tensor.Arena) string {
	p := f.net.merged(a)
	for _, name := range p.Names() {
		if a.Item(a.ToKind(a.All(a.Isfinite(p.Tensor(name))), tensor.Float)) == 0 {
			return ": the parameter " + name + " is not finite"
		}
	}
	return ", while every parameter is finite"
}

// average replaces the gradients by their mean over all processes and returns the mean of the losses. A gradient that
// some process has is there on all.
func average(a *tensor.Arena, g *allreduce.Group, params, grads []tensor.T, loss float64) (float64, error) {
	n := len(grads)
	flat := make([]tensor.T, n)
	values := make([]float32, n+1)
	values[n] = float32(loss)
	for i, p := range params {
		flat[i] = a.Reshape(a.Zeros(a.Shape(p)...), -1)
		if grads[i].Defined() {
			values[i], flat[i] = 1, a.Reshape(grads[i], -1)
		}
	}
	values = append(values, a.Float32s(a.Cat(0, flat...))...)
	if err := g.Sum(values); err != nil {
		return 0, err
	}
	total := a.MulScalar(a.FromFloat32(values[n+1:], int64(len(values)-n-1)), 1/float64(g.World()))
	at := int64(0)
	for i, p := range params {
		size := a.Size(flat[i], 0)
		grads[i] = tensor.T{}
		if values[i] > 0 {
			grads[i] = a.Reshape(a.Narrow(total, 0, at, size), a.Shape(p)...)
		}
		at += size
	}
	return float64(values[n]) / float64(g.World()), nil
}

// measure validates the parameters as they are and writes the weights if they are to be kept.
func (f *run[B]) measure(a *tensor.Arena) error {
	p := f.net.merged(a)
	if f.net.lora != nil {
		f.task.Build(a, p)
	}
	figure := f.task.Validate(a, f.env.Log)
	if math.IsNaN(figure) {
		return fmt.Errorf("the figure is NaN%s", f.culprit(a))
	}
	f.since++
	better := f.best == nil || figure > *f.best
	if better {
		f.best, f.since = &figure, 0
	}
	if better || f.settings.Keep == "last" {
		return tensor.WriteSafetensors(f.env.Out, p.Half(a), f.task.Metadata())
	}
	return nil
}

// judge validates, writes the weights if they are to be kept, and reports whether training is over early.
func (f *run[B]) judge() (done bool, err error) {
	err = f.do(func(a *tensor.Arena) (err error) {
		a.NoGrad(func() {
			f.optimiser.averaged(a, func() { err = f.measure(a) })
		})
		return err
	})
	if err == nil && f.settings.Patience > 0 && f.since >= f.settings.Patience {
		fmt.Fprintf(f.env.Log, "no better figure than %.4f in %d validations: done after step %d\n", *f.best, f.since, f.step)
		done = true
	}
	return done, err
}
