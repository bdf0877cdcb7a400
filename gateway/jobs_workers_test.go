package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"consilium/gateway/client"
	"consilium/internal/wire"
)

// asProgram has the test binary be the program, so that tests can start it as processes of their own.
const asProgram = "GATEWAY_TEST_PROGRAM"

// program runs the gateway with the settings of the environment.
func program() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := Run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// worker is a gateway in a process of its own, and in a network namespace of its own where the test may make one.
type worker struct {
	command *exec.Cmd
	log     *logBuffer
	calls   atomic.Int64  // of the fusion, that this worker made
	hold    chan struct{} // while it is open, calls after the tenth wait
	held    chan struct{} // takes a token for each call that waits
}

// fusion serves the models' fusion to one worker.
func (w *worker) fusion(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/infer") && w.calls.Add(1) > 10 {
			select {
			case w.held <- struct{}{}:
			default:
			}
			<-w.hold
		}
		next.ServeHTTP(rw, r)
	})
}

// namespace makes a network namespace with a line to this one, and returns its name and our end's address.
func namespace(t *testing.T, i int) (name, address string) {
	name, address = fmt.Sprintf("consilium-%d-%d", os.Getpid(), i), fmt.Sprintf("10.213.%d.1", i)
	link := fmt.Sprintf("cns%d-%d", os.Getpid()%100000, i)
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", name).Run() }) // the link goes with it
	for _, line := range []string{
		"netns add " + name,
		"link add " + link + " type veth peer name eth0 netns " + name,
		"address add " + address + "/30 dev " + link,
		"link set " + link + " up",
		"-n " + name + " address add " + fmt.Sprintf("10.213.%d.2/30", i) + " dev eth0",
		"-n " + name + " link set eth0 up",
		"-n " + name + " link set lo up",
	} {
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			t.Logf("no network namespace here (ip %s: %v %s): the worker is a plain process", line, err, out)
			return "", "127.0.0.1"
		}
	}
	return name, address
}

// startWorker starts a worker on the fixture's database, and returns when it serves.
func (f *fixture) startWorker(i int) *worker {
	f.t.Helper()
	w := &worker{log: &logBuffer{}, hold: make(chan struct{}), held: make(chan struct{}, 1)}
	name, address := namespace(f.t, i)
	serve := func(handler http.Handler) string {
		listener, err := net.Listen("tcp", address+":0")
		if err != nil {
			f.t.Fatal(err)
		}
		server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: handler}}
		server.Start()
		f.t.Cleanup(server.CloseClientConnections)
		return "http://" + listener.Addr().String()
	}
	info := func(role string) wire.ModelInfo {
		return wire.ModelInfo{Digest: role + "-digest", Probe: func(context.Context) error { return nil }}
	}
	arguments := []string{os.Args[0], "--workers=2"}
	if name != "" {
		arguments = append([]string{"ip", "netns", "exec", name}, arguments...)
	}
	w.command = exec.Command(arguments[0], arguments[1:]...)
	w.command.Env = append(os.Environ(), asProgram+"=1", "CONSILIUM_LISTEN=127.0.0.1:0", "CONSILIUM_POSTGRES_URL="+f.database, "CONSILIUM_BLOB_DIR="+f.blobs,
		"CONSILIUM_JOB_ITEM_TIMEOUT=5s", "CONSILIUM_WORKERS=0", // the flag holds
		"CONSILIUM_TEXT_ENCODER_URL="+serve(wire.NewTextServer(f.models, info("text"))), "CONSILIUM_VISION_ENCODER_URL="+serve(wire.NewVisionServer(f.models, info("image"))),
		"CONSILIUM_AUDIO_ENCODER_URL="+serve(wire.NewAudioServer(f.models, info("audio"))), "CONSILIUM_FUSION_URL="+serve(w.fusion(wire.NewFusionServer(f.models, info("fusion")))))
	w.command.Stderr = w.log
	w.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := w.command.StdoutPipe()
	if err == nil {
		err = w.command.Start()
	}
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		_ = w.command.Process.Kill() // unless it has ended
		_ = w.command.Wait()
	})
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		f.t.Fatalf("the worker ended: %s", w.log)
	}
	return w
}

// TestAWorkerIsKilled has three processes work on a job and kills one that is in the middle of items.
func TestAWorkerIsKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("waits until a dead worker's items are given to others, a minute")
	}
	f := newFixture(t, nil)
	const studies = 60
	ids := f.labelled(make([]string, studies)...)
	workers := []*worker{f.startWorker(0), f.startWorker(1), f.startWorker(2)}
	for _, w := range workers[1:] {
		close(w.hold)
	}
	job := f.createJob(`{"task":"questions","options":{"questions":["What colour?"]}}`)
	<-workers[0].held
	if err := workers[0].command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	close(workers[0].hold)
	done := f.awaitJob(job.Id, func(job *client.Job) bool { return job.State == client.JobCompleted })
	if done.Counts.Succeeded != studies || done.Counts.Failed != 0 {
		t.Errorf("the job is %+v", done)
	}
	again := 0
	for _, item := range f.allItems(job.Id) {
		if item.Attempts > 1 {
			again++
		}
	}
	if again == 0 {
		t.Error("no item was begun again, but the worker had some")
	}
	for _, id := range ids {
		answers, err := f.client.ListAnswersWithResponse(t.Context(), id, nil)
		if err != nil || len(answers.JSON200.Answers) != 1 {
			t.Errorf("the study %s has the answers %s %v", id, answers.Body, err)
		}
	}
	told := map[int]int{}
	for _, e := range f.follow(job.Id, "") {
		if e.name == "item" {
			told[e.item.Position]++
		}
	}
	for position, times := range told {
		if times != 1 {
			t.Errorf("item %d is told %d times", position, times)
		}
	}
	if len(told) != studies {
		t.Errorf("%d items are told", len(told))
	}
	for i, w := range workers {
		if w.calls.Load() == 0 {
			t.Errorf("worker %d did nothing", i)
		}
		if i > 0 {
			if err := w.command.Process.Signal(syscall.SIGTERM); err != nil {
				t.Error(err)
			}
			if err := w.command.Wait(); err != nil {
				t.Errorf("worker %d ended with %v: %s", i, err, w.log)
			}
		}
	}
}

func (f *fixture) awaitJob(id string, wanted func(*client.Job) bool) *client.Job {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 3*time.Minute)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		r, err := f.client.GetJobWithResponse(ctx, id)
		if err != nil || r.JSON200 == nil {
			f.t.Fatalf("read a job: %v", err)
		}
		if wanted(r.JSON200) {
			return r.JSON200
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			f.t.Fatalf("the job stays %s", r.Body)
		}
	}
}

func (f *fixture) allItems(id string) (items []client.JobItem) {
	f.t.Helper()
	_, lines := f.do(http.MethodGet, "/v1/jobs/"+id+"/results", nil, nil)
	for line := range strings.Lines(string(lines)) {
		var item client.JobItem
		if err := json.Unmarshal([]byte(line), &item); err != nil {
			f.t.Fatal(err)
		}
		items = append(items, item)
	}
	return items
}
