package procfs

import (
	"fmt"
	"os"
	"path/filepath"
)

// The two ways in which a server can wait for its connections.
const (
	IOUring = "io_uring"
	Epoll   = "epoll"
)

// Engine tells which of the two a server runs on, whatever it was asked for: a
// process that holds an io_uring is taken to use it. Every Go program holds an
// epoll descriptor.
func Engine(pid int) (string, error) {
	dir := filepath.Join(processDir(pid), "fd")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("listing descriptors: %w", err)
	}
	for _, entry := range entries {
		// A descriptor closed since is none to look at.
		if to, err := os.Readlink(filepath.Join(dir, entry.Name())); err == nil && to == "anon_inode:[io_uring]" {
			return IOUring, nil
		}
	}
	return Epoll, nil
}
