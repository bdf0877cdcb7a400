package bench

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"consilium/internal/weights"
)

var (
	//go:embed peers/requirements.txt
	requirements []byte
	//go:embed peers/prepare.py
	prepareProgram []byte
	//go:embed peers/peer.py
	peerProgram []byte
)

// pythons are the versions of Python that requirements.txt pins wheels of.
var pythons = []string{"3.11"}

// peers is the environment of the peers: an interpreter, its packages and the models in each engine's form.
type peers struct {
	packages string // a folder for PYTHONPATH
	models   string // what prepare.py wrote
	program  string // peer.py
}

// install makes sure that the packages and models of the peers lie below the cache root. Each folder is named after what
// it was made of, is complete or absent, and is made once.
func install(ctx context.Context, out io.Writer, c *corpus, dir string) (*peers, error) {
	version, err := exec.CommandContext(ctx, "python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])").Output()
	if err != nil {
		return nil, fmt.Errorf("ask python3 for its version: %w", err)
	}
	python := strings.TrimSpace(string(version))
	if !slices.Contains(pythons, python) {
		return nil, fmt.Errorf("the peers are pinned for Python %s, found %s", strings.Join(pythons, ", "), python)
	}
	root, err := weights.Root()
	if err != nil {
		return nil, err
	}
	p := &peers{
		packages: filepath.Join(root, "bench-peers-"+name(requirements)+"-py"+python),
		models:   filepath.Join(root, "bench-models-"+name(requirements, prepareProgram)),
		program:  filepath.Join(dir, "peer.py"),
	}
	if err := os.WriteFile(p.program, peerProgram, 0o644); err != nil {
		return nil, err
	}
	err = once(p.packages, func(folder string) error {
		list := filepath.Join(dir, "requirements.txt")
		if err := os.WriteFile(list, requirements, 0o644); err != nil {
			return err
		}
		fmt.Fprintln(out, "installing the peers: about 2 GB from PyPI, 5 GB unpacked, minutes")
		return p.run(ctx, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--no-cache-dir",
			"--disable-pip-version-check", "--root-user-action=ignore", "--target", folder, "-r", list)
	})
	if err != nil {
		return nil, fmt.Errorf("install the peers: %w", err)
	}
	err = once(p.models, func(folder string) error {
		fmt.Fprintln(out, "writing the models in the form of each peer, fp32 and 8 bit: a minute or two")
		return p.prepare(ctx, c, dir, folder)
	})
	if err != nil {
		return nil, fmt.Errorf("write the models of the peers: %w", err)
	}
	return p, nil
}

// name returns a short digest.
func name(parts ...[]byte) string {
	h := sha256.New()
	for _, part := range parts {
		sum := sha256.Sum256(part)
		h.Write(sum[:])
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

// once fills folder by fill, in another folder that then takes its name, unless it is there.
func once(folder string, fill func(folder string) error) (err error) {
	if _, err := os.Stat(folder); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return err
	}
	fresh, err := os.MkdirTemp(filepath.Dir(folder), filepath.Base(folder)+".partial-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(fresh)) }()
	if err := fill(fresh); err != nil {
		return err
	}
	return os.Rename(fresh, folder)
}

// calibration is how many texts and pictures the 8-bit forms are calibrated on; none of them is timed.
const calibrationTexts = 256

// prepare runs prepare.py.
func (p *peers) prepare(ctx context.Context, c *corpus, dir, folder string) error {
	minilm, err := weights.Path("minilm/model.safetensors")
	if err != nil {
		return err
	}
	lite0, err := weights.Path("efficientnet-lite0.pth")
	if err != nil {
		return err
	}
	texts, err := json.Marshal(c.mixed(calibrationSeed, calibrationTexts))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "texts.json"), texts, 0o644); err != nil {
		return err
	}
	films, err := films()
	if err != nil {
		return err
	}
	if _, err := newPictures(filepath.Join(dir, "pictures.f32"), films[timedPictures:]); err != nil {
		return err
	}
	program := filepath.Join(dir, "prepare.py")
	if err := os.WriteFile(program, prepareProgram, 0o644); err != nil {
		return err
	}
	return p.run(ctx, program, filepath.Dir(minilm), lite0, dir, folder)
}

// run runs Python to its end.
func (p *peers) run(ctx context.Context, args ...string) error {
	said, err := p.python(ctx, args...).CombinedOutput()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		e := &ending{}
		_, _ = e.Write(said)
		return fmt.Errorf("%w: %s", err, e)
	}
	return nil
}

// python returns the command of a Python program with the peers' packages, and with nothing of the user's.
func (p *peers) python(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "python3", append([]string{"-s"}, args...)...)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+p.packages, "PYTHONDONTWRITEBYTECODE=", "HF_HUB_OFFLINE=1", "DO_NOT_TRACK=1",
		"INFINITY_ANONYMOUS_USAGE_STATS=0", "TOKENIZERS_PARALLELISM=true")
	return cmd
}

// engines starts a peer for each engine of a model.
func (b *bench) engines(ctx context.Context, model string, engines ...string) (entrants []entrant, closeAll func(), err error) {
	closeAll = func() {
		for _, e := range entrants {
			e.Close()
		}
	}
	for _, engine := range engines {
		p, err := startPeer(ctx, engine, b.peers.python(ctx, b.peers.program, model, engine, b.peers.models))
		if err != nil {
			closeAll()
			return nil, nil, err
		}
		e := entrant{Contender: p, class: FP32, tuned: strings.Contains(engine, "tuned")}
		if strings.HasSuffix(engine, "int8") {
			e.class = Int8
		}
		entrants = append(entrants, e)
		fmt.Fprintf(b.Out, "started %s\n", p.Name())
	}
	return entrants, closeAll, nil
}

// hugotProgram is tools/hugot as `make bench` builds it, beside this program.
const hugotProgram = "peer-hugot"

// hugot starts hugot in its Go form, the one that needs no library from elsewhere. It takes part where a call is one text:
// batches take it minutes. Without its program there is none.
func (b *bench) hugot(ctx context.Context) (entrants []entrant, closeAll func(), err error) {
	own, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	program := filepath.Join(filepath.Dir(own), hugotProgram)
	if _, err := os.Stat(program); errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(b.Out, "without hugot: %s is not there, `make bench` builds it\n", program)
		return nil, func() {}, nil
	}
	p, err := startPeer(ctx, "hugot", exec.CommandContext(ctx, program, filepath.Join(b.peers.models, "hugot")))
	if err != nil {
		return nil, nil, err
	}
	fmt.Fprintf(b.Out, "started %s\n", p.Name())
	return []entrant{{Contender: p, class: FP32}}, func() { p.Close() }, nil
}
