package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// roomy is a system on which a million connections find all they need.
func roomy() system {
	return system{
		noFile: 2_000_000, nrOpen: 1 << 30, fileMax: 1 << 40, files: 1000, ports: 28_232, backlog: 4096,
		trackMax: 1000, available: 64 << 30, memoryFrom: "the machine",
	}
}

func plain() *options { return &options{n: 1_000_000, files: filesAuto, engine: "auto", reserve: 1024} }

func TestNothingStops(t *testing.T) {
	s := roomy()
	p, err := s.plan(plain())
	if err != nil || p.n != 1_000_000 || p.direct || p.loops != 0 || len(p.limits) > 0 {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestLimits(t *testing.T) {
	none := errors.New("io_uring is switched off")
	for _, c := range []struct {
		what    string
		change  func(*system, *options)
		name    string
		allows  int
		because []string
	}{
		{"descriptors", func(s *system, o *options) { s.noFile, s.noDirect = 20_000, none }, "RLIMIT_NOFILE of the server", 19_872,
			[]string{"20000 descriptors", "ulimit -Hn", "CAP_SYS_RESOURCE", "LimitNOFILE=", "fs.nr_open", none.Error()}},
		{"real descriptors wanted", func(s *system, o *options) { s.noFile, o.files = 20_000, filesReal }, "RLIMIT_NOFILE of the server", 19_872, nil},
		{"epoll", func(s *system, o *options) { s.noFile, o.engine = 20_000, "epoll" }, "RLIMIT_NOFILE of the server", 19_872, nil},
		{"descriptors of clients", func(s *system, o *options) { s.noFile, o.files = 512, filesDirect }, "RLIMIT_NOFILE of the clients", 496 * 1024, []string{"1024 client processes"}},
		{"places", func(s *system, o *options) { s.noFile, o.loops = 20_000, 10 }, "places of direct descriptors", 195_840, []string{"10 loops", "-loops"}},
		{"files", func(s *system, o *options) { s.fileMax = 105_096 }, "fs.file-max", 50_000, []string{"105096 open files", "sysctl fs.file-max", "CAP_SYS_ADMIN"}},
		{"ports", func(s *system, o *options) { s.ports = 40 }, "net.ipv4.ip_local_port_range", 655_340, []string{"40 ports", "sysctl"}},
		{"tracking", func(s *system, o *options) { s.tracked, s.tracking = true, 10 }, "net.netfilter.nf_conntrack_max", 990, []string{"at most 1000", "NOTRACK"}},
		{"memory", func(s *system, o *options) { s.available = 1024<<20 + serverBytes + 1000*(connectionBytes+167) }, "memory", 1000, []string{"the machine", "-reserve"}},
		{"no memory", func(s *system, o *options) { s.available, s.memoryFrom = 1<<20, "this control group" }, "memory", 0, []string{"this control group"}},
	} {
		s, o := roomy(), plain()
		c.change(&s, o)
		p, err := s.plan(o)
		i := slices.IndexFunc(p.limits, func(l limit) bool { return l.Name == c.name })
		if err != nil || i < 0 || p.limits[i].Allows != c.allows || p.n > c.allows {
			t.Errorf("%s: %+v, %v", c.what, p, err)
			continue
		}
		for _, want := range c.because {
			if !strings.Contains(p.limits[i].String(), want) {
				t.Errorf("%s: no %q in %s", c.what, want, p.limits[i])
			}
		}
	}
}

func TestBeyondFileMax(t *testing.T) {
	s := roomy()
	s.fileMax, s.beyondMax = 10_000, true
	if p, err := s.plan(plain()); err != nil || len(p.limits) > 0 {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestDirectBeyondDescriptors(t *testing.T) {
	s := roomy()
	s.noFile = 20_000
	p, err := s.plan(plain())
	if err != nil || !p.direct || p.n != 1_000_000 || p.loops != 52 || len(p.limits) > 0 {
		t.Errorf("%+v, %v", p, err)
	}
	s.noDirect = errors.New("no io_uring")
	o := plain()
	o.files = filesDirect
	if _, err := s.plan(o); err == nil || !strings.Contains(err.Error(), "no io_uring") {
		t.Errorf("%v", err)
	}
}

func TestRaise(t *testing.T) {
	s := roomy()
	s.settings = t.TempDir()
	s.nrOpen, s.fileMax, s.trackMax = 1<<20, 1<<20, 0 // and netfilter is not there
	file := filepath.Join(s.settings, "fs/file-max")
	for _, path := range []string{file, filepath.Join(s.settings, "fs/nr_open")} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("1048576\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	done := s.raiseSystem(1_000_000)
	if len(done) != 1 || s.fileMax < 2_000_000 || s.nrOpen != 1<<20 {
		t.Fatalf("%v, %+v", done, s)
	}
	if text, err := os.ReadFile(file); string(text) != strconv.Itoa(s.fileMax) {
		t.Errorf("%q, %v", text, err)
	}
	if err := done[0].putBack(); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(file); string(text) != "1048576" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestShare(t *testing.T) {
	for _, c := range []struct {
		n, room, want int
		shares        []int
	}{
		{10, 100, 2, []int{5, 5}}, {10, 4, 2, []int{4, 3, 3}}, {7, 100, 3, []int{3, 2, 2}}, {1, 100, 2, []int{1}},
	} {
		if got := share(c.n, c.room, c.want); !slices.Equal(got, c.shares) {
			t.Errorf("%d: %v, want %v", c.n, got, c.shares)
		}
	}
}

// The turns of client processes do not overlap, and all requests are sent.
func TestOrders(t *testing.T) {
	for _, c := range []struct {
		held []int64
		rate float64
	}{
		{[]int64{5}, 1000}, {[]int64{5, 5, 5}, 1000}, {[]int64{5, 0, 5, 5}, 20_000}, {[]int64{5, 5, 5, 5, 5}, 50_000}, {[]int64{5, 5}, 123_456}, {[]int64{0, 0}, 100},
	} {
		lanes := map[time.Duration]int{}
		for i, o := range orders(c.held, c.rate, 10*time.Second, 1) {
			if (o == nil) != (c.held[i] == 0) {
				t.Fatalf("%v: %d has %v", c.held, i, o)
			}
			if o != nil {
				lanes[o.Every]++
				if turn := time.Duration(float64(o.Turn) / o.Rate * float64(time.Second)); o.Offset >= o.Every+turn || o.Every < turn {
					t.Errorf("%v at %g: %+v", c.held, c.rate, o)
				}
			}
		}
		if c.held[0] == 0 && len(lanes) > 0 {
			t.Errorf("%v: %v", c.held, lanes)
		}
	}
}

func TestGroupMemory(t *testing.T) {
	root := t.TempDir()
	data, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Skip(err)
	}
	path, found := "", false
	for line := range strings.Lines(string(data)) {
		if p, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			path, found = p, true
		}
	}
	if !found {
		t.Skip("no control groups of version 2")
	}
	if _, limited := groupMemory(root); limited {
		t.Error("limited by nothing")
	}
	dir := filepath.Join(root, path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"memory.max": "1000\n", "memory.current": "300\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if left, limited := groupMemory(root); !limited || left != 700 {
		t.Errorf("%d, %v", left, limited)
	}
	if err := os.WriteFile(filepath.Join(dir, "memory.max"), []byte("max\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, limited := groupMemory(root); limited {
		t.Error("max is a limit")
	}
}
