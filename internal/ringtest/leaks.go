package ringtest

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// NoLeaks fails the test if at its end, after everything registered later is
// cleaned up, more descriptors, ring mappings or goroutines exist than now.
func NoLeaks(t testing.TB) {
	t.Helper()
	time.Sleep(time.Microsecond) // the runtime's poller makes its descriptors with the first timer
	fds, maps, goroutines := countFDs(t), countRingMaps(t), runtime.NumGoroutine()
	t.Cleanup(func() {
		if t.Failed() {
			return
		}
		if n := countFDs(t); n > fds {
			t.Errorf("%d descriptors before, %d after", fds, n)
		}
		if n := countRingMaps(t); n > maps {
			t.Errorf("%d mappings of rings before, %d after", maps, n)
		}
		deadline := time.Now().Add(Patience)
		for runtime.NumGoroutine() > goroutines {
			if time.Sleep(time.Millisecond); time.Now().After(deadline) {
				t.Errorf("%d goroutines before, %d after", goroutines, runtime.NumGoroutine())
				return
			}
		}
	})
}

func countFDs(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func countRingMaps(t testing.TB) int {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(maps), "[io_uring]")
}

// AddressSpace returns the size of the process's address space in bytes.
func AddressSpace(t testing.TB) (bytes int64) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(b), &bytes); err != nil {
		t.Fatal(err)
	}
	return bytes * int64(os.Getpagesize())
}
