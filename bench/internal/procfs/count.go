package procfs

import (
	"fmt"
	"os"
	"path/filepath"
)

// CountFDs returns how many descriptors a process has open.
func CountFDs(pid int) (int, error) {
	return countEntries(filepath.Join(processDir(pid), "fd"))
}

// CountThreads returns how many threads a process has.
func CountThreads(pid int) (int, error) {
	return countEntries(filepath.Join(processDir(pid), "task"))
}

func countEntries(dir string) (int, error) {
	d, err := os.Open(dir)
	if err != nil {
		return 0, fmt.Errorf("counting: %w", err)
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return 0, fmt.Errorf("counting: %w", err)
	}
	return len(names), nil
}
