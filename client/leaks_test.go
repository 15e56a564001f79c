package client

import (
	"net"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"testing"
	"time"
)

// patience is how long something may take that should happen at once.
const patience = 30 * time.Second

// tick is a timeout that is short in a test. On an emulated machine it is longer:
// RINGKIT_TIME_SCALE says how much.
var tick = 150 * time.Millisecond * timeScale()

func timeScale() time.Duration {
	n, err := strconv.Atoi(os.Getenv("RINGKIT_TIME_SCALE"))
	if err != nil || n < 1 {
		return 1
	}
	return time.Duration(n)
}

// eventually waits until ok holds, and reports whether it did in time.
func eventually(ok func() bool) bool {
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// expectNoLeaks fails the test if goroutines or descriptors are left when all that was
// registered with Cleanup after it is over, and the transport is closed.
func expectNoLeaks(t *testing.T, tr *Transport) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") // the net package keeps descriptors of its own from its first use on
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	goroutines, descriptors := runtime.NumGoroutine(), len(openFiles(t))
	t.Cleanup(func() {
		if !eventually(func() bool { return runtime.NumGoroutine() <= goroutines }) {
			var stacks strings.Builder
			pprof.Lookup("goroutine").WriteTo(&stacks, 1)
			t.Errorf("%d goroutines were left:\n%s", runtime.NumGoroutine()-goroutines, stacks.String())
		}
		if !eventually(func() bool { return len(openFiles(t)) <= descriptors }) {
			t.Errorf("%d descriptors were left: %q", len(openFiles(t))-descriptors, openFiles(t))
		}
	})
	t.Cleanup(func() { tr.Close() })
}

// openFiles returns what the descriptors of the process refer to, without pipes: the net
// package keeps those through which it splices.
func openFiles(t *testing.T) (files []string) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && !strings.HasPrefix(target, "pipe:") {
			files = append(files, target)
		}
	}
	return files
}
