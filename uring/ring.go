package uring

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/ring"
)

// Config is how a ring is made. The zero value is what a server wants.
type Config struct {
	// Entries is the size of the submission queue, a power of two up to 32768;
	// 0 means 512. When it is full in the middle of a turn it is flushed.
	Entries int
	// CQEntries is the size of the completion queue, a power of two up to 65536;
	// 0 means 4096. Overflow loses nothing but ends multishot operations.
	CQEntries int
	// Buffers is the number of receive buffers, a power of two up to 32768;
	// 0 means 64.
	Buffers int
	// MaxBuffers is up to where that is doubled as long as receives of little find none, a
	// power of two up to 32768; 0 means Buffers, or 2048 where that is 0, too. See TrimBuffers.
	MaxBuffers int
	// BufferSize is the size of one receive buffer in bytes; 0 means 20 KiB, in which a
	// record of TLS fits. Pages of a buffer that nothing was received into take no memory.
	BufferSize int
	// Without names features not to use although the kernel has them: to test
	// the lower tiers, and for operators who met a kernel bug.
	Without Feature
	// DeferTaskrun creates the ring with SINGLE_ISSUER|DEFER_TASKRUN (6.1): only
	// the goroutine that called New, locked to its thread, may then drive it.
	// It exists to be measured against the default.
	DeferTaskrun bool
}

func (c Config) withDefaults() Config {
	if c.Entries == 0 {
		c.Entries = 512
	}
	if c.CQEntries == 0 {
		c.CQEntries = 4096
	}
	if c.Buffers == 0 {
		c.Buffers = 64
		if c.MaxBuffers == 0 {
			c.MaxBuffers = 2048
		}
	}
	if c.MaxBuffers == 0 {
		c.MaxBuffers = c.Buffers
	}
	if c.BufferSize == 0 {
		c.BufferSize = 20 << 10
	}
	return c
}

func (c Config) check() error {
	powerOfTwo := func(n, most int) bool { return n > 0 && n <= most && n&(n-1) == 0 }
	switch {
	case !powerOfTwo(c.Entries, 32768):
		return fmt.Errorf("uring: Entries %d is not a power of two up to 32768", c.Entries)
	case !powerOfTwo(c.CQEntries, 65536):
		return fmt.Errorf("uring: CQEntries %d is not a power of two up to 65536", c.CQEntries)
	case !powerOfTwo(c.Buffers, maxPbufEntries):
		return fmt.Errorf("uring: Buffers %d is not a power of two up to %d", c.Buffers, maxPbufEntries)
	case !powerOfTwo(c.MaxBuffers, maxPbufEntries) || c.MaxBuffers < c.Buffers:
		return fmt.Errorf("uring: MaxBuffers %d is not a power of two from Buffers, %d, to %d", c.MaxBuffers, c.Buffers, maxPbufEntries)
	case c.BufferSize < 64 || c.BufferSize > 1<<20:
		return fmt.Errorf("uring: BufferSize %d is not between 64 bytes and 1 MiB", c.BufferSize)
	}
	return nil
}

// Ring is one io_uring with its receive buffers. Its methods are for the one
// goroutine that drives it; only Wake may be called by others.
type Ring struct {
	fd       int
	enter    enterFunc
	features Feature
	setup    uint32 // set-up flags in force
	kernel   uint32 // feature bits of the kernel

	sq struct {
		tail, flags   *uint32
		mask, entries uint32
		entry         []sqe
		next          uint32 // tail not yet published
		sent          uint32 // consumed by the kernel
	}
	backlog  []sqe // submissions that found the queue full and unflushable
	inflight int   // operations prepared and not yet completed for good, without closes

	cq struct {
		head, tail, overflow *uint32
		mask                 uint32
		entry                []cqe
		next                 uint32 // head not yet published
		seen                 uint32 // tail as last read
	}

	ringMem, sqeMem, scratch []byte
	arg                      *getEventsArg // in scratch
	ts                       *timespec     // in scratch

	bufs    buffers
	files   files
	notUnix fdSet                // sockets that are known to be none of unix
	polled  map[ring.Token]int32 // descriptors of receives done by poll; nil unless BufferRing is off

	wakeMu sync.Mutex
	wakeFD int
	armed  bool // the poll on wakeFD is in flight

	installs uint32 // so far: what tells one from another

	stats Stats
}

// Stats are counters of a ring since it was made. They are written by the
// goroutine that drives the ring.
type Stats struct {
	Enters      uint64 // io_uring_enter calls
	Submitted   uint64 // operations handed to the kernel
	Completions uint64 // completions reaped
	Flushes     uint64 // enters made only because the submission queue was full
	Busy        uint64 // enters refused for want of memory (EAGAIN, EBUSY)
	Starved     uint64 // receives that found no buffer (ENOBUFS)
	Overflow    uint64 // enters that found completions waiting in the kernel for want of room
	Wakes       uint64 // wake-ups by another goroutine
	Lost        uint64 // completions the kernel says it dropped; 0 unless it ran out of memory
}

// New makes a ring with what the kernel offers, less cfg.Without. An error that
// matches ErrUnavailable says why there is no io_uring for this process and what
// to do about it.
func New(cfg Config) (*Ring, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	features, err := usable()
	if err != nil {
		return nil, err
	}
	r := newRing(features &^ cfg.Without)
	if err := r.open(cfg); err != nil {
		r.release()
		return nil, err
	}
	return r, nil
}

func newRing(f Feature) *Ring {
	return &Ring{fd: -1, wakeFD: -1, enter: enter, features: f}
}

func (r *Ring) open(cfg Config) error {
	if r.features&BufferRing == 0 {
		r.features &^= MultishotRecv     // it needs provided buffers
		r.features &^= DirectDescriptors // receiving is a system call then
	}
	if r.features&MultishotRecv == 0 {
		r.features &^= MultishotUnix
	}
	flags := setupFlags(r.features)
	if cfg.DeferTaskrun {
		flags = flags&^(setupCoopTaskrun|setupTaskrunFlag) | setupSingleIssuer | setupDeferTaskrun
	}
	p, err := r.create(cfg, flags)
	if err != nil {
		return err
	}
	if err := r.mapRings(p); err != nil {
		return err
	}
	// Nothing ringkit submits belongs on a kernel worker thread; the default
	// limit is RLIMIT_NPROC. Unknown before 5.15, and no reason to fail.
	workers := [2]uint32{1, 1}
	_ = register(r.fd, registerIOWQMaxWorkers, unsafe.Pointer(&workers[0]), 2)

	if err := r.bufs.open(r.fd, cfg.Buffers, cfg.MaxBuffers, cfg.BufferSize, r.features&BufferRing != 0); err != nil {
		return err
	}
	if r.features&BufferRing == 0 {
		r.polled = make(map[ring.Token]int32)
	}
	// Blocking on purpose: a non-blocking descriptor would make the kernel
	// answer EAGAIN at once where it should wait.
	if r.wakeFD, err = unix.Eventfd(0, unix.EFD_CLOEXEC); err != nil {
		return refused("eventfd", err)
	}
	return nil
}

func setupFlags(f Feature) uint32 {
	flags := uint32(setupCQSize | setupClamp | setupSubmitAll)
	if f&CoopTaskrun != 0 {
		flags |= setupCoopTaskrun | setupTaskrunFlag
	}
	if f&NoSQArray != 0 {
		flags |= setupNoSQArray
	}
	return flags
}

func (r *Ring) create(cfg Config, flags uint32) (*params, error) {
	p := &params{Flags: flags, CQEntries: uint32(max(cfg.CQEntries, cfg.Entries))}
	fd, err := setup(uint32(cfg.Entries), p)
	if err != nil {
		return nil, refused("io_uring_setup", err)
	}
	r.fd, r.setup, r.kernel = fd, flags, p.Features
	const need = featSingleMmap | featNoDrop | featSubmitStable | featFastPoll | featExtArg
	if p.Features&need != need {
		return nil, &Error{Step: "io_uring_setup", Err: fmt.Errorf("features %#x lack %#x", p.Features, need&^p.Features),
			Cause: "the kernel is older than 6.0: upgrade to 6.1 or newer, or use epoll"}
	}
	return p, nil
}

// Features returns the features in use.
func (r *Ring) Features() Feature { return r.features }

// Tier is "full" when every optional feature that makes a difference to speed over
// TCP is in use, otherwise "base".
func (r *Ring) Tier() string { return r.features.tier() }

// Stats returns the counters, also after Close.
func (r *Ring) Stats() Stats {
	if r.fd >= 0 && r.cq.overflow != nil {
		// The kernel's counter of overflow is one of loss: what only waited for
		// room (IORING_FEAT_NODROP) is not in it.
		r.stats.Lost = uint64(atomic.LoadUint32(r.cq.overflow))
	}
	return r.stats
}

// Enter submits what was prepared and waits for at least one completion, in one
// system call. A negative timeout waits without limit, zero does not wait. It
// does not wait either while completions are unread. A nil error does not promise
// a completion: the wait may have been cut short by its timeout, by a signal, or
// by the kernel having no memory for all submissions (they are kept and go with
// the next call). An error means the ring is unusable.
func (r *Ring) Enter(timeout time.Duration) error {
	r.armWake()
	r.drainBacklog()
	for len(r.backlog) > 0 && r.flush() {
		// as long as the kernel takes some
	}
	r.publish()

	wait := uint32(0)
	if timeout != 0 && len(r.backlog) == 0 && !r.ready() {
		wait = 1
	}
	submit := r.sq.next - r.sq.sent
	state := atomic.LoadUint32(r.sq.flags)
	if state&sqCQOverflow != 0 {
		r.stats.Overflow++
	}
	if wait == 0 && submit == 0 && state&(sqTaskrun|sqCQOverflow) == 0 && r.setup&setupDeferTaskrun == 0 {
		return nil
	}
	return r.enterKernel(submit, wait, timeout)
}

// enterKernel submits, and waits for completions: without limit when timeout is
// negative.
func (r *Ring) enterKernel(submit, wait uint32, timeout time.Duration) error {
	r.arg.ts = 0
	if wait != 0 && timeout >= 0 {
		*r.ts = timespec{sec: int64(timeout / time.Second), nsec: int64(timeout % time.Second)}
		r.arg.ts = uint64(uintptr(unsafe.Pointer(r.ts)))
	}
	flags := uint32(enterGetEvents | enterExtArg)
	if r.features&NoIowait != 0 {
		flags |= enterNoIowait
	}
	r.stats.Enters++
	n, errno := r.enter(r.fd, submit, wait, flags, uintptr(unsafe.Pointer(r.arg)), argSize)
	return r.entered(submit, n, errno)
}

// entered accounts for what io_uring_enter said. Submissions it did not consume
// stay in the queue.
func (r *Ring) entered(submit uint32, n int, errno syscall.Errno) error {
	switch errno {
	case 0:
		r.consumed(n)
		if n == 0 && submit != 0 {
			r.busy()
		}
		return nil
	case syscall.EINTR, syscall.ETIME:
		return nil
	case syscall.EAGAIN, syscall.EBUSY:
		r.busy()
		return nil
	case syscall.EBADR:
		return fmt.Errorf("io_uring_enter: the kernel dropped a completion: %w", errno)
	}
	return fmt.Errorf("io_uring_enter: %w", errno)
}

// consumed accounts for n submissions taken by the kernel.
func (r *Ring) consumed(n int) {
	r.sq.sent += uint32(n)
	r.stats.Submitted += uint64(n)
}

// busy is called when the kernel took nothing: it has no memory for requests, or
// completions that overflowed have to be read first. If there are none to read,
// only time can help.
func (r *Ring) busy() {
	r.stats.Busy++
	if !r.ready() {
		time.Sleep(time.Millisecond)
	}
}

// publish makes the kernel see what this side has consumed and produced.
func (r *Ring) publish() {
	atomic.StoreUint32(r.cq.head, r.cq.next)
	r.bufs.publish()
	atomic.StoreUint32(r.sq.tail, r.sq.next)
}

// ready reports whether a completion can be read without entering the kernel.
func (r *Ring) ready() bool {
	if r.cq.next != r.cq.seen {
		return true
	}
	r.cq.seen = atomic.LoadUint32(r.cq.tail)
	return r.cq.next != r.cq.seen
}

// Next stores the next completion in c, or reports false when there is none. The
// completion is consumed at once: whoever calls Next afterwards, on whatever
// goroutine, gets the following one.
func (r *Ring) Next(c *ring.Completion) bool {
	for r.ready() {
		e := &r.cq.entry[r.cq.next&r.cq.mask]
		token, res, flags := ring.Token(e.UserData()), e.Result(), e.Flags()
		r.cq.next++
		r.stats.Completions++
		if flags&cqeMore == 0 && token.Op() != ring.OpNone {
			r.inflight--
		}
		if r.deliver(c, token, res, flags) {
			return true
		}
	}
	return false
}

func (r *Ring) deliver(c *ring.Completion, token ring.Token, res int32, flags uint32) bool {
	c.Token, c.Res, c.Flags, c.Buf = token, res, 0, nil
	if flags&cqeMore != 0 {
		c.Flags = ring.More
	}
	if flags&cqeBuffer != 0 {
		c.Flags |= ring.HasBuffer
		c.BufID = uint16(flags >> cqeBufferShift)
		c.Buf = r.bufs.take(c.BufID, max(int(res), 0))
	}
	switch token.Op() {
	case ring.OpNone:
		return false // a failed close: nobody waits for it
	case ring.OpInstall:
		if res >= 0 {
			unix.Close(int(res)) // who wanted it has not waited
		}
		return false
	case ring.OpWake:
		r.stats.Wakes++
		if !c.More() {
			r.armed = false
		}
		return false
	case ring.OpRecv:
		if res == -int32(syscall.ENOBUFS) {
			r.stats.Starved++
			r.bufs.missed()
		}
		if r.polled != nil {
			r.receivePolled(c)
		}
	}
	return true
}

// Wake makes a waiting Enter return. Any goroutine may call it, also while Close
// runs and after it, when it does nothing.
func (r *Ring) Wake() {
	one := [8]byte{1}
	r.wakeMu.Lock() // the descriptor's number may be somebody else's after Close
	defer r.wakeMu.Unlock()
	for r.wakeFD >= 0 {
		_, err := unix.Write(r.wakeFD, one[:])
		if !errors.Is(err, syscall.EINTR) {
			return
		}
	}
}

// closeWake ends what Wake can reach.
func (r *Ring) closeWake() {
	r.wakeMu.Lock()
	defer r.wakeMu.Unlock()
	if r.wakeFD >= 0 {
		unix.Close(r.wakeFD)
	}
	r.wakeFD = -1
}

// armWake keeps a multishot poll on the wake descriptor. The counter is never
// read: every write makes the poll complete again, and it would take 2^64 of
// them to fill it.
func (r *Ring) armWake() {
	if r.armed {
		return
	}
	r.armed = true
	e := r.prepare()
	e.PrepOperation(opPollAdd, int32(r.wakeFD), 0, pollMultishot, 0)
	e.SetOpFlags(unix.POLLIN)
	e.SetUserData(uint64(ring.MakeToken(ring.OpWake, 0, 0)))
}

// prepare returns a zeroed entry at the tail of the submission queue, flushing
// the queue when it is full. The entry is submitted by the next Enter.
func (r *Ring) prepare() *sqe {
	r.inflight++
	if len(r.backlog) == 0 && r.full() {
		r.flush()
	}
	if len(r.backlog) > 0 || r.full() {
		r.backlog = append(r.backlog, sqe{})
		return &r.backlog[len(r.backlog)-1]
	}
	e := &r.sq.entry[r.sq.next&r.sq.mask]
	r.sq.next++
	e.Reset()
	return e
}

func (r *Ring) full() bool { return r.sq.next-r.sq.sent == r.sq.entries }

// flush hands the full queue to the kernel without waiting or reaping, and
// reports whether the kernel took any of it.
func (r *Ring) flush() bool {
	r.publish()
	r.stats.Enters++
	r.stats.Flushes++
	n, errno := r.enter(r.fd, r.sq.next-r.sq.sent, 0, 0, 0, 0)
	if errno != 0 || n == 0 {
		// What it means is left to Enter, which makes the same attempt.
		return false
	}
	r.consumed(n)
	r.drainBacklog()
	return true
}

func (r *Ring) drainBacklog() {
	i := 0
	for ; i < len(r.backlog) && !r.full(); i++ {
		r.sq.entry[r.sq.next&r.sq.mask] = r.backlog[i]
		r.sq.next++
	}
	r.backlog = append(r.backlog[:0], r.backlog[i:]...)
}
