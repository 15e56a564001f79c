package uring

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCauses(t *testing.T) {
	for _, test := range []struct {
		err    syscall.Errno
		sysctl string
		words  []string
	}{
		{unix.EPERM, "", []string{"seccomp", "Docker", "io_uring_setup"}},
		{unix.EPERM, "0", []string{"seccomp", "Docker", "io_uring_setup"}},
		{unix.EPERM, "1", []string{"kernel.io_uring_disabled is 1", "io_uring_group"}},
		{unix.EPERM, "2", []string{"kernel.io_uring_disabled is 2", "set it to 0"}},
		{unix.EACCES, "", []string{"SELinux"}},
		{unix.ENOSYS, "", []string{"gVisor", "5.1"}},
		{unix.EINVAL, "", []string{"older than 6.0"}},
		{unix.ENOMEM, "", []string{"RLIMIT_MEMLOCK", "control group"}},
		{unix.EMFILE, "", []string{"RLIMIT_NOFILE"}},
		{unix.ENFILE, "", []string{"fs.file-max"}},
	} {
		wrapped := fmt.Errorf("map 10 bytes: %w", os.NewSyscallError("mmap", test.err))
		got := cause(wrapped, test.sysctl)
		for _, word := range test.words {
			if !strings.Contains(got, word) {
				t.Errorf("%v with sysctl %q: %q lacks %q", test.err, test.sysctl, got, word)
			}
		}
	}
	if got := cause(unix.EIO, "2"); got != "" {
		t.Errorf("a cause for EIO: %q", got)
	}
}

func TestErrorMatches(t *testing.T) {
	err := fmt.Errorf("start: %w", refused("io_uring_setup", os.NewSyscallError("iouring_setup", unix.ENOSYS)))
	if !errors.Is(err, ErrUnavailable) || !errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		t.Errorf("%v matches the wrong errors", err)
	}
	const want = "start: io_uring is not available: io_uring_setup: function not implemented (the kernel was built without"
	if !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%q", err)
	}
	plain := &Error{Step: "io_uring_setup", Err: unix.EIO}
	if got := plain.Error(); got != "io_uring is not available: io_uring_setup: input/output error" {
		t.Errorf("%q", got)
	}
}
