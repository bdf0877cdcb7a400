package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	jpegcodec "image/jpeg"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// Size is what one size of an input, or of what is stored, costs.
type Size struct {
	Size    float64 `json:"size"`
	Seconds float64 `json:"seconds"` // the median
	// Resident is the most memory that the process held meanwhile, in bytes, beyond what it held before; 0 where the
	// system does not tell or another process did the work.
	Resident float64 `json:"resident,omitempty"`
}

// growing is one thing whose size grows.
type growing struct {
	name, about, unit string
	sizes             []float64
	// work counts what a size asks for, to any scale; nil if it is the size.
	work func(size float64) float64
	// prepare returns what is timed.
	prepare func(ctx context.Context, size float64) (func(context.Context) error, error)
}

// growth times sizes from small to large.
func (b *bench) growth(ctx context.Context) error {
	film, err := films()
	if err != nil {
		return err
	}
	for _, g := range []growing{
		{
			name: "growth-text", about: "a text of so many tokens; the encoder cuts at 256", unit: "tokens", sizes: []float64{16, 32, 64, 128, 256, 512},
			work: func(n float64) float64 { return b.TextWork(int(min(n, 256))) },
			prepare: func(_ context.Context, n float64) (func(context.Context) error, error) {
				texts := b.corpus.texts(timedSeed, 1, int(n))
				return func(ctx context.Context) error { _, err := b.Text.EncodeText(ctx, texts, false); return err }, nil
			},
		},
		{
			name: "growth-batch", about: "so many texts of 64 tokens in one call", unit: "texts", sizes: []float64{1, 2, 4, 8, 16, 32, 64, 128},
			prepare: func(_ context.Context, n float64) (func(context.Context) error, error) {
				texts := b.corpus.texts(timedSeed, int(n), 64)
				return func(ctx context.Context) error { _, err := b.Text.EncodeText(ctx, texts, false); return err }, nil
			},
		},
		{
			name: "growth-image", about: "a square grey JPEG of so many pixels, from the file", unit: "pixels", sizes: []float64{256 * 256, 512 * 512, 1024 * 1024, 2048 * 2048, 4096 * 4096},
			prepare: func(_ context.Context, pixels float64) (func(context.Context) error, error) {
				n := int(math.Sqrt(pixels))
				img := &image.Gray{Pix: grey(film[0], n), Stride: n, Rect: image.Rect(0, 0, n, n)}
				var file bytes.Buffer
				if err := jpegcodec.Encode(&file, img, &jpegcodec.Options{Quality: 90}); err != nil {
					return nil, err
				}
				return func(ctx context.Context) error {
					_, err := b.Vision.EncodeImage(ctx, [][]byte{file.Bytes()})
					return err
				}, nil
			},
		},
		{
			name: "growth-audio", about: "a WAV file of so many seconds", unit: "seconds", sizes: []float64{1, 2, 4, 8, 16, 30},
			prepare: func(_ context.Context, seconds float64) (func(context.Context) error, error) {
				file := tone(seconds)
				return func(ctx context.Context) error { _, err := b.Audio.EncodeAudio(ctx, [][]byte{file}, false); return err }, nil
			},
		},
	} {
		if err := b.grow(ctx, g); err != nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
	}
	if err := b.growStore(ctx); err != nil {
		return err
	}
	return b.idle(ctx)
}

// growFor is how long each size is repeated, at least growFewest times.
const (
	growFor    = 700 * time.Millisecond
	growFewest = 5
)

// grow times each size and adds the figure of how the time grows.
func (b *bench) grow(ctx context.Context, g growing) error {
	fmt.Fprintf(b.Out, "%s: %s\n", g.name, g.about)
	sizes, others, err := g.measure(ctx)
	for err == nil && others >= busyFrom && b.once(ctx, g.name, others) {
		sizes, others, err = g.measure(ctx)
	}
	if err != nil {
		return err
	}
	b.add(grown(g, sizes, others))
	return nil
}

// measure times each size and returns what share of the machine others had meanwhile.
func (g growing) measure(ctx context.Context) (sizes []Size, others float64, err error) {
	before, err := readUsage()
	if err != nil {
		return nil, 0, err
	}
	for _, size := range g.sizes {
		once, err := g.prepare(ctx, size)
		if err != nil {
			return nil, 0, err
		}
		debug.FreeOSMemory() // what the size before left behind
		held := resident("self", "VmRSS")
		forgetPeak()
		if err := once(ctx); err != nil { // warms it
			return nil, 0, err
		}
		var seconds []float64
		for start := time.Now(); len(seconds) < growFewest || time.Since(start) < growFor; {
			begin := time.Now()
			if err := once(ctx); err != nil {
				return nil, 0, err
			}
			seconds = append(seconds, since(begin))
		}
		sizes = append(sizes, Size{Size: size, Seconds: median(seconds), Resident: max(0, resident("self", "VmHWM")-held)})
	}
	after, err := readUsage()
	return sizes, after.others(before), err
}

// grown is the figure of how fast the time grows: by the largest half of the sizes, where what every size costs no longer
// hides it.
func grown(g growing, sizes []Size, others float64) Figure {
	f := Figure{Name: g.name, Metric: "exponent", About: g.about, Others: others, Unit: g.unit, Sizes: sizes}
	half := sizes[len(sizes)/2:]
	x, y := make([]float64, len(half)), make([]float64, len(half))
	for i, s := range half {
		work := s.Size
		if g.work != nil {
			work = g.work(s.Size)
		}
		x[i], y[i] = math.Log(work), math.Log(s.Seconds)
	}
	value := slope(x, y)
	f.Value = &value
	return f
}

// slope is that of the line nearest to the points, by least squares.
func slope(x, y []float64) float64 {
	var meanX, meanY, xy, xx float64
	for i := range x {
		meanX, meanY = meanX+x[i]/float64(len(x)), meanY+y[i]/float64(len(y))
	}
	for i := range x {
		xy, xx = xy+(x[i]-meanX)*(y[i]-meanY), xx+(x[i]-meanX)*(x[i]-meanX)
	}
	return xy / xx
}

// idle adds the resident memory of each service in the program that serves it, after its start and its probe.
func (b *bench) idle(ctx context.Context) error {
	for _, s := range []struct{ name, program, precision string }{
		{"text", "text-encoder", "fp32"}, {"text-int8", "text-encoder", "int8"}, {"vision", "vision-encoder", "fp32"},
		{"vision-int8", "vision-encoder", "int8"},
		{"audio", "audio-encoder", "fp32"}, {"fusion", "fusion", "fp32"},
	} {
		f := Figure{Name: "idle-" + s.name, Metric: "resident-mb", About: "the program " + s.program + " after its start and its probe"}
		path := filepath.Join(b.Programs, s.program)
		if _, err := os.Stat(path); err != nil {
			f.Absent = path + " is not built"
			b.add(f)
			continue
		}
		megabytes, err := idleProgram(ctx, path, "CONSILIUM_TEXT_PRECISION="+s.precision, "CONSILIUM_VISION_PRECISION="+s.precision)
		if err != nil {
			return fmt.Errorf("start %s: %w", path, err)
		}
		f.Value = &megabytes
		b.add(f)
	}
	return nil
}

// idleProgram starts a program, waits for the address that it prints when it serves, and returns what it holds, in MB.
func idleProgram(ctx context.Context, path string, settings ...string) (megabytes float64, err error) {
	command := exec.CommandContext(ctx, path)
	command.Env = append(os.Environ(), append(settings, "CONSILIUM_LISTEN=127.0.0.1:0")...)
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	var log bytes.Buffer
	command.Stderr = &log
	stdout, err := command.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := command.Start(); err != nil {
		return 0, err
	}
	_, err = bufio.NewReader(stdout).ReadString('\n')
	megabytes = resident(strconv.Itoa(command.Process.Pid), "VmRSS") / 1e6
	stop := command.Process.Signal(os.Interrupt)
	if err = errors.Join(err, stop, command.Wait()); err != nil {
		return 0, fmt.Errorf("%w: %.300s", err, log.String())
	}
	return megabytes, nil
}

// resident reads one line of /proc/PID/status, proc(5), in bytes; 0 where there is none.
func resident(pid, field string) float64 {
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			kilobytes, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 64)
			if err != nil {
				return 0
			}
			return 1024 * kilobytes
		}
	}
	return 0
}

// forgetPeak begins VmHWM anew, proc(5).
func forgetPeak() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) } // else it is the highest so far
