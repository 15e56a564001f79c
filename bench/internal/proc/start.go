// Package proc starts child processes on a chosen processor and ends them.
package proc

import (
	"fmt"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// AnyCPU leaves a child on the processors of its parent.
const AnyCPU = -1

// Start starts cmd, so that it and everything it starts run on processor cpu
// only. The child ends when this process does, however that happens.
func Start(cmd *exec.Cmd, cpu int) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if cpu == AnyCPU {
		return cmd.Start()
	}

	// A child inherits the affinity of the thread that creates it, and has it
	// from its first instruction: a Go program finds one processor.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, only unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("reading affinity: %w", err)
	}
	only.Set(cpu)
	if err := unix.SchedSetaffinity(0, &only); err != nil {
		return fmt.Errorf("pinning to processor %d: %w", cpu, err)
	}
	startErr := cmd.Start()
	if err := unix.SchedSetaffinity(0, &before); err != nil {
		return fmt.Errorf("restoring affinity: %w", err)
	}
	return startErr
}

// CheckCPU reports whether this process may use processor cpu.
func CheckCPU(cpu int) error {
	if cpu == AnyCPU {
		return nil
	}
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return fmt.Errorf("reading affinity: %w", err)
	}
	if cpu < 0 || !allowed.IsSet(cpu) {
		return fmt.Errorf("processor %d is not available here (%d are)", cpu, allowed.Count())
	}
	return nil
}
