package train

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"consilium/internal/tensor"
)

// child is a process that runs the tiny recipe.
type child struct {
	*exec.Cmd
	lines *bufio.Scanner
	log   []string
}

func startTiny(t *testing.T, out, set, hold, group string) *child {
	t.Helper()
	c := &child{Cmd: exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestTinyProcess$", "-test.v")}
	c.Env = append(os.Environ(), tinyOut+"="+out, tinySet+"="+set, tinyHold+"="+hold, tinyGroup+"="+group)
	pipe, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stderr = os.Stderr
	c.lines = bufio.NewScanner(pipe)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c
}

// until reads what the process prints up to a line that begins so, and reports whether there was one.
func (c *child) until(prefix string) bool {
	for c.lines.Scan() {
		c.log = append(c.log, c.lines.Text())
		if strings.HasPrefix(c.lines.Text(), prefix) {
			return true
		}
	}
	return false
}

// end waits for the process and returns all lines that begin with prefix.
func (c *child) end(prefix string) (lines []string, err error) {
	c.until("no line begins like this")
	err = c.Wait()
	for _, l := range c.log {
		if strings.HasPrefix(l, prefix) {
			lines = append(lines, l)
		}
	}
	return lines, err
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestAKilledRunReachesTheSameWeights kills a process with SIGKILL three times, where it validates and where it draws,
// and compares every loss and every bit of the parameters with those of a run that nobody touched.
func TestAKilledRunReachesTheSameWeights(t *testing.T) {
	for name, set := range map[string]string{
		"plain":    "checkpoint=5",
		"adapters": "checkpoint=5 freeze=0.6 lora_rank=2 lora_alpha=4 checkpointing=true precision=bfloat16 keep=best",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			whole := startTiny(t, filepath.Join(dir, "whole"), set, "", "")
			wantLosses, err := whole.end("loss ")
			if err != nil || len(wantLosses) != 48 {
				t.Fatalf("the whole run: %d losses, %v\n%s", len(wantLosses), err, strings.Join(whole.log, "\n"))
			}
			wantDigests, _ := whole.end("validation ")

			out := filepath.Join(dir, "killed")
			for _, hold := range []string{"validate 2", "draw 11", "validate 3"} {
				c := startTiny(t, out, set, hold, "")
				if !c.until("HOLD") {
					t.Fatalf("it did not come to %s:\n%s", hold, strings.Join(c.log, "\n"))
				}
				if err := c.Process.Signal(syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				if err := c.Wait(); err == nil {
					t.Fatal("it was not killed")
				}
			}
			last := startTiny(t, out, set, "", "")
			losses, err := last.end("loss ")
			if err != nil {
				t.Fatalf("the last run: %v\n%s", err, strings.Join(last.log, "\n"))
			}
			if n := len(losses); n == 0 || n >= 48 {
				t.Errorf("the last run took %d steps of 48; it did not go on", n)
			} else if want := wantLosses[48-n:]; strings.Join(losses, "\n") != strings.Join(want, "\n") {
				t.Errorf("losses\n%s\nwant\n%s", strings.Join(losses, "\n"), strings.Join(want, "\n"))
			}
			digests, _ := last.end("validation ")
			if digests[len(digests)-1] != wantDigests[len(wantDigests)-1] {
				t.Errorf("parameters %s, want %s", digests[len(digests)-1], wantDigests[len(wantDigests)-1])
			}
			if !bytes.Equal(read(t, out), read(t, filepath.Join(dir, "whole"))) {
				t.Error("the weights' files differ")
			}
			if _, err := os.Stat(checkpointPath(out)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the checkpoint of the finished run: %v", err)
			}
		})
	}
}

// TestAnInterruptedRunSaysHowToGoOn sends what Ctrl-C sends.
func TestAnInterruptedRunSaysHowToGoOn(t *testing.T) {
	out := filepath.Join(t.TempDir(), "w")
	c := startTiny(t, out, "steps=1000000 checkpoint=1000000", "", "")
	if !c.until("loss 9 ") {
		t.Fatal(c.log)
	}
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	lines, err := c.end("ERROR ")
	if err == nil || len(lines) != 1 || !strings.Contains(lines[0], "the same command goes on from "+checkpointPath(out)) {
		t.Fatalf("%v: %v", err, lines)
	}
	again := startTiny(t, out, "steps=1000000 checkpoint=1000000", "", "")
	if !again.until("going on after step ") || !again.until("loss ") {
		t.Errorf("it did not go on: %v", again.log)
	}
	again.Process.Kill()
	again.Wait()
}

// half runs the tiny recipe until its checkpoint of step 10 and returns the path of its weights.
func half(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "w")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := runTiny(ctx, tinyRecipe(t), Env{Out: out, Log: io.Discard, onStep: func(step int, _ float64) {
		if step == 10 {
			cancel()
		}
	}}, nil)
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	return out
}

func TestAnotherRunsCheckpointIsRefused(t *testing.T) {
	out := half(t)
	before := read(t, checkpointPath(out))
	for override, want := range map[string]string{
		"seed=4":     "recipe seed is 3 there and 4 here",
		"rate=2e-2":  "recipe rate is 1e-2 there and 2e-2 here",
		"hidden=32":  "tensor first.bias is [16] there and [32] here",
		"freeze=0.5": "recipe freeze is 0 there and 0.5 here",
		"batch=16":   "recipe batch is 8 there and 16 here",
	} {
		err := runTiny(t.Context(), tinyRecipe(t, override), Env{Out: out, Log: io.Discard}, nil)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), checkpointPath(out)) {
			t.Errorf("%s: %v, want %q", override, err, want)
		}
	}
	if !bytes.Equal(before, read(t, checkpointPath(out))) {
		t.Error("the checkpoint was touched")
	}
	if err := runTiny(t.Context(), tinyRecipe(t, "checkpoint=3"), Env{Out: out, Log: io.Discard}, nil); err != nil {
		t.Errorf("how often to write checkpoints must not matter: %v", err)
	}
}

func TestADamagedCheckpointIsRefused(t *testing.T) {
	out := half(t)
	b := read(t, checkpointPath(out))
	unfinished := checkpointPath(out) + ".123"
	if err := os.WriteFile(unfinished, b[:9], 0o644); err != nil {
		t.Fatal(err)
	}
	for name, damaged := range map[string][]byte{"cut": b[:len(b)-100], "empty header": make([]byte, 16), "text": []byte("not a checkpoint")} {
		if err := os.WriteFile(checkpointPath(out), damaged, 0o644); err != nil {
			t.Fatal(err)
		}
		err := runTiny(t.Context(), tinyRecipe(t), Env{Out: out, Log: io.Discard}, nil)
		if err == nil || !strings.Contains(err.Error(), checkpointPath(out)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(unfinished); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an unfinished checkpoint stays: %v", err)
	}
	// A weights' file is no checkpoint either.
	if err := tensor.WriteSafetensors(checkpointPath(out), nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := runTiny(t.Context(), tinyRecipe(t), Env{Out: out, Log: io.Discard}, nil); err == nil {
		t.Error("weights were taken for a checkpoint")
	}
}

func TestNaNLeavesTheLastGoodCheckpoint(t *testing.T) {
	out := filepath.Join(t.TempDir(), "w")
	err := runTiny(t.Context(), tinyRecipe(t, "bad=8", "checkpoint=2"), Env{Out: out, Log: io.Discard}, nil)
	if err == nil || !strings.Contains(err.Error(), "step 9: the loss is NaN, while every parameter is finite") ||
		!strings.Contains(err.Error(), "the checkpoint of step 8 stays at "+checkpointPath(out)) {
		t.Fatalf("got %v", err)
	}
	raw, _, err := tensor.ReadSafetensors(checkpointPath(out))
	if err != nil || len(raw) == 0 {
		t.Fatal(err)
	}
	for name, v := range raw {
		for _, x := range v.Values {
			if x != x {
				t.Errorf("%s in the checkpoint is NaN", name)
			}
		}
	}
}
