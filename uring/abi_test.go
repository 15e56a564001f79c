package uring

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/mapped"
	"github.com/ringkit/ringkit/internal/ring"
	"github.com/ringkit/ringkit/internal/ringtest"
)

// Each constant of abi.go is used against the running kernel, in a way that a
// wrong value would be noticed. Those not here are used by the tests of the
// operations.

// rawRing makes a ring, closed with the test, and returns its descriptor and the
// parameters as the kernel filled them in.
func rawRing(t *testing.T, entries uint32, p params) (int, params, error) {
	t.Helper()
	fd, err := setup(entries, &p)
	if err == nil {
		closing(t, fd)
	}
	return fd, p, bare(err)
}

func mustRing(t *testing.T, entries uint32, p params) (int, params) {
	t.Helper()
	fd, p, err := rawRing(t, entries, p)
	if err != nil {
		t.Fatalf("io_uring_setup(%d, flags %#x): %v", entries, p.Flags, err)
	}
	return fd, p
}

func TestSetupUnknownFlag(t *testing.T) {
	needRing(t)
	if _, _, err := rawRing(t, 4, params{Flags: 1 << 31}); err != unix.EINVAL {
		t.Errorf("%v, want EINVAL", err)
	}
}

func TestSetupCQSize(t *testing.T) {
	needRing(t)
	if _, p := mustRing(t, 4, params{}); p.SQEntries != 4 || p.CQEntries != 8 {
		t.Errorf("%d and %d entries, want 4 and 8", p.SQEntries, p.CQEntries)
	}
	if _, p := mustRing(t, 4, params{Flags: setupCQSize, CQEntries: 64}); p.SQEntries != 4 || p.CQEntries != 64 {
		t.Errorf("%d and %d entries, want 4 and 64", p.SQEntries, p.CQEntries)
	}
}

func TestSetupClamp(t *testing.T) {
	needRing(t)
	if _, _, err := rawRing(t, 1<<20, params{}); err != unix.EINVAL {
		t.Errorf("2^20 entries: %v, want EINVAL", err)
	}
	if _, p := mustRing(t, 1<<20, params{Flags: setupClamp}); p.SQEntries != 32768 {
		t.Errorf("clamped to %d entries, want 32768", p.SQEntries)
	}
}

func TestSetupNoSQArray(t *testing.T) {
	need(t, NoSQArray)
	if _, p := mustRing(t, 4, params{}); p.SQOffset.Array == 0 {
		t.Error("no index array where one is expected")
	}
	if _, p := mustRing(t, 4, params{Flags: setupNoSQArray}); p.SQOffset.Array != 0 {
		t.Errorf("an index array at %d where none is expected", p.SQOffset.Array)
	}
}

// SUBMIT_ALL: a bad entry does not end the batch.
func TestSetupSubmitAll(t *testing.T) {
	needRing(t)
	for _, test := range []struct{ flags, consumed uint32 }{{0, 1}, {setupSubmitAll, 2}} {
		r := newRing(0)
		r.setup = test.flags
		fd, p := mustRing(t, 4, params{Flags: test.flags})
		r.fd = fd
		if err := r.mapRings(&p); err != nil {
			t.Fatal(err)
		}
		r.prepare().PrepOperation(255, -1, 0, 0, 0)
		r.prepare().PrepOperation(opNop, -1, 0, 0, 0)
		r.publish()
		if n, e := enter(fd, 2, 0, 0, 0, 0); n != int(test.consumed) || e != 0 {
			t.Errorf("flags %#x: consumed %d (%v), want %d", test.flags, n, e, test.consumed)
		}
		for _, b := range [][]byte{r.ringMem, r.sqeMem, r.scratch} {
			if err := mapped.Free(b); err != nil {
				t.Error(err)
			}
		}
	}
}

// COOP_TASKRUN|TASKRUN_FLAG: what has to be done for a completion waits for the
// next enter, and the ring says that there is something.
func TestSetupCoopTaskrun(t *testing.T) {
	need(t, CoopTaskrun)
	if _, _, err := rawRing(t, 4, params{Flags: setupTaskrunFlag}); err != unix.EINVAL {
		t.Errorf("TASKRUN_FLAG alone: %v, want EINVAL", err)
	}
	r := open(t, Config{})
	r.Turn(0)
	r.Reap()
	// The event has to come while this thread is in user space and stays there:
	// from a thread on another processor, and not at each attempt.
	release := pin(t, 0)
	defer release()
	wake, stopped := make(chan bool), make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: the pinned thread goes with the goroutine
		stopped <- unix.SchedSetaffinity(0, cpu(1))
		for range wake {
			r.Wake()
		}
		close(stopped)
	}()
	if err := <-stopped; err != nil {
		t.Skip(err)
	}
	defer func() {
		close(wake)
		<-stopped
	}()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		wake <- true
		for spin := 0; spin < 1e6 && !r.ready(); spin++ {
			if atomic.LoadUint32(r.sq.flags)&sqTaskrun != 0 {
				return
			}
		}
		r.Turn(-1)
		r.Reap()
	}
	t.Error("the flag was never seen")
}

// pin keeps this thread on the n-th processor until release is called.
func pin(t *testing.T, n int) (release func()) {
	t.Helper()
	var old unix.CPUSet
	if err := unix.SchedGetaffinity(0, &old); err != nil {
		t.Fatal(err)
	}
	if runtime.GOMAXPROCS(0) < 2 || old.Count() < 2 {
		t.Skip("needs a second processor")
	}
	if err := unix.SchedSetaffinity(0, cpu(n)); err != nil {
		t.Skip(err)
	}
	return func() {
		if err := unix.SchedSetaffinity(0, &old); err != nil {
			t.Error(err)
		}
	}
}

func cpu(n int) *unix.CPUSet {
	var set unix.CPUSet
	set.Set(n)
	return &set
}

func TestSetupSingleIssuer(t *testing.T) {
	needRing(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if _, _, err := rawRing(t, 4, params{Flags: setupDeferTaskrun}); err != unix.EINVAL {
		t.Errorf("DEFER_TASKRUN alone: %v, want EINVAL", err)
	}
	for _, flags := range []uint32{setupSingleIssuer, setupSingleIssuer | setupDeferTaskrun} {
		fd, _ := mustRing(t, 4, params{Flags: flags})
		if n, e := enter(fd, 0, 0, enterGetEvents, 0, 0); n != 0 || e != 0 {
			t.Errorf("flags %#x, own thread: %d, %v", flags, n, e)
		}
		other := make(chan unix.Errno)
		go func() {
			// The test's thread is locked, so this is another one.
			_, e := enter(fd, 1, 0, 0, 0, 0)
			other <- e
		}()
		if e := <-other; e != unix.EEXIST {
			t.Errorf("flags %#x, another thread: %v, want EEXIST", flags, e)
		}
	}
}

// DEFER_TASKRUN: completions appear inside io_uring_enter only.
func TestSetupDeferTaskrun(t *testing.T) {
	r := open(t, Config{DeferTaskrun: true})
	a, b := socketPair(t)
	r.Poll(token(ring.OpPoll, 1), a, unix.POLLIN)
	r.Turn(0)
	write(t, b, []byte("x"))
	_ = unix.Getpid() // a system call, where others would complete
	if r.ready() {
		t.Error("completed outside io_uring_enter")
	}
	r.Turn(0)
	if !r.ready() {
		t.Error("not completed inside io_uring_enter")
	}
}

// The features New insists on: with fewer of these bits the kernel would be older
// than any that has the operations, so their values show on any kernel that works.
func TestFeatureBits(t *testing.T) {
	needRing(t)
	_, p := mustRing(t, 4, params{})
	for name, bit := range map[string]uint32{"SINGLE_MMAP": featSingleMmap, "NODROP": featNoDrop,
		"SUBMIT_STABLE": featSubmitStable, "FAST_POLL": featFastPoll, "EXT_ARG": featExtArg} {
		if p.Features&bit == 0 {
			t.Errorf("%s (%#x) is not among %#x", name, bit, p.Features)
		}
	}
}

// NO_IOWAIT is accepted where its feature bit is set and nowhere else; unknown
// flags are not.
func TestEnterFlags(t *testing.T) {
	needRing(t)
	fd, p := mustRing(t, 4, params{})
	if _, e := enter(fd, 0, 0, enterGetEvents|1<<31, 0, 0); e != unix.EINVAL {
		t.Errorf("an unknown flag: %v, want EINVAL", e)
	}
	want := unix.EINVAL
	if p.Features&featNoIowait != 0 {
		want = 0
	}
	if _, e := enter(fd, 0, 0, enterGetEvents|enterNoIowait, 0, 0); e != want {
		t.Errorf("NO_IOWAIT: %v, want %v", e, want)
	}
}

// The ring passes NO_IOWAIT where it is in use, and only there.
func TestNoIowaitIsPassed(t *testing.T) {
	needRing(t)
	for _, without := range []Feature{0, NoIowait} {
		r := open(t, Config{Without: without})
		seen := uint32(0)
		r.enter = func(fd int, submit, minComplete, flags uint32, arg, argSize uintptr) (int, unix.Errno) {
			seen = flags
			return enter(fd, submit, minComplete, flags, arg, argSize)
		}
		r.Turn(0)
		want := (Probe().Features &^ without) & NoIowait
		if (seen&enterNoIowait != 0) != (want != 0) {
			t.Errorf("without %v: flags %#x", without, seen)
		}
	}
}

// EXT_ARG: the timeout is read from the structure, whose size is checked.
func TestEnterExtArg(t *testing.T) {
	needRing(t)
	fd, _ := mustRing(t, 4, params{})
	m := mem(t, 64)
	arg, ts := (*getEventsArg)(unsafe.Pointer(&m[0])), (*timespec)(unsafe.Pointer(&m[argSize]))
	*ts = timespec{nsec: 1e6}
	arg.ts = address(m[argSize:])
	if _, e := enter(fd, 0, 1, enterGetEvents|enterExtArg, uintptr(address(m)), argSize); e != unix.ETIME {
		t.Errorf("%v, want ETIME", e)
	}
	if _, e := enter(fd, 0, 1, enterGetEvents|enterExtArg, uintptr(address(m)), argSize-8); e != unix.EINVAL {
		t.Errorf("with a wrong size: %v, want EINVAL", e)
	}
	arg.ts = 8
	if _, e := enter(fd, 0, 1, enterGetEvents|enterExtArg, uintptr(address(m)), argSize); e != unix.EFAULT {
		t.Errorf("with a bad address: %v, want EFAULT", e)
	}
}

// A ring is not inherited by child processes.
func TestRingIsCloseOnExec(t *testing.T) {
	r := open(t, Config{})
	for _, fd := range []int{r.fd, r.wakeFD} {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor flags %#x, %v: want FD_CLOEXEC", flags, err)
		}
	}
}

// CQE_SKIP_SUCCESS: an operation that succeeds completes silently, one that fails
// does not.
func TestSkipSuccess(t *testing.T) {
	r := open(t, Config{})
	a, _ := socketPair(t)
	ok, bad := token(ring.OpCancel, 1), token(ring.OpCancel, 2)
	for tok, fd := range map[ring.Token]int{ok: a, bad: -1} {
		e := r.prepare()
		e.PrepOperation(opClose, int32(fd), 0, 0, 0)
		e.SetFlags(sqeSkipSuccess)
		e.SetUserData(uint64(tok))
	}
	r.Expect(bad, errno(unix.EBADF))
	r.Quiet()
	if _, err := unix.FcntlInt(uintptr(a), unix.F_GETFD, 0); err != unix.EBADF {
		t.Errorf("the descriptor is open (%v)", err)
	}
	r.inflight-- // ok's
}

// The flags and the offset of the tail, seen from the kernel's side: a receive
// takes the buffers in the order given, names them, and goes on.
func TestBufferRingLayout(t *testing.T) {
	need(t, MultishotRecv)
	r := open(t, Config{Buffers: 4, BufferSize: 64})
	if got := binary.NativeEndian.Uint16(r.bufs.groups[0].ring[pbufTailOffset:]); got != 4 {
		t.Fatalf("the tail is %d, want 4", got)
	}
	a, b := tcpPair(t)
	tok := token(ring.OpRecv, 1)
	r.Recv(tok, a)
	for i := range uint16(100) {
		write(t, b, []byte{byte(i)})
		c := r.Take(tok)
		if c.BufID != i%4 || !c.More() || !slices.Equal(c.Buf, []byte{byte(i)}) {
			t.Fatalf("receive %d: buffer %d with %v, more %v", i, c.BufID, c.Buf, c.More())
		}
		r.Release(c.BufID)
	}
}

func TestRegisterPbufRing(t *testing.T) {
	need(t, BufferRing)
	fd, _ := mustRing(t, 4, params{})
	m := mem(t, 64)
	reg := bufReg{ringAddr: address(m), ringEntries: 4, bgid: 7}
	call := func(reg bufReg) error {
		return bare(register(fd, registerPbufRing, unsafe.Pointer(&reg), 1))
	}
	odd, far, strange := reg, reg, reg
	odd.ringEntries = 3
	far.ringAddr++
	strange.flags = 1 << 15
	for name, bad := range map[string]bufReg{"3 entries": odd, "an odd address": far, "unknown flags": strange} {
		if err := call(bad); err != unix.EINVAL {
			t.Errorf("%s: %v, want EINVAL", name, err)
		}
	}
	if err := call(reg); err != nil {
		t.Fatal(err)
	}
	if err := call(reg); err != unix.EEXIST {
		t.Errorf("a second ring for the group: %v, want EEXIST", err)
	}
}

// The limit of worker threads is the one New sets: asking (with 0) returns it.
func TestRegisterIOWQMaxWorkers(t *testing.T) {
	r := open(t, Config{})
	for range 2 {
		workers := [2]uint32{}
		if err := register(r.fd, registerIOWQMaxWorkers, unsafe.Pointer(&workers[0]), 2); err != nil {
			t.Fatal(err)
		}
		if workers != [2]uint32{1, 1} {
			t.Errorf("limits %v, want 1 and 1", workers)
		}
	}
}

// Nothing this package submits takes a worker thread of the kernel.
func TestNoWorkerThreads(t *testing.T) {
	data := mem(t, 1<<20)
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		ringtest.Busy(t, r.Driver, data)
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		r.CloseFD(fd)
		r.Cancel(token(ring.OpCancel, 1), token(ring.OpPoll, 1))
		r.Take(token(ring.OpCancel, 1))
		tasks, err := filepath.Glob("/proc/self/task/*/comm")
		if err != nil || len(tasks) == 0 {
			t.Fatal(tasks, err)
		}
		for _, name := range tasks {
			if comm, _ := os.ReadFile(name); strings.HasPrefix(string(comm), "iou-") {
				t.Errorf("a worker thread: %s", comm)
			}
		}
	})
}

// SYNC_CANCEL with ANY|ALL ends all there is, also when there is nothing.
func TestRegisterSyncCancel(t *testing.T) {
	r := open(t, Config{})
	a, _ := socketPair(t)
	polls := []ring.Token{token(ring.OpPoll, 1), token(ring.OpPoll, 2), token(ring.OpPoll, 3)}
	for _, tok := range polls {
		r.Poll(tok, a, unix.POLLIN)
	}
	r.Turn(0)
	call := func(flags uint32) error {
		c := syncCancelReg{fd: -1, flags: flags}
		return bare(register(r.fd, registerSyncCancel, unsafe.Pointer(&c), 1))
	}
	if err := call(cancelAll | cancelAny); err != nil {
		t.Fatal(err)
	}
	for _, tok := range polls {
		r.Expect(tok, errno(unix.ECANCELED))
	}
	if err := r.settle(patience); err != nil { // the poll behind Wake
		t.Fatal(err)
	}
	if err := call(cancelAll | cancelAny); err != nil {
		t.Errorf("all of nothing: %v", err)
	}
	if err := call(0); err != unix.ENOENT {
		t.Errorf("one that is not there: %v, want ENOENT", err)
	}
	if err := call(1 << 31); err != unix.EINVAL {
		t.Errorf("an unknown flag: %v, want EINVAL", err)
	}
}

// REGISTER_PROBE names the operations the kernel has.
func TestRegisterProbe(t *testing.T) {
	r := open(t, Config{})
	p := prober{}
	if err := register(r.fd, registerProbe, unsafe.Pointer(&p.ops), probeMaxOps); err != nil {
		t.Fatal(err)
	}
	for _, op := range []uint8{opNop, opPollAdd, opAccept, opAsyncCancel, opConnect, opClose, opSend, opRecv} {
		if !p.has(op) {
			t.Errorf("operation %d is missing", op)
		}
	}
	if p.has(255) || p.ops.lastOp < opRecv || int(p.ops.opsLen) != int(p.ops.lastOp)+1 {
		t.Errorf("the last operation is %d of %d", p.ops.lastOp, p.ops.opsLen)
	}
}

// A multishot poll completes again for each event, until it is cancelled.
func TestPollMultishot(t *testing.T) {
	r := open(t, Config{})
	a, b := socketPair(t)
	tok := token(ring.OpPoll, 1)
	e := r.prepare()
	e.PrepOperation(opPollAdd, int32(a), 0, pollMultishot, 0)
	e.SetOpFlags(unix.POLLIN)
	e.SetUserData(uint64(tok))
	r.Turn(0)
	for range 3 {
		write(t, b, []byte("x"))
		if c := r.Take(tok); c.Res != unix.POLLIN || !c.More() {
			t.Fatalf("%s, more %v", resultName(c.Res), c.More())
		}
	}
	r.Cancel(token(ring.OpCancel, 1), tok)
	r.Expect(tok, errno(unix.ECANCELED))
}

// CQ_OVERFLOW is set while completions wait in the kernel.
func TestCQOverflowFlag(t *testing.T) {
	r := open(t, Config{Entries: 16, CQEntries: 16})
	for i := range 40 {
		nop(r, uint32(i))
	}
	r.flush()
	if atomic.LoadUint32(r.sq.flags)&sqCQOverflow == 0 {
		t.Error("40 completions in a queue of 16, and no flag")
	}
	r.order(40)
	if atomic.LoadUint32(r.sq.flags)&sqCQOverflow != 0 {
		t.Error("the flag stays after all completions were read")
	}
}
