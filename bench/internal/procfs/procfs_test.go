package procfs

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestParseSchedstat(t *testing.T) {
	ran, waited, err := parseSchedstat([]byte("709556674 64334 4\n"))
	if err != nil || ran != 709556674 || waited != 64334 {
		t.Errorf("got %d, %d, %v", ran, waited, err)
	}
	for _, bad := range []string{"", "1 2", "1 2 3 4", "x 2 3", "1 y 3", "99999999999999999999 0 0"} {
		if _, _, err := parseSchedstat([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestParseStat(t *testing.T) {
	const tail = " S 1 1 1 0 -1 4194560 1 0 0 0 150 25 0 0 20 0 1 0 100 1 1"
	for _, command := range []string{"(server)", "(a b)", "(x) y)", "(()"} {
		got, err := parseStat([]byte("42 " + command + tail))
		if err != nil || got != 1750*time.Millisecond {
			t.Errorf("%s: got %v, %v", command, got, err)
		}
	}
	for _, bad := range []string{"", "42 (x) S 1", "42 x S 1 1 1 0 -1 0 1 0 0 0 1 2"} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestReadCPUSumsThreads(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("task/7/schedstat", "1000 10 1\n")
	write("task/8/schedstat", "2000 20 1\n")
	write("stat", "7 (x) S 1 1 1 0 -1 0 1 0 0 0 3 4 0 0 20 0 1 0 1 1 1")
	// A thread that has ended since the directory was listed.
	if err := os.Mkdir(filepath.Join(dir, "task/9"), 0o755); err != nil {
		t.Fatal(err)
	}

	got, err := readCPU(dir)
	want := CPU{Scheduled: 3000, Waited: 30, Accounted: 70 * time.Millisecond}
	if err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

func TestUsed(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		scheduled, accounted, used time.Duration
		ended                      bool
	}{
		{scheduled: 5003 * ms, accounted: 4990 * ms, used: 5003 * ms},
		{scheduled: 4960 * ms, accounted: 5000 * ms, used: 4960 * ms},
		{scheduled: 3000 * ms, accounted: 5000 * ms, used: 5000 * ms, ended: true},
		{scheduled: -20 * ms, accounted: 500 * ms, used: 500 * ms, ended: true},
	} {
		c := CPU{Scheduled: test.scheduled, Accounted: test.accounted}
		used, ended := c.Used()
		if used != test.used || ended != test.ended {
			t.Errorf("%+v: got %v, %v", test, used, ended)
		}
	}
}

func TestParseKiB(t *testing.T) {
	status := []byte("Name:\tserver\nVmHWM:\t  900 kB\nVmRSS:\t    1234 kB\nThreads:\t5\n")
	if n, err := parseKiB(status, "VmRSS"); err != nil || n != 1234*1024 {
		t.Errorf("got %d, %v", n, err)
	}
	if _, err := parseKiB(status, "Pss"); err == nil {
		t.Error("missing line: no error")
	}
}

func TestOwnProcess(t *testing.T) {
	pid := os.Getpid()
	if cpu, err := ReadCPU(pid); err != nil || cpu.Scheduled <= 0 {
		t.Errorf("ReadCPU: %+v, %v", cpu, err)
	}
	if m, err := ReadMemory(pid); err != nil || m.RSS <= 0 || m.PSS <= 0 || m.PSS > m.RSS+1<<20 {
		t.Errorf("ReadMemory: %+v, %v", m, err)
	}
	if n, err := CountFDs(pid); err != nil || n < 3 {
		t.Errorf("CountFDs: %d, %v", n, err)
	}
	if engine, err := Engine(pid); err != nil || engine != Epoll {
		t.Errorf("Engine: %q, %v", engine, err)
	}
	if n, err := CountThreads(pid); err != nil || n < 1 {
		t.Errorf("CountThreads: %d, %v", n, err)
	}
}
