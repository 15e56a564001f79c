package simring

import (
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ringkit/ringkit/internal/check"
	"github.com/ringkit/ringkit/internal/mapped"
	"github.com/ringkit/ringkit/internal/ring"
)

// Ring is a simulated engine and the network behind it.
type Ring struct {
	seed     uint64
	rng      *rand.Rand
	faults   Faults
	window   int
	maxFDs   int
	blocking bool

	now    int64
	seq    uint64
	events eventHeap
	still  bool        // only events move the clock, not the patience of Enter's caller
	until  func() bool // what Until waits for, else nil
	idle   bool        // the last Enter had nothing to do and nothing to wait for

	files   map[int]*file // by descriptor
	nextFD  int
	table   files
	remotes map[string]*remote
	active  []*file // may have something to do
	scarce  int64   // no descriptors before this time

	prepared []*op
	inflight map[ring.Token]*op // prepared, terminal completion not yet read
	pending  []completion       // happened, not yet seen by the caller
	cq       []completion
	read     int // of cq
	bufs     buffers

	wake   chan struct{}
	gone   atomic.Bool // Close has begun
	broken error
	closed bool
	left   []string // what was in flight when the ring was closed
	stats  Stats
}

// op is one operation, from its preparation to the reading of its last completion.
type op struct {
	token     ring.Token
	kind      ring.Op
	f         *file
	fd        int // to be closed
	p         []byte
	sum       uint32 // of p
	moved     int    // how much of p has been sent
	mask      uint32
	target    ring.Token
	submitted bool
	leaving   bool // will complete by an event that is scheduled
	brought   bool // it is a receive that has brought data
	deaf      bool // and has lost a reset
	lost      bool // and has lost that the socket was shut down: only a cancellation ends it
	done      bool // the last completion has happened
}

type completion struct {
	ring.Completion
	op *op
}

// Stats count what the user of a ring has asked for.
type Stats struct {
	Enters, Accepts, Recvs, Sends, Polls, Cancels, Closes int
}

// Option changes how a ring is made.
type Option func(*Ring)

// WithFaults sets the faults. Without it they are a [Storm] drawn from the seed.
func WithFaults(f Faults) Option { return func(r *Ring) { r.faults = f } }

// WithBuffers sets number and size of the receive buffers; it is drawn from the
// seed otherwise, 2 to 8 of 64 bytes to 4 KiB.
func WithBuffers(count, size int) Option {
	return func(r *Ring) { r.bufs = makeBuffers(count, size) }
}

// WithWindow sets how many bytes can be on their way to a peer that does not read.
func WithWindow(n int) Option { return func(r *Ring) { r.window = n } }

// WithMaxFDs sets how many descriptors may be open.
func WithMaxFDs(n int) Option { return func(r *Ring) { r.maxFDs = n } }

// WithBlocking makes an Enter without limit block until Wake when nothing happens
// in the simulated world, for a loop that runs on a goroutine of its own. Without
// it such an Enter returns early.
func WithBlocking() Option { return func(r *Ring) { r.blocking = true } }

// WithFiles gives the ring a table of n files.
func WithFiles(n int) Option { return func(r *Ring) { r.table.slots = n } }

// firstFD is far above any real descriptor, so that a mistaken system call fails.
const firstFD = 1 << 30

// New makes a ring.
func New(seed uint64, opts ...Option) *Ring {
	r := &Ring{
		seed:     seed,
		rng:      rand.New(rand.NewPCG(seed, 0x72696e67)),
		files:    make(map[int]*file),
		table:    files{in: make(map[int]*file)},
		remotes:  make(map[string]*remote),
		nextFD:   firstFD,
		maxFDs:   1 << 20,
		inflight: make(map[ring.Token]*op),
		wake:     make(chan struct{}, 1),
		now:      int64(time.Hour),
	}
	r.faults = Storm(r.rng)
	r.window = 1 << (8 + r.rng.IntN(10))
	r.bufs = makeBuffers(2+r.rng.IntN(7), 64<<r.rng.IntN(7))
	for _, o := range opts {
		o(r)
	}
	return r
}

// SetFaults changes the faults from now on.
func (r *Ring) SetFaults(f Faults) { r.faults = f }

// Faults returns the faults.
func (r *Ring) Faults() Faults { return r.faults }

// Stats returns the counters.
func (r *Ring) Stats() Stats { return r.stats }

// Break makes every Enter fail from now on.
func (r *Ring) Break(err error) { r.broken = err }

// fail reports a breach of contract by the user of the ring.
func (r *Ring) fail(format string, args ...any) {
	panic(fmt.Sprintf("simring: seed %d, enter %d: ", r.seed, r.stats.Enters) + fmt.Sprintf(format, args...))
}

// prepare checks and queues an operation on f (nil: on no descriptor).
func (r *Ring) prepare(o *op) {
	if r.closed {
		r.fail("%v on a closed ring", o.token)
	}
	if o.kind = o.token.Op(); r.inflight[o.token] != nil {
		r.fail("token %v is in flight already", o.token)
	}
	if o.f != nil {
		if o.f.ops[o.kind] != nil {
			r.fail("second %v on descriptor %d, beside %v", o.token, o.f.fd, o.f.ops[o.kind].token)
		}
		o.f.ops[o.kind] = o
	}
	r.inflight[o.token] = o
	r.prepared = append(r.prepared, o)
}

// open returns the file behind a descriptor, which has to be open.
func (r *Ring) open(fd int, what any) *file {
	if ring.IsDirect(fd) {
		return r.inTable(fd, what)
	}
	f := r.files[fd]
	if f == nil {
		r.fail("%v on unknown descriptor %d", what, fd)
	}
	if f.closing[fd] {
		r.fail("%v on closed descriptor %d", what, fd)
	}
	return f
}

// Accept implements the engine.
func (r *Ring) Accept(t ring.Token, fd int) {
	r.stats.Accepts++
	f := r.open(fd, t)
	if !f.listening {
		r.fail("%v on descriptor %d, which does not listen", t, fd)
	}
	r.prepare(&op{token: t, f: f})
}

// Recv implements the engine.
func (r *Ring) Recv(t ring.Token, fd int) {
	r.stats.Recvs++
	r.prepare(&op{token: t, f: r.stream(fd, t)})
}

// SendSome implements the engine.
func (r *Ring) SendSome(t ring.Token, fd int, p []byte) { r.Send(t, fd, p) }

// Send implements the engine.
func (r *Ring) Send(t ring.Token, fd int, p []byte) {
	r.stats.Sends++
	if len(p) == 0 {
		r.fail("%v of nothing on descriptor %d", t, fd)
	}
	if !mapped.Owns(p) {
		r.fail("%v of memory that is not mapped", t)
	}
	r.prepare(&op{token: t, f: r.stream(fd, t), p: p, sum: crc32.ChecksumIEEE(p)})
}

// Connect implements the engine.
func (r *Ring) Connect(t ring.Token, fd int, sockaddr []byte) {
	if !mapped.Owns(sockaddr) {
		r.fail("%v with an address that is not mapped", t)
	}
	f := r.open(fd, t)
	if f.peer != nil || f.listening {
		r.fail("%v on descriptor %d, which is connected or listens", t, fd)
	}
	r.prepare(&op{token: t, f: f, p: sockaddr, sum: crc32.ChecksumIEEE(sockaddr)})
}

// Poll implements the engine.
func (r *Ring) Poll(t ring.Token, fd int, events uint32) {
	r.stats.Polls++
	r.prepare(&op{token: t, f: r.open(fd, t), mask: events})
}

// Cancel implements the engine.
func (r *Ring) Cancel(t, target ring.Token) {
	r.stats.Cancels++
	r.prepare(&op{token: t, target: target})
}

// Shutdown implements the engine.
func (r *Ring) Shutdown(fd, how int) {
	f := r.stream(fd, "shutdown")
	if ring.IsDirect(fd) && how != syscall.SHUT_WR {
		r.prepared = append(r.prepared, &op{kind: opCancelAll, f: f})
		return
	}
	f.shutdown(how)
}

// Reset implements the engine.
func (r *Ring) Reset(fd int) { r.stream(fd, "reset").resets = true }

// CloseFD implements the engine.
func (r *Ring) CloseFD(fd int) {
	r.stats.Closes++
	f := r.open(fd, "close")
	for _, o := range f.ops {
		if o != nil && f.names == 1 {
			r.fail("close of descriptor %d with %v in flight", fd, o.token)
		}
	}
	r.unname(fd, f)
}

// unname ends that a file is known by a number, with the next submission.
func (r *Ring) unname(fd int, f *file) {
	if f.names--; ring.IsDirect(fd) {
		delete(r.table.in, fd) // what is prepared next may be for another
	} else {
		if f.closing == nil {
			f.closing = make(map[int]bool)
		}
		f.closing[fd] = true
	}
	r.prepared = append(r.prepared, &op{kind: ring.OpNone, f: f, fd: fd})
}

// Forget hands a descriptor to somebody outside the simulated world, who closes it
// at once.
func (r *Ring) Forget(fd int) { r.CloseFD(fd) }

func (r *Ring) stream(fd int, what any) *file {
	f := r.open(fd, what)
	if f.peer == nil {
		r.fail("%v on descriptor %d, which is not connected", what, fd)
	}
	return f
}

// Enter implements the engine.
func (r *Ring) Enter(timeout time.Duration) error {
	r.stats.Enters++
	if r.closed {
		r.fail("enter of a closed ring")
	}
	if r.broken != nil {
		return r.broken
	}
	r.idle = false
	r.now += 1 + r.rng.Int64N(int64(20*time.Microsecond))
	limit := int64(-1)
	if timeout >= 0 {
		limit = r.now + int64(timeout)
	}
	early := r.chance(r.faults.EarlyEnter)
	r.bufs.publish()
	r.submit()
	if early && r.rng.IntN(2) == 0 {
		return nil
	}
	for {
		r.runDue()
		r.pump()
		if early || r.read < len(r.cq) || timeout == 0 {
			r.reveal(0)
			return nil
		}
		if len(r.pending) > 0 {
			r.reveal(1)
			return nil
		}
		if len(r.active) > 0 {
			r.now += int64(time.Microsecond)
		} else if !r.wait(limit) {
			return nil
		}
	}
}

func (r *Ring) submit() {
	ops := r.prepared
	r.prepared = nil
	for _, o := range ops {
		o.submitted = true
		switch o.kind {
		case ring.OpNone:
			delete(r.files, o.fd)
			if o.f.names == 0 && !o.f.closed {
				o.f.close()
			}
		case opCancelAll:
			r.cancelAll(o.f)
		case ring.OpCancel:
			r.cancel(o)
		case ring.OpConnect:
			r.connect(o)
		case ring.OpRecv:
			// With no buffer a receive fails at once, data or none.
			if !o.f.void && len(r.bufs.free) == 0 && r.rng.IntN(2) == 0 {
				r.complete(o, -int32(syscall.ENOBUFS))
			}
		}
		if o.f != nil {
			if o.f.void && o.token != 0 {
				r.complete(o, -int32(syscall.EBADF))
			}
			r.activate(o.f)
		}
	}
}

// complete makes an operation end.
func (r *Ring) complete(o *op, res int32) {
	o.done = true
	r.post(o, ring.Completion{Token: o.token, Res: res})
}

func (r *Ring) post(o *op, c ring.Completion) {
	r.pending = append(r.pending, completion{c, o})
}

// reveal lets the caller see what has happened: all of it, or some. The order
// within one operation is kept.
func (r *Ring) reveal(least int) {
	n := len(r.pending)
	if n == 0 {
		return
	}
	if r.chance(r.faults.Reorder) {
		r.shuffle()
	}
	if r.chance(r.faults.Spread) {
		n = max(least, r.rng.IntN(n+1))
	}
	if r.read == len(r.cq) {
		r.cq, r.read = r.cq[:0], 0
	}
	r.cq = append(r.cq, r.pending[:n]...)
	r.pending = append(r.pending[:0], r.pending[n:]...)
}

func (r *Ring) shuffle() {
	order := make([]*op, len(r.pending))
	byOp := make(map[*op][]completion)
	for i, c := range r.pending {
		order[i] = c.op
		byOp[c.op] = append(byOp[c.op], c)
	}
	r.rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	for i, o := range order {
		r.pending[i] = byOp[o][0]
		byOp[o] = byOp[o][1:]
	}
}

// Next implements the engine.
func (r *Ring) Next(c *ring.Completion) bool {
	if r.read == len(r.cq) {
		return false
	}
	next := r.cq[r.read]
	r.read++
	*c = next.Completion
	o := next.op
	if c.More() {
		return true
	}
	delete(r.inflight, o.token)
	if o.f != nil {
		o.f.ops[o.kind] = nil
	}
	if o.p != nil && crc32.ChecksumIEEE(o.p) != o.sum {
		r.fail("the bytes of %v changed while it was in flight", o.token)
	}
	return true
}

// cancel carries out a cancellation. It names its target when it is submitted,
// as the kernel does, and takes effect at once or soon.
func (r *Ring) cancel(o *op) {
	t := r.inflight[o.target]
	act := func() {
		switch {
		case t == nil || t.done || t.leaving || !t.submitted:
			r.complete(o, -int32(syscall.ENOENT))
		case r.chance(r.faults.MissCancel):
			r.cancelled(t)
			r.complete(o, -int32([]syscall.Errno{syscall.ENOENT, syscall.EALREADY}[r.rng.IntN(2)]))
		default:
			r.cancelled(t)
			r.complete(o, 0)
		}
	}
	if r.chance(r.faults.LateCancel) {
		r.After(r.delay(), act)
		return
	}
	act()
}

func (r *Ring) cancelled(t *op) {
	if t.moved > 0 {
		r.complete(t, int32(t.moved))
		return
	}
	r.complete(t, -int32(syscall.ECANCELED))
}

// Wake implements the engine; any goroutine may call it, until Close.
func (r *Ring) Wake() {
	if r.gone.Load() {
		panic(fmt.Sprintf("simring: seed %d: wake of a closed ring", r.seed))
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *Ring) takeWake() bool {
	select {
	case <-r.wake:
		return true
	default:
		return false
	}
}

// Close implements the engine. What is prepared and not submitted stays undone,
// as it does with a kernel.
func (r *Ring) Close(time.Duration) error {
	if r.closed {
		r.fail("second close of the ring")
	}
	r.closed = true
	r.gone.Store(true)
	for t := range r.inflight {
		r.left = append(r.left, t.String()+" was in flight")
	}
	return nil
}

// Leaks reports what a loop that has ended has left behind: operations,
// descriptors, buffers.
func (r *Ring) Leaks() error {
	what := r.left
	if !r.closed {
		what = append(what, "the ring is not closed")
	}
	for fd, f := range r.files {
		what = append(what, fmt.Sprintf("descriptor %d is open (listening %v, closed but not submitted %v)", fd, f.listening, f.closing[fd]))
	}
	what = append(what, r.table.leaks(r.prepared)...)
	for id, out := range r.bufs.out {
		if out {
			what = append(what, fmt.Sprintf("buffer %d was not released", id))
		}
	}
	if what == nil {
		return nil
	}
	slices.Sort(what)
	return errors.New("simring: " + strings.Join(what, "; "))
}

// Release implements the engine.
func (r *Ring) Release(id uint16) {
	if int(id) >= len(r.bufs.out) || !r.bufs.out[id] {
		r.fail("release of buffer %d, which is not in use", id)
	}
	r.bufs.out[id] = false
	b := r.bufs.mem[id]
	for i := range b {
		b[i] = check.PoisonByte
	}
	r.bufs.returned = append(r.bufs.returned, id)
}

// buffers are the receive buffers; they are used in the order of their return.
type buffers struct {
	mem      [][]byte
	free     []uint16
	returned []uint16 // not yet seen by the kernel
	out      []bool
}

func makeBuffers(count, size int) buffers {
	b := buffers{mem: make([][]byte, count), out: make([]bool, count)}
	for i := range count {
		b.mem[i] = make([]byte, size)
		b.free = append(b.free, uint16(i))
	}
	return b
}

func (b *buffers) publish() {
	b.free = append(b.free, b.returned...)
	b.returned = b.returned[:0]
}

func (b *buffers) take() (uint16, bool) {
	if len(b.free) == 0 {
		return 0, false
	}
	id := b.free[0]
	b.free = append(b.free[:0], b.free[1:]...)
	b.out[id] = true
	return id, true
}

// Simulated tells that descriptors are numbers: no system call may be given one.
func (r *Ring) Simulated() {}
