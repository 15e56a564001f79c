package procfs

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// Memory is the memory a process holds, in bytes.
type Memory struct {
	RSS int64 `json:"rss_bytes"` // resident pages, shared ones counted in full
	PSS int64 `json:"pss_bytes"` // resident pages, each divided by how many processes share it
}

// ReadMemory reads the memory of a process. The proportional figure makes the
// kernel walk all its pages; ReadRSS is cheaper.
func ReadMemory(pid int) (Memory, error) {
	rss, err := ReadRSS(pid)
	if err != nil {
		return Memory{}, err
	}
	pss, err := readKiB(filepath.Join(processDir(pid), "smaps_rollup"), "Pss")
	if err != nil {
		return Memory{}, err
	}
	return Memory{RSS: rss, PSS: pss}, nil
}

// ReadRSS reads the resident memory of a process in bytes.
func ReadRSS(pid int) (int64, error) {
	return readKiB(filepath.Join(processDir(pid), "status"), "VmRSS")
}

func readKiB(path, name string) (int64, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, fmt.Errorf("reading memory: %w", err)
	}
	n, err := parseKiB(data, name)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return n, nil
}

// parseKiB finds the line "NAME:   N kB" and returns N in bytes.
func parseKiB(data []byte, name string) (int64, error) {
	for line := range bytes.Lines(data) {
		fields := bytes.Fields(line)
		if len(fields) != 3 || string(fields[0]) != name+":" || string(fields[2]) != "kB" {
			continue
		}
		n, err := strconv.ParseInt(string(fields[1]), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		return n * 1024, nil
	}
	return 0, fmt.Errorf("no line %q", name)
}
