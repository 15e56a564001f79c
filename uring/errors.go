package uring

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// ErrUnavailable is matched (errors.Is) by the errors that [New] returns when the
// running kernel has no io_uring for this process, or one that is too old.
var ErrUnavailable = errors.New("io_uring is not available")

// Error says which step of making a ring the kernel refused, and what to do.
type Error struct {
	Step  string // for example "io_uring_setup"
	Err   error  // the kernel's errno, or what is missing
	Cause string // the likely cause and its cure, one sentence
}

// Error names the step, the errno, and the cause with its cure.
func (e *Error) Error() string {
	s := fmt.Sprintf("io_uring is not available: %s: %v", e.Step, e.Err)
	if e.Cause != "" {
		s += " (" + e.Cause + ")"
	}
	return s
}

// Unwrap makes errors.Is work for the errno.
func (e *Error) Unwrap() error { return e.Err }

// Is makes every Error an ErrUnavailable.
func (e *Error) Is(target error) bool { return target == ErrUnavailable }

// refused wraps the errno of a set-up step with the cause it usually has.
func refused(step string, err error) error {
	return &Error{Step: step, Err: bare(err), Cause: cause(err, disabledSysctl())}
}

// bare takes the errno out of os.SyscallError, whose name of the call says less
// than the step.
func bare(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

func cause(err error, sysctl string) string {
	switch {
	case errors.Is(err, syscall.EPERM) && (sysctl == "1" || sysctl == "2"):
		return "the sysctl kernel.io_uring_disabled is " + sysctl +
			": set it to 0, or to 1 and put this process into the group of kernel.io_uring_group"
	case errors.Is(err, syscall.EPERM):
		return "a seccomp filter, as Docker since 25.0 and containerd since 2.0 install, forbids it: " +
			"allow io_uring_setup, io_uring_enter and io_uring_register in the container's profile"
	case errors.Is(err, syscall.EACCES):
		return "a security module such as SELinux forbids it: allow io_uring in its policy"
	case errors.Is(err, syscall.ENOSYS):
		return "the kernel was built without io_uring, is older than 5.1, or is a sandbox such as gVisor: " +
			"run on a kernel of 6.1 or newer, or use epoll"
	case errors.Is(err, syscall.EINVAL):
		return "the kernel is older than 6.0: upgrade to 6.1 or newer, or use epoll"
	case errors.Is(err, syscall.ENOMEM):
		return "no memory for the rings: raise RLIMIT_MEMLOCK or the memory limit of the control group"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "no descriptor left: raise RLIMIT_NOFILE or fs.file-max"
	}
	return ""
}

// disabledSysctl returns kernel.io_uring_disabled (6.6), or "" without it.
func disabledSysctl() string {
	b, err := os.ReadFile("/proc/sys/kernel/io_uring_disabled")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
