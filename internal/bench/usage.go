package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// usage is what the processors did since the machine started, in ticks.
type usage struct {
	total, busy float64
	own         float64 // of busy, this process and what descends from it
	stolen      float64 // of busy, other machines on the same processor
}

// busyFrom is the share of the machine used by others from which a run says that the machine was busy.
const busyFrom = 0.05

// others returns the share of the machine that was taken, since before, by what does not belong to this run: other
// processes, and other machines on the same processor.
func (u usage) others(before usage) float64 {
	total := u.total - before.total
	if total <= 0 {
		return 0
	}
	return max(0, (u.busy-before.busy-(u.own-before.own))/total)
}

// stole returns the share that other machines on the same processor took since before: part of others.
func (u usage) stole(before usage) float64 {
	if total := u.total - before.total; total > 0 {
		return (u.stolen - before.stolen) / total
	}
	return 0
}

func readUsage() (u usage, err error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return u, fmt.Errorf("read the load of the machine: %w", err)
	}
	if u, err = parseStat(stat); err != nil {
		return u, err
	}
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return u, err
	}
	all := map[int]process{}
	for _, path := range paths {
		line, err := os.ReadFile(path)
		if err != nil {
			continue // it ended
		}
		if p, ok := parseProcess(line); ok {
			all[p.pid] = p
		}
	}
	u.own = tree(all, os.Getpid())
	return u, nil
}

// parseStat reads the first line of /proc/stat, proc(5): all but idle and waiting for a disk is busy, also what another
// machine stole. Guests are counted in user time already.
func parseStat(stat []byte) (u usage, err error) {
	line, _, _ := strings.Cut(string(stat), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return u, fmt.Errorf("read the load of the machine: /proc/stat begins %q", line)
	}
	for i, field := range fields[1:9] {
		ticks, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return u, fmt.Errorf("read the load of the machine: %w", err)
		}
		u.total += ticks
		if i != 3 && i != 4 {
			u.busy += ticks
		}
		if i == 7 {
			u.stolen = ticks
		}
	}
	return u, nil
}

// process is what /proc/PID/stat says of a process: its ticks include those of the children that it waited for.
type process struct {
	pid, parent int
	ticks       float64
}

func parseProcess(line []byte) (p process, ok bool) {
	open, end := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')') // the name may hold anything
	if open < 0 || end < open {
		return p, false
	}
	fields := strings.Fields(string(line[end+1:]))
	if len(fields) < 15 {
		return p, false
	}
	var err error
	if p.pid, err = strconv.Atoi(strings.TrimSpace(string(line[:open]))); err != nil {
		return p, false
	}
	if p.parent, err = strconv.Atoi(fields[1]); err != nil {
		return p, false
	}
	for _, field := range fields[11:15] { // utime, stime, cutime, cstime
		ticks, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return p, false
		}
		p.ticks += ticks
	}
	return p, true
}

// tree returns the ticks of root and of everything that descends from it.
func tree(all map[int]process, root int) (ticks float64) {
	for _, p := range all {
		for at, steps := p.pid, 0; steps < len(all); steps++ {
			if at == root {
				ticks += p.ticks
				break
			}
			parent, ok := all[at]
			if !ok {
				break
			}
			at = parent.parent
		}
	}
	return ticks
}
