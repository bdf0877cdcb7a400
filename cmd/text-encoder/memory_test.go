package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"consilium/internal/analysis"
)

// asProgram makes of the test's binary the program.
const asProgram = "CONSILIUM_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestResidentMemory holds the idle program to what a machine is planned by.
func TestResidentMemory(t *testing.T) {
	for precision, most := range map[analysis.Precision]int{analysis.FP32: 250e6, analysis.Int8: 150e6} {
		t.Run(string(precision), func(t *testing.T) {
			program := exec.CommandContext(t.Context(), os.Args[0])
			program.Env = append(os.Environ(), asProgram+"=1", "CONSILIUM_LISTEN=127.0.0.1:0", fmt.Sprint("CONSILIUM_TEXT_PRECISION=", precision))
			out, err := program.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := program.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				_ = program.Process.Kill()
				_ = program.Wait()
			}()
			if _, err := bufio.NewReader(out).ReadString('\n'); err != nil { // its address
				t.Fatal(err)
			}
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", program.Process.Pid))
			if err != nil {
				t.Skip("resident memory is read from /proc, which this system lacks")
			}
			found := regexp.MustCompile(`VmRSS:\s*(\d+) kB`).FindSubmatch(status)
			if found == nil {
				t.Fatalf("no resident memory in %s", status)
			}
			kilobytes, err := strconv.Atoi(string(found[1]))
			if err != nil {
				t.Fatal(err)
			}
			resident := kilobytes * 1024
			t.Logf("%d MB are resident", resident/1e6)
			if resident > most {
				t.Errorf("%d MB are resident, want at most %d", resident/1e6, most/1e6)
			}
		})
	}
}
