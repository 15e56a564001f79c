// Package procfs reads what the benchmarks need to know about a server process
// from /proc: processor time, memory, descriptors and threads.
package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// userHZ is the unit of the times in /proc/PID/stat: 1/100 s on every
// architecture that Go supports, whatever the kernel's own tick is.
const userHZ = 100

// CPU is the processor time a process has used so far, from two sources.
type CPU struct {
	// Scheduled is the time its living threads have run, in nanoseconds.
	Scheduled time.Duration
	// Waited is the time its living threads were runnable and did not run.
	// It shows that something else wanted the same processor.
	Waited time.Duration
	// Accounted is user plus system time of the whole process. It includes
	// threads that have ended, but counts in steps of 10 ms.
	Accounted time.Duration
}

// ReadCPU reads the processor time of a process.
func ReadCPU(pid int) (CPU, error) {
	return readCPU(processDir(pid))
}

// Sub returns the time used between before and c.
func (c CPU) Sub(before CPU) CPU {
	return CPU{
		Scheduled: c.Scheduled - before.Scheduled,
		Waited:    c.Waited - before.Waited,
		Accounted: c.Accounted - before.Accounted,
	}
}

// Used returns the best figure for a difference of two readings, and whether
// threads ended in between. Scheduled is exact but forgets a thread when it
// ends; if it falls short of Accounted by more than the coarse steps of the
// latter explain, Accounted is the better of the two.
func (c CPU) Used() (used time.Duration, threadsEnded bool) {
	const steps = 4 * time.Second / userHZ // two times, each read twice
	if c.Accounted-c.Scheduled > steps+c.Accounted/100 {
		return c.Accounted, true
	}
	return c.Scheduled, false
}

func processDir(pid int) string {
	return filepath.Join("/proc", strconv.Itoa(pid))
}

func readCPU(dir string) (CPU, error) {
	var cpu CPU
	tasks, err := os.ReadDir(filepath.Join(dir, "task"))
	if err != nil {
		return CPU{}, fmt.Errorf("listing threads: %w", err)
	}
	for _, task := range tasks {
		data, err := os.ReadFile(filepath.Join(dir, "task", task.Name(), "schedstat"))
		if threadGone(err) {
			continue
		}
		if err != nil {
			return CPU{}, fmt.Errorf("reading thread times: %w", err)
		}
		ran, waited, err := parseSchedstat(data)
		if err != nil {
			return CPU{}, err
		}
		cpu.Scheduled += ran
		cpu.Waited += waited
	}

	data, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return CPU{}, fmt.Errorf("reading process times: %w", err)
	}
	cpu.Accounted, err = parseStat(data)
	return cpu, err
}

// threadGone reports whether err says that a thread ended between being listed
// and being read.
func threadGone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}

// parseSchedstat reads "RAN WAITED TIMESLICES", the first two in nanoseconds.
func parseSchedstat(data []byte) (ran, waited time.Duration, err error) {
	fields := bytes.Fields(data)
	if len(fields) != 3 {
		return 0, 0, fmt.Errorf("schedstat: want 3 fields, have %q", data)
	}
	var values [2]time.Duration
	for i := range values {
		n, err := strconv.ParseInt(string(fields[i]), 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("schedstat: %w", err)
		}
		values[i] = time.Duration(n)
	}
	return values[0], values[1], nil
}

// parseStat returns utime+stime, fields 14 and 15 of /proc/PID/stat. Field 2, the
// command, is in parentheses and may itself hold spaces and parentheses.
func parseStat(data []byte) (time.Duration, error) {
	end := bytes.LastIndexByte(data, ')')
	fields := bytes.Fields(data[end+1:])
	if end < 0 || len(fields) < 13 {
		return 0, fmt.Errorf("stat: cannot parse %q", data)
	}
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("stat: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / userHZ), nil
}
