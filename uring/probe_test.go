package uring

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/ringtest"
)

// Where the kernel has what came with 6.0, the probe says that New works, and it
// finds each feature that the kernel admits to have by other means.
func TestProbe(t *testing.T) {
	p := Probe()
	t.Log(p)
	q := params{Flags: setupSubmitAll | setupClamp}
	fd, err := setup(4, &q)
	if err != nil {
		if p.Err == nil {
			t.Errorf("New is said to work, yet io_uring_setup fails with %v", err)
		}
		t.Skip(err)
	}
	defer unix.Close(fd)
	var ops opProbe
	if err := register(fd, registerProbe, unsafe.Pointer(&ops), probeMaxOps); err != nil {
		t.Fatal(err)
	}
	const (
		opSendZC    = 47 // 6.0
		opFutexWait = 51 // 6.7
	)
	if ops.lastOp < opSendZC {
		t.Skip("the kernel is older than 6.0")
	}
	if p.Err != nil {
		t.Fatalf("this kernel should do: %v", p.Err)
	}
	want := BufferRing | CoopTaskrun | OneshotPoll
	if ops.lastOp >= opFutexWait {
		want |= NoSQArray
	}
	if ops.lastOp >= opFixedFD {
		want |= MultishotRecv
	}
	if q.Features&featNoIowait != 0 {
		want |= NoIowait | DirectDescriptors // which came before
	}
	if missing := want &^ p.Features; missing != 0 {
		t.Errorf("not found: %v", missing)
	}
	if len(p.Findings) != 13 {
		t.Errorf("%d findings, want 13", len(p.Findings))
	}
	for _, f := range p.Findings {
		if f.Name == "" || f.Since == "" || f.Need && !f.Available() || strings.Contains(p.String(), "\n\n") {
			t.Errorf("%+v", f)
		}
		if !strings.Contains(p.String(), f.Name) {
			t.Errorf("%q is not in the table", f.Name)
		}
	}
}

// The probe leaves nothing behind and is made once.
func TestProbeIsKept(t *testing.T) {
	needRing(t)
	noLeaks(t)
	probe()
	first := Probe()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if Probe() != first {
				t.Error("another report")
			}
		})
	}
	wg.Wait()
}

// The tier of a report and of a ring is named by what is missing.
func TestTier(t *testing.T) {
	for _, test := range []struct {
		report Report
		want   string
	}{
		{Report{Features: allFeatures}, "full"},
		{Report{Features: allFeatures &^ (NoIowait | MultishotUnix | OneshotPoll | DirectDescriptors)}, "full"},
		{Report{Features: allFeatures &^ NoSQArray}, "base"},
		{Report{}, "base"},
		{Report{Features: allFeatures, Err: ErrUnavailable}, "none"},
	} {
		if got := test.report.Tier(); got != test.want {
			t.Errorf("%v, %v: tier %q, want %q", test.report.Features, test.report.Err, got, test.want)
		}
	}
	for _, tr := range tiers {
		t.Run(tr.name, func(t *testing.T) {
			r := open(t, tr.config(Config{}))
			want := Probe().Features &^ tr.without
			if tr.without&(BufferRing|MultishotRecv) != 0 {
				want &^= MultishotRecv | MultishotUnix
			}
			if tr.without&BufferRing != 0 {
				want &^= DirectDescriptors
			}
			if r.Features() != want {
				t.Errorf("in use: %v, want %v", r.Features(), want)
			}
			if (r.Tier() == "full") != (want&fullTier == fullTier) {
				t.Errorf("tier %q with %v", r.Tier(), want)
			}
		})
	}
}

func TestFeatureNames(t *testing.T) {
	if len(featureNames) != 8 || allFeatures != 1<<len(featureNames)-1 {
		t.Fatal("names and features do not match")
	}
	if got := (BufferRing | NoIowait).String(); got != "buffer ring, no iowait" {
		t.Errorf("%q", got)
	}
	if got := Feature(0).String(); got != "" {
		t.Errorf("%q", got)
	}
}

// io_uring that is really refused, by a filter on system calls as containers have
// it: the error can be matched and says what to do.
func TestRefusedBySeccomp(t *testing.T) {
	const (
		setup    = 425
		enter    = 426
		register = 427
	)
	all := []uint32{setup, enter, register}
	for _, test := range []struct {
		name  string
		calls []uint32
		errno syscall.Errno
		hint  string
	}{
		{"all, EPERM", all, unix.EPERM, "seccomp"},
		{"all, EACCES", all, unix.EACCES, "security module"},
		{"all, ENOSYS", all, unix.ENOSYS, "built without io_uring"},
		{"all, ENOMEM", all, unix.ENOMEM, "RLIMIT_MEMLOCK"},
		{"enter, EPERM", []uint32{enter}, unix.EPERM, "seccomp"},
		{"register, EPERM", []uint32{register}, unix.EPERM, "seccomp"},
	} {
		t.Run(test.name, func(t *testing.T) {
			needRing(t)
			if v := disabledSysctl(); v == "1" || v == "2" {
				t.Skip("the sysctl refuses already")
			}
			if !inChild(t) {
				return
			}
			ringtest.Refuse(t, test.calls, test.errno)
			probed.report = nil // of needRing
			_, err := New(Config{})
			if !errors.Is(err, ErrUnavailable) || !errors.Is(err, test.errno) {
				t.Fatalf("New: %v, want ErrUnavailable and %v", err, test.errno)
			}
			var e *Error
			if !errors.As(err, &e) || e.Step == "" || !strings.Contains(e.Cause, test.hint) {
				t.Errorf("%v\nwant a hint with %q", err, test.hint)
			}
			p := Probe()
			if p.Tier() != "none" || p.Features != 0 || p.Err == nil || !strings.Contains(p.String(), test.hint) {
				t.Errorf("the report says\n%v", p)
			}
			t.Log(err)
		})
	}
}

// A want of descriptors is reported, but not for the life of the process: neither
// as the whole answer nor as a feature that seems to be missing.
func TestProbeWithoutDescriptors(t *testing.T) {
	needRing(t)
	if !inChild(t) {
		return
	}
	want := Probe().Features
	ringtest.LimitDescriptors(t, 100)
	fillers := ringtest.UseAllDescriptors(t)
	for free := 0; ; free++ {
		probed.report = nil
		p := Probe()
		switch {
		case p.Features == want && p.Err == nil && !p.passing(): // what is missing is missing on this kernel
			if free == 0 {
				t.Fatal("the probe worked without descriptors")
			}
			if probed.report == nil {
				t.Error("a complete report is not kept")
			}
			t.Logf("the probe takes %d descriptors", free)
			return
		case probed.report != nil:
			t.Fatalf("kept, with %d descriptors free:\n%v", free, p)
		case p.Err != nil && (!errors.Is(p.Err, ErrUnavailable) || !errors.Is(p.Err, unix.EMFILE) ||
			!strings.Contains(p.Err.Error(), "RLIMIT_NOFILE")):
			t.Errorf("with %d descriptors free: %v", free, p.Err)
		}
		unix.Close(fillers[free])
	}
}

// A feature that is missing is described by the step that failed; that io_uring
// is there is not put in doubt.
func TestWhyAFeatureIsMissing(t *testing.T) {
	var p prober
	p.want(NoSQArray, "6.6", func() error { return refused("register the buffer ring", unix.EINVAL) })
	p.want(NoIowait, "6.15", func() error { return nil })
	if p.report.Features != NoIowait {
		t.Errorf("features %v", p.report.Features)
	}
	if got := p.report.Findings[0].Err; got == nil || errors.Is(got, ErrUnavailable) || !errors.Is(got, unix.EINVAL) {
		t.Errorf("%v", got)
	}
	if got := p.report.String(); !strings.Contains(got, "no: register the buffer ring: invalid argument\n") {
		t.Errorf("%s", got)
	}
	lines := slices.Collect(strings.Lines(p.report.String()))
	if len(lines) != 3 {
		t.Errorf("%d lines, want a head and two features", len(lines))
	}
}
