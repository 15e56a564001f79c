package fallback

import (
	"errors"
	"fmt"
	"syscall"
)

// refused says which step of making a ring failed, and what to do.
func refused(step string, err error) error {
	if hint := cure(err); hint != "" {
		return fmt.Errorf("fallback: %s: %w (%s)", step, err, hint)
	}
	return fmt.Errorf("fallback: %s: %w", step, err)
}

func cure(err error) string {
	switch {
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "no descriptor left: raise RLIMIT_NOFILE or fs.file-max"
	case errors.Is(err, syscall.ENOMEM):
		return "no memory left: raise the memory limit of the process or its control group"
	case errors.Is(err, syscall.ENOSPC):
		return "no epoll watch left: raise fs.epoll.max_user_watches"
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES), errors.Is(err, syscall.ENOSYS):
		return "a seccomp filter or a sandbox forbids it: allow epoll_create1, epoll_ctl, epoll_pwait and eventfd2"
	}
	return ""
}

func errnoOf(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return syscall.EIO
}
