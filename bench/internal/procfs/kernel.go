package procfs

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Kernel is the memory that the kernel holds for itself, in bytes.
type Kernel struct {
	Slab      int64 `json:"slab_bytes"`          // objects of its own: sockets, files, …
	Stacks    int64 `json:"thread_stack_bytes"`  // of threads
	Tables    int64 `json:"page_table_bytes"`    // of processes
	Mapped    int64 `json:"vmalloc_bytes"`       // larger areas: rings, tables of descriptors
	Sockets   int64 `json:"socket_buffer_bytes"` // what TCP sockets have queued, both ways
	Available int64 `json:"available_bytes"`     // what programs could still have

	// Caches are the slabs by name, nil for those who may not see /proc/slabinfo.
	Caches map[string]int64 `json:"-"`
}

// ReadKernel reads the kernel's memory.
func ReadKernel() (k Kernel, err error) {
	data, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return k, fmt.Errorf("reading memory: %w", err)
	}
	for _, f := range []struct {
		name string
		to   *int64
	}{{"Slab", &k.Slab}, {"KernelStack", &k.Stacks}, {"PageTables", &k.Tables}, {"VmallocUsed", &k.Mapped}, {"MemAvailable", &k.Available}} {
		if *f.to, err = parseKiB(data, f.name); err != nil {
			return k, fmt.Errorf("/proc/meminfo: %w", err)
		}
	}
	if data, err = os.ReadFile("/proc/net/sockstat"); err != nil {
		return k, fmt.Errorf("reading memory: %w", err)
	}
	if k.Sockets, err = parseSockstat(data); err != nil {
		return k, err
	}
	if data, err = os.ReadFile("/proc/slabinfo"); err == nil {
		k.Caches, err = parseSlabinfo(data)
	} else if os.IsPermission(err) || os.IsNotExist(err) {
		err = nil
	}
	return k, err
}

// Sub returns what the kernel's own memory has grown by since before. Available is what
// there is less.
func (k Kernel) Sub(before Kernel) Kernel {
	d := Kernel{
		Slab: k.Slab - before.Slab, Stacks: k.Stacks - before.Stacks, Tables: k.Tables - before.Tables, Mapped: k.Mapped - before.Mapped,
		Sockets: k.Sockets - before.Sockets, Available: before.Available - k.Available,
	}
	if k.Caches != nil && before.Caches != nil {
		d.Caches = make(map[string]int64)
		for name, n := range k.Caches {
			if grown := n - before.Caches[name]; grown != 0 {
				d.Caches[name] = grown
			}
		}
	}
	return d
}

// parseSockstat returns the memory of TCP, which "TCP: inuse 1 … mem N" has in pages.
func parseSockstat(data []byte) (int64, error) {
	for line := range bytes.Lines(data) {
		fields := strings.Fields(string(line))
		if len(fields) == 0 || fields[0] != "TCP:" {
			continue
		}
		for i := 1; i+1 < len(fields); i += 2 {
			if fields[i] == "mem" {
				n, err := strconv.ParseInt(fields[i+1], 10, 64)
				return n * int64(os.Getpagesize()), err
			}
		}
	}
	return 0, fmt.Errorf("/proc/net/sockstat: no memory of TCP")
}

// parseSlabinfo returns the bytes of each cache: the number of slabs by the pages of one.
func parseSlabinfo(data []byte) (map[string]int64, error) {
	caches := make(map[string]int64)
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		// name active objects size perslab pagesperslab : tunables l b s : slabdata active slabs shared
		f := strings.Fields(lines.Text())
		if len(f) != 16 || f[12] != "slabdata" {
			continue // a heading
		}
		pages, err := strconv.ParseInt(f[5], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("/proc/slabinfo: %w", err)
		}
		slabs, err := strconv.ParseInt(f[14], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("/proc/slabinfo: %w", err)
		}
		caches[f[0]] = pages * slabs * int64(os.Getpagesize())
	}
	return caches, lines.Err()
}
