package uring

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Feature is a set of things a kernel may have on top of the least that New needs.
type Feature uint32

// The optional features, each used when present.
const (
	// MultishotRecv lets one request receive for the life of a connection. It is
	// used from 6.8 on (recognised by an operation that came with it): before,
	// one busy connection could starve the others within a turn.
	MultishotRecv Feature = 1 << iota
	// BufferRing is a ring of receive buffers shared with the kernel (5.19).
	// Without it a receive is a poll followed by recv(2).
	BufferRing
	// CoopTaskrun avoids interrupts between threads for completions (5.19).
	CoopTaskrun
	// NoSQArray drops an index array from the submission queue (6.6).
	NoSQArray
	// NoIowait keeps a waiting loop from being counted as waiting for a disk
	// (6.15). Before, an idle loop shows as 100 % iowait, which is only cosmetic.
	NoIowait
	// MultishotUnix is multishot receive on unix sockets. Kernels 6.18 to at least
	// 6.18.44 lose the end of such a stream when it comes right behind data; there
	// unix sockets are received from once per request, and only those.
	MultishotUnix
	// OneshotPoll is a poll request that tells what is, when it is made, and what
	// happens later, once. Idle connections are parked on it; without it they keep
	// their receive.
	OneshotPoll
	// DirectDescriptors are files in a table of the ring (see OpenFiles) that take no
	// descriptor of the process, and can be given one when something needs it (6.13;
	// from 6.8 on there are such files, but the end of one waits for operations in
	// flight on others).
	DirectDescriptors

	allFeatures = 1<<iota - 1

	// fullTier are the features that make a difference to speed over TCP.
	fullTier = MultishotRecv | BufferRing | CoopTaskrun | NoSQArray
)

var featureNames = []string{"multishot receive", "buffer ring", "cooperative task running", "no index array", "no iowait", "multishot receive on unix", "oneshot poll", "direct descriptors"}

// String lists the names of the features in f, "" if there are none.
func (f Feature) String() string {
	var names []string
	for i, name := range featureNames {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// Finding is what the probe found out about one feature.
type Finding struct {
	Name  string // the name of the feature, in words
	Since string // kernel version that brought it, for the reader; it is not used to decide
	Need  bool   // New fails without it
	Err   error  // nil when available, otherwise why not
}

// Available reports whether the feature can be used.
func (f Finding) Available() bool { return f.Err == nil }

// Report is the feature matrix of the running kernel, as seen by this process.
type Report struct {
	Kernel   string // release, as uname(2) gives it
	Findings []Finding
	// Err is nil when New can make a ring, otherwise the reason why not. It
	// matches ErrUnavailable.
	Err error
	// Features are those that New will use.
	Features Feature
}

// Tier is "full" when every optional feature that makes a difference to speed over
// TCP is there (all but NoIowait, MultishotUnix, OneshotPoll and DirectDescriptors), "base" when one is missing,
// and "none" without io_uring.
func (p *Report) Tier() string {
	switch {
	case p.Err != nil:
		return "none"
	}
	return p.Features.tier()
}

func (f Feature) tier() string {
	if f&fullTier == fullTier {
		return "full"
	}
	return "base"
}

// String is a table, a feature a line.
func (p *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "kernel %s, io_uring tier %s\n", p.Kernel, p.Tier())
	for _, f := range p.Findings {
		state := "yes"
		if f.Err != nil {
			state = "no: " + f.Err.Error()
		}
		fmt.Fprintf(&b, "  %-28s since %-5s %s\n", f.Name, f.Since, state)
	}
	if p.Err != nil {
		fmt.Fprintf(&b, "%v\n", p.Err)
	}
	return b.String()
}

// Probe finds out, by doing, what io_uring can do for this process: it makes a
// ring, and moves bytes over a socket pair with each feature. It takes a few
// milliseconds the first time; the answer is kept for the life of the process,
// unless it came of a want of descriptors or memory, which may pass.
func Probe() *Report {
	probed.Lock()
	defer probed.Unlock()
	if probed.report != nil {
		return probed.report
	}
	r := probe()
	if !r.passing() {
		probed.report = r
	}
	return r
}

var probed struct {
	sync.Mutex
	report *Report
}

func probe() *Report {
	// Completions of the probe's requests run on the thread that made them.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p := &prober{report: Report{Kernel: kernelRelease()}}
	p.run()
	return &p.report
}

// passing reports whether something is missing for a reason that may be gone
// the next time.
func (p *Report) passing() bool {
	for _, f := range p.Findings {
		for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS, syscall.EAGAIN} {
			if errors.Is(f.Err, errno) {
				return true
			}
		}
	}
	return false
}

// usable returns the features New may use.
func usable() (Feature, error) {
	p := Probe()
	return p.Features, p.Err
}

func kernelRelease() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}
