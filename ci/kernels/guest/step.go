package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/ci/kernels/plan"
)

const (
	// cannotRun is the exit status of a step that did not come to run its tests.
	cannotRun = 125
	// least is what must be left of the plan's time for a step to be worth a try.
	least = 5 * time.Second
	// dying is how long a test binary has to end by itself after its own limit: it
	// writes the stacks of its goroutines then.
	dying = 30 * time.Second
)

// run carries out a step within the time that is left.
func run(w *port, s plan.Step, left time.Duration) {
	w.record(plan.Record{Kind: plan.Begin, Suite: s.Suite})
	end := plan.Record{Kind: plan.End, Suite: s.Suite}
	began := time.Now()
	if limit := min(s.Limit, left); limit < least {
		end.Exit, end.Text = cannotRun, "no time was left"
	} else {
		end.Exit, end.Text = start(w, s, limit)
	}
	end.Seconds = time.Since(began).Seconds()
	w.record(end)
}

// start runs the step in a process of its own, which first restricts itself.
func start(w *port, s plan.Step, limit time.Duration) (exit int, why string) {
	if !s.Program {
		s.Args = append(s.Args, "-test.timeout="+limit.String())
	}
	text, err := json.Marshal(s)
	if err != nil {
		return cannotRun, err.Error()
	}
	cmd := exec.Command("/proc/self/exe", "step", string(text))
	cmd.Dir = s.Dir
	cmd.Env = append([]string{"PATH=/bin", "HOME=/tmp", "TMPDIR=/tmp"}, s.Env...)
	cmd.Stdout, cmd.Stderr = w, w
	// A process left behind by a test may hold the pipe open.
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return cannotRun, err.Error()
	}
	killer := time.AfterFunc(limit+dying, func() { _ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) })
	err = cmd.Wait()
	if !killer.Stop() {
		return cannotRun, fmt.Sprintf("killed %v after its time was up", dying)
	}
	var status *exec.ExitError
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return 0, ""
	case errors.As(err, &status) && status.Exited():
		return status.ExitCode(), ""
	}
	return cannotRun, err.Error()
}

// become restricts this process and makes it the step's.
func become(text string) error {
	runtime.LockOSThread()
	var s plan.Step
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	for _, l := range []struct {
		name     string
		resource int
		value    uint64
	}{{"RLIMIT_NOFILE", syscall.RLIMIT_NOFILE, s.Under.NoFile}, {"RLIMIT_MEMLOCK", unix.RLIMIT_MEMLOCK, s.Under.Memlock}} {
		// The syscall package remembers what was set here; otherwise it would put the
		// old limit of descriptors back for the program it executes.
		if err := syscall.Setrlimit(l.resource, &syscall.Rlimit{Cur: l.value, Max: l.value}); err != nil {
			return fmt.Errorf("%s %d: %w", l.name, l.value, err)
		}
	}
	if s.Under.NoURing {
		if err := forbidURing(); err != nil {
			return fmt.Errorf("seccomp: %w", err)
		}
	}
	return fmt.Errorf("%s: %w", s.Path, syscall.Exec(s.Path, append([]string{s.Path}, s.Args...), os.Environ()))
}

// forbidURing answers io_uring's three system calls with EPERM, as the profiles of
// container engines do. Their numbers are the same on every architecture.
func forbidURing() error {
	const (
		first     = unix.SYS_IO_URING_SETUP
		last      = unix.SYS_IO_URING_REGISTER
		setFilter = 1 // SECCOMP_SET_MODE_FILTER
		tsync     = 1 // SECCOMP_FILTER_FLAG_TSYNC: all threads
		allow     = 0x7fff0000
		fail      = 0x00050000
	)
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number of the call
		{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: first, Jf: 2},
		{Code: unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K, K: last, Jt: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: fail | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: allow},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, setFilter, tsync, uintptr(unsafe.Pointer(&program)))
	runtime.KeepAlive(filter)
	if errno != 0 {
		return errno
	}
	if thread != 0 {
		return fmt.Errorf("thread %d could not be restricted", thread)
	}
	return nil
}
