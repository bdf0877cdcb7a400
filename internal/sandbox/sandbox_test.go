package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"consilium/internal/analysis"
	"consilium/internal/tensor"
	"consilium/internal/weights"
)

// TestMain lets this test program be the process of a model, or one that tries what it may not do.
func TestMain(m *testing.M) {
	Enter()
	if len(os.Args) == 2 && os.Args[1] == "break-out" {
		breakOut()
	}
	os.Exit(m.Run())
}

var nodule = Spec{Format: analysis.TorchScript, Channels: 1, Height: 64, Width: 64, Labels: 3}

// pattern is the input of testdata/make_models.py.
func pattern(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(math.Sin(float64(i)*0.37) + 0.5*math.Sin(float64(i)*0.011))
	}
	return x
}

func open(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func start(t *testing.T, spec Spec, path string) *Process {
	t.Helper()
	p, err := Start(t.Context(), spec, open(t, path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func write(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "weights")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func testdata(name string) string { return filepath.Join("testdata", name+".pt") }

func TestScriptsEqualPyTorch(t *testing.T) {
	raw, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden map[string][]float32
	if err := json.Unmarshal(raw, &golden); err != nil {
		t.Fatal(err)
	}
	pathology := Spec{Format: analysis.TorchScript, Channels: 3, Height: 96, Width: 96, Text: 384, Labels: 2}
	for name, spec := range map[string]Spec{"nodule": nodule, "nodule-2": nodule, "pathology": pathology} {
		p := start(t, spec, testdata(name))
		input := append(pattern(spec.inputs()-spec.Text), pattern(spec.Text)...)
		for range 2 {
			logits, err := p.Forward(t.Context(), input)
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range golden[name] {
				if d := math.Abs(float64(logits[i] - want)); !(d <= 1e-4) {
					t.Errorf("%s: logit %d is %v, PyTorch's %v", name, i, logits[i], want)
				}
			}
		}
	}
}

// state is the state of EfficientNet-Lite0 with a head of labels outputs, and the logits of the pattern.
func state(t *testing.T, labels int64, change func(map[string]tensor.Raw)) (path string, logits []float32) {
	t.Helper()
	published, err := weights.Path("efficientnet-lite0.pth")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := tensor.ReadPTH(published)
	if err != nil {
		t.Fatal(err)
	}
	head := tensor.Raw{Shape: []int64{labels, 1280}, Values: make([]float32, labels*1280)}
	for i := range head.Values {
		head.Values[i] = float32(math.Sin(float64(i))) / 8
	}
	raw["_fc.weight"], raw["_fc.bias"] = head, tensor.Raw{Shape: []int64{labels}, Values: make([]float32, labels)}
	if change != nil {
		change(raw)
	}
	path = filepath.Join(t.TempDir(), "state.safetensors")
	if err := tensor.WriteFullSafetensors(path, raw, nil); err != nil {
		t.Fatal(err)
	}
	return path, nil
}

var lite0 = Spec{Format: analysis.Safetensors, Channels: 3, Height: 224, Width: 224, Labels: 4}

func TestSafetensors(t *testing.T) {
	path, _ := state(t, 4, nil)
	p := start(t, lite0, path)
	logits, err := p.Forward(t.Context(), pattern(lite0.inputs()))
	if err != nil {
		t.Fatal(err)
	}
	// The same in this process, without the child.
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	engine := tensor.NewEngine(tensor.Options{Device: tensor.CPU, Threads: 1})
	defer engine.Close()
	m := &model{spec: lite0}
	var want []float32
	err = engine.Do(t.Context(), func(a *tensor.Arena) (err error) {
		if err := m.load(a, data); err != nil {
			return err
		}
		want, err = m.forward(a, pattern(lite0.inputs()))
		return err
	})
	if err != nil || !slices.Equal(logits, want) {
		t.Errorf("%v: %v, in this process %v", err, logits, want)
	}
}

// Each thing that a model may not do is refused with its own words, and the next model is none the worse.
func TestBadModelsAreRefused(t *testing.T) {
	withText := nodule
	withText.Text = 384
	header := func(json string) []byte {
		return append([]byte{byte(len(json)), byte(len(json) >> 8), 0, 0, 0, 0, 0, 0}, json...)
	}
	noHead, _ := state(t, 4, func(raw map[string]tensor.Raw) { delete(raw, "_fc.weight") })
	noStem, _ := state(t, 4, func(raw map[string]tensor.Raw) { delete(raw, "_conv_stem.weight") })
	fiveHeads, _ := state(t, 5, nil)
	notFinite, _ := state(t, 4, func(raw map[string]tensor.Raw) { raw["_fc.bias"].Values[1] = float32(math.NaN()) })
	for name, test := range map[string]struct {
		spec  Spec
		path  string
		field string
		says  string
	}{
		"throws":                {nodule, testdata("throws"), "weights", "this module never works"},
		"NaN":                   {nodule, testdata("notanumber"), "weights", "not finite"},
		"five labels":           {nodule, testdata("fivelabels"), "card.labels", "[1 5]"},
		"no batch":              {nodule, testdata("nobatch"), "card.labels", "[3]"},
		"a pair":                {nodule, testdata("pair"), "weights", "Tuple"},
		"float64":               {nodule, testdata("doubles"), "weights", "float64"},
		"all memory at once":    {nodule, testdata("memory"), "weights", "memory"},
		"all memory by and by":  {nodule, testdata("hoards"), "weights", "memory"},
		"reads a file":          {nodule, testdata("readsfile"), "weights", "aten::from_file"},
		"random":                {nodule, testdata("draws"), "weights", "aten::rand"},
		"in training":           {nodule, testdata("trains"), "weights", "two ways"},
		"threads":               {nodule, testdata("forks"), "weights", "prim::fork"},
		"prints":                {nodule, testdata("prints"), "weights", "prim::Print"},
		"remembers":             {nodule, testdata("remembers"), "weights", "prim::SetAttr"},
		"restores itself":       {nodule, testdata("restores"), "weights", "__setstate__"},
		"wants a text":          {nodule, testdata("pathology"), "card.modalities", "2 arguments"},
		"takes no text":         {withText, testdata("nodule"), "card.modalities", "1 arguments"},
		"other input":           {Spec{Format: analysis.TorchScript, Channels: 3, Height: 64, Width: 64, Labels: 3}, testdata("nodule"), "weights", "forward pass fails"},
		"no zip":                {nodule, write(t, []byte("no archive at all")), "weights", "does not begin as a zip"},
		"zip that is none":      {nodule, write(t, []byte("PK\x03\x04 and nothing else")), "weights", "no archive"},
		"zip bomb":              {nodule, write(t, bomb(t)), "weights", "unpacks to too much"},
		"zip of something else": {nodule, write(t, zipOf(t, map[string]string{"a/b": "c"})), "weights", "data.pkl"},
		"pickle of nothing":     {nodule, write(t, zipOf(t, map[string]string{"a/data.pkl": "", "a/constants.pkl": "", "a/version": "3\n"})), "weights", "cannot be loaded"},
		"pickle of a class":     {nodule, write(t, zipOf(t, map[string]string{"a/data.pkl": "c__torch__.torch\nclasses.quantized.X\n.", "a/constants.pkl": "", "a/version": "3\n"})), "weights", "torch.classes"},
		"script as safetensors": {lite0, testdata("nodule"), "weights", "no safetensors"},
		"empty header":          {lite0, write(t, header("{}")), "weights", "_fc.weight"},
		"claims 200 MB":         {lite0, write(t, header(`{"_fc.weight":{"dtype":"F32","shape":[50000000],"data_offsets":[0,200000000]}}`)), "weights", "200000000"},
		"no head":               {lite0, noHead, "weights", "_fc.weight"},
		"no stem":               {lite0, noStem, "weights", "_conv_stem.weight"},
		"another head":          {lite0, fiveHeads, "card.labels", "[5 1280]"},
		"NaN in safetensors":    {lite0, notFinite, "weights", "NaN"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Start(t.Context(), test.spec, open(t, test.path))
			if err == nil {
				p.Close()
				t.Fatal("it passed")
			}
			var e *analysis.Error
			if !errors.As(err, &e) || e.Code != analysis.InvalidArgument || e.Field != test.field || !strings.Contains(e.Error(), test.says) {
				t.Errorf("got %v, want the field %s and %q", err, test.field, test.says)
			} else {
				t.Log(e.Error())
			}
		})
	}
	p := start(t, nodule, testdata("nodule"))
	if _, err := p.Forward(t.Context(), pattern(nodule.inputs())); err != nil {
		t.Errorf("after all that: %v", err)
	}
}

func TestEndlessModels(t *testing.T) {
	loadTime, forwardTime = 5*time.Second, time.Second
	defer func() { loadTime, forwardTime = analysis.MaxModelLoadTime, analysis.MaxModelForwardTime }()
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() {
		_, err := Start(context.Background(), nodule, open(t, testdata("loops")))
		if e := (*analysis.Error)(nil); !errors.As(err, &e) || e.Code != analysis.InvalidArgument || e.Limit != loadTime.String() {
			t.Errorf("a module that never ends: %v", err)
		}
	})
	group.Go(func() {
		p := start(t, nodule, testdata("loopslater"))
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := p.Forward(ctx, make([]float32, nodule.inputs())); !errors.Is(err, context.Canceled) {
			t.Errorf("a caller that went away: %v", err)
		}
		_, err := p.Forward(context.Background(), make([]float32, nodule.inputs()))
		if code := analysis.CodeOf(err); code != analysis.BadUpstream && code != analysis.NotFound {
			t.Errorf("a module that ends not always: %v", err)
		}
		<-p.done
		if _, err := p.Forward(context.Background(), make([]float32, nodule.inputs())); analysis.CodeOf(err) != analysis.NotFound {
			t.Errorf("after its end: %v", err)
		}
	})
}

func TestCallsAtOnce(t *testing.T) {
	p := start(t, nodule, testdata("nodule"))
	want, err := p.Forward(t.Context(), pattern(nodule.inputs()))
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 12 {
		group.Go(func() {
			if got, err := p.Forward(t.Context(), pattern(nodule.inputs())); err != nil || !slices.Equal(got, want) {
				t.Errorf("%v: %v, want %v", err, got, want)
			}
		})
	}
	group.Wait()
	p.waiting.Store(maxWaiting)
	if _, err := p.Forward(t.Context(), pattern(nodule.inputs())); analysis.CodeOf(err) != analysis.Overloaded {
		t.Errorf("with a full queue: %v", err)
	}
	p.waiting.Store(0)
	p.kill()
	<-p.done
	if _, err := p.Forward(t.Context(), pattern(nodule.inputs())); analysis.CodeOf(err) != analysis.NotFound {
		t.Errorf("after the end of its process: %v", err)
	}
}

// inheritedFile is the file that breakOut is started with.
const inheritedFile = 3

// breakOut confines this process and says what it can still do.
func breakOut() {
	if err := closeInherited(3); err != nil {
		fmt.Println("close:", err)
	}
	if _, err := syscall.Read(inheritedFile, make([]byte, 1)); err == nil {
		fmt.Println("could read an inherited file")
	}
	if err := limitResources(); err != nil {
		fmt.Println("limit:", err)
	}
	if err := confine(); err != nil {
		fmt.Println("confine:", err)
	}
	try := func(name string, err error) {
		if err == nil {
			fmt.Println("could", name)
		}
	}
	_, err := os.ReadFile("/etc/passwd")
	try("read a file", err)
	try("write a file", os.WriteFile("/tmp/break-out", nil, 0o600))
	_, err = os.ReadDir("/")
	try("list a folder", err)
	try("remove a file", os.Remove("/tmp/none"))
	_, err = net.Dial("tcp", "127.0.0.1:1")
	if err == nil || !strings.Contains(err.Error(), "not permitted") {
		fmt.Println("could make a socket:", err)
	}
	try("start a program", exec.Command("/bin/true").Run())
	parent, err := os.FindProcess(os.Getppid())
	if err == nil {
		err = parent.Signal(os.Interrupt)
	}
	try("signal its parent", err)
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() { runtime.LockOSThread() }) // a thread each
	}
	group.Wait()
	fmt.Println("done")
	os.Exit(0)
}

func TestConfinement(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(program, "break-out")
	child.ExtraFiles = []*os.File{open(t, "/etc/passwd")}
	said, err := child.CombinedOutput()
	if err != nil || string(said) != "done\n" {
		t.Errorf("%v: %s", err, said)
	}
}

// A program that is started as a model's process by hand ends with an error.
func TestAlone(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(program, Argument)
	child.Stdin = strings.NewReader("")
	said, err := child.CombinedOutput()
	if err == nil || !strings.Contains(string(said), "read the spec") {
		t.Errorf("%v: %s", err, said)
	}
}
