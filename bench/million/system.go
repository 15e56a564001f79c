package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/uring"

	"github.com/ringkit/ringkit/bench/internal/procfs"
)

// readSystem finds out what the limits are.
func readSystem() (*system, error) {
	s := &system{settings: "/proc/sys"}
	var noFile unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &noFile); err != nil {
		return nil, fmt.Errorf("descriptor limit: %w", err)
	}
	s.noFile = int(min(noFile.Max, 1<<30))
	files, err := s.sysctls("fs/file-nr", 3)
	s.files = files[0]
	err = errors.Join(err,
		s.sysctl("fs/nr_open", &s.nrOpen),
		s.sysctl("fs/file-max", &s.fileMax),
		s.sysctl("net/core/somaxconn", &s.backlog),
	)
	ports, portErr := s.sysctls("net/ipv4/ip_local_port_range", 2)
	if s.ports = ports[1] - ports[0] + 1; err != nil || portErr != nil {
		return nil, fmt.Errorf("limits: %w", cmp.Or(err, portErr))
	}
	s.beyondMax = capable(unix.CAP_SYS_ADMIN)
	if err := s.readTracking(); err != nil {
		return nil, err
	}
	s.noDirect = noDirect(uring.Probe())
	k, err := procfs.ReadKernel()
	if err != nil {
		return nil, err
	}
	s.available, s.memoryFrom = k.Available, "the machine"
	if left, ok := groupMemory("/sys/fs/cgroup"); ok && left < s.available {
		s.available, s.memoryFrom = left, "this control group"
	}
	return s, nil
}

// noDirect returns why there are no direct descriptors, nil if there are.
func noDirect(found *uring.Report) error {
	if found.Err != nil {
		return found.Err
	}
	for _, f := range found.Findings {
		if f.Name == uring.DirectDescriptors.String() && f.Err != nil {
			return fmt.Errorf("%s (Linux %s): %w", f.Name, f.Since, f.Err)
		}
	}
	return nil
}

// sysctls reads a setting of n numbers; there are n, whatever goes wrong.
func (s *system) sysctls(name string, n int) ([]int, error) {
	values := make([]int, n)
	data, err := os.ReadFile(filepath.Join(s.settings, name))
	if err != nil {
		return values, err
	}
	fields := strings.Fields(string(data))
	if len(fields) < n {
		return values, fmt.Errorf("%s is %q", name, data)
	}
	for i := range values {
		v, err := strconv.ParseUint(fields[i], 10, 64)
		if err != nil {
			return values, fmt.Errorf("%s: %w", name, err)
		}
		values[i] = int(min(v, 1<<40)) // fs.file-max may be as good as none
	}
	return values, nil
}

func (s *system) sysctl(name string, value *int) error {
	values, err := s.sysctls(name, 1)
	*value = values[0]
	return err
}

// capable reports whether this process has a capability.
func capable(which int) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false
	}
	return data[which/32].Effective&(1<<(which%32)) != 0
}

// readTracking finds out whether netfilter keeps track of connections over the loopback
// interface. That its module is there does not say so, and what rules there are only root
// may know: a connection shows.
func (s *system) readTracking() error {
	const count, most = "net/netfilter/nf_conntrack_count", "net/netfilter/nf_conntrack_max"
	var before, during int
	if err := s.sysctl(count, &before); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return err
	}
	defer c.Close()
	s.tracking = before
	s.tracked = s.sysctl(count, &during) == nil && during > before
	return s.sysctl(most, &s.trackMax)
}

// groupMemory returns how much memory this process's control group, and those around it,
// may still have, if that is limited. What is cached of files is taken for used.
func groupMemory(root string) (left int64, limited bool) {
	data, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(data)) {
		path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !ok {
			continue
		}
		for dir := filepath.Join(root, path); strings.HasPrefix(dir, root); dir = filepath.Dir(dir) {
			most, err1 := readNumber(filepath.Join(dir, "memory.max"))
			used, err2 := readNumber(filepath.Join(dir, "memory.current"))
			if err1 != nil || err2 != nil {
				continue // "max" is no number
			}
			if free := most - used; !limited || free < left {
				left, limited = free, true
			}
		}
	}
	return left, limited
}

func readNumber(path string) (int64, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
}

// raiseNoFile raises the limits of descriptors to n, if they are lower and this process may. Those
// of its children follow.
func (s *system) raiseNoFile(n int) error {
	to := uint64(max(s.noFile, min(n, s.nrOpen)))
	limit := syscall.Rlimit{Cur: to, Max: to}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	s.noFile = int(to)
	return nil
}

// raised is a system-wide setting as it was.
type raised struct {
	path string
	was  int
}

// raiseSystem raises what it may of what stops n connections, and returns what has to be
// put back.
func (s *system) raiseSystem(n int) (done []raised) {
	for _, r := range []struct {
		name  string
		value *int
		to    int
	}{
		{"fs/nr_open", &s.nrOpen, n + serverFiles},
		{"fs/file-max", &s.fileMax, s.files + otherFiles + 2*n},
		{"net/netfilter/nf_conntrack_max", &s.trackMax, s.tracking + n + otherFiles},
	} {
		if *r.value >= r.to || *r.value == 0 {
			continue
		}
		path := filepath.Join(s.settings, r.name)
		if os.WriteFile(path, []byte(strconv.Itoa(r.to)), 0) == nil {
			done = append(done, raised{path, *r.value})
			*r.value = r.to
		}
	}
	return done
}

func (r raised) putBack() error {
	return os.WriteFile(r.path, []byte(strconv.Itoa(r.was)), 0)
}
