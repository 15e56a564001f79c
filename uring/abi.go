package uring

// The kernel's interface. Structures, opcodes and the set-up call that
// github.com/iceber/iouring-go/syscall has are taken from there, in this file
// only; what it lacks is declared beside it, with the kernel version that brought
// it. The compile-time checks at the end hold the sizes; abi_test.go holds the
// values by using each against the running kernel.

import (
	"syscall"
	"unsafe"

	sys "github.com/iceber/iouring-go/syscall"
)

type (
	params = sys.IOURingParams
	sqe    = sys.SubmissionQueueEntry64
	cqe    = sys.CompletionQueueEvent16
)

// Opcodes.
const (
	opNop         = sys.IORING_OP_NOP
	opPollAdd     = sys.IORING_OP_POLL_ADD
	opAccept      = sys.IORING_OP_ACCEPT
	opAsyncCancel = sys.IORING_OP_ASYNC_CANCEL
	opConnect     = sys.IORING_OP_CONNECT
	opClose       = sys.IORING_OP_CLOSE
	opSend        = sys.IORING_OP_SEND
	opRecv        = sys.IORING_OP_RECV
	opFilesUpdate = sys.IORING_OP_FILES_UPDATE
	opShutdown    = sys.IORING_OP_SHUTDOWN
	opURingCmd    = sys.IORING_OP_URING_CMD
	opFixedFD     = 54 // FIXED_FD_INSTALL, 6.8
)

// Set-up flags.
const (
	setupCQSize       = sys.IORING_SETUP_CQSIZE
	setupClamp        = sys.IORING_SETUP_CLAMP
	setupSubmitAll    = sys.IORING_SETUP_SUBMIT_ALL
	setupCoopTaskrun  = sys.IORING_SETUP_COOP_TASKRUN
	setupTaskrunFlag  = sys.IORING_SETUP_TASKRUN_FLAG
	setupSingleIssuer = 1 << 12 // 6.0
	setupDeferTaskrun = 1 << 13 // 6.1
	setupNoSQArray    = 1 << 16 // 6.6
)

// Feature bits the kernel reports.
const (
	featSingleMmap   = sys.IORING_FEAT_SINGLE_MMAP
	featNoDrop       = sys.IORING_FEAT_NODROP
	featSubmitStable = sys.IORING_FEAT_SUBMIT_STABLE
	featFastPoll     = sys.IORING_FEAT_FAST_POLL
	featExtArg       = 1 << 8  // 5.11
	featNoIowait     = 1 << 17 // 6.15
)

// Flags of io_uring_enter.
const (
	enterGetEvents = sys.IORING_ENTER_FLAGS_GETEVENTS
	enterExtArg    = 1 << 3 // 5.11
	enterNoIowait  = 1 << 7 // 6.15
)

// Flags of a submission entry.
const (
	sqeFixedFile    = sys.IOSQE_FLAGS_FIXED_FILE
	sqeBufferSelect = sys.IOSQE_FLAGS_BUFFER_SELECT
	sqeSkipSuccess  = 1 << 6 // 5.17
)

// Modifiers: ioprio of accept, receive; len of poll; flags of cancel.
const (
	acceptMultishot = 1 << 0 // 5.19
	recvMultishot   = 1 << 1 // 6.0
	pollMultishot   = 1 << 0 // 5.13

	cmdSetsockopt = 3 // of opURingCmd on a socket, 6.7
)

// Flags of a completion entry.
const (
	cqeBuffer      = 1 << 0
	cqeMore        = 1 << 1
	cqeBufferShift = 16
)

// State of the submission ring, written by the kernel.
const (
	sqCQOverflow = sys.IORING_SQ_CQ_OVERFLOW
	sqTaskrun    = 1 << 2 // 5.19
)

// Offsets for mmap.
const (
	offRings = int64(sys.IORING_OFF_SQ_RING)
	offSQEs  = int64(sys.IORING_OFF_SQES)
)

// Operations of io_uring_register and their flags.
const (
	registerProbe          = sys.IORING_REGISTER_PROBE
	registerFiles2         = 13 // 5.13
	registerIOWQMaxWorkers = 19 // 5.15
	registerPbufRing       = 22 // 5.19
	unregisterPbufRing     = 23 // 5.19
	registerSyncCancel     = 24 // 6.0

	probeOpSupported = 1 << 0
	probeMaxOps      = 256
	filesSparse      = 1 << 0 // 5.19
	cancelAll        = 1 << 0 // 5.19
	cancelFD         = 1 << 1 // 5.19
	cancelAny        = 1 << 2 // 5.19
	cancelFDFixed    = 1 << 3 // 6.0
)

// Sizes in bytes.
const (
	sqeSize        = 64
	cqeSize        = 16
	pbufEntrySize  = 16
	pbufTailOffset = 14    // of the ring: the resv field of entry 0 is the tail
	maxPbufEntries = 32768 // entries, not bytes
	rsrcSize       = 32    // rsrcRegister
	argSize        = 24    // getEventsArg
)

// timespec is struct __kernel_timespec.
type timespec struct {
	sec  int64
	nsec int64
}

// getEventsArg is struct io_uring_getevents_arg (5.11).
type getEventsArg struct {
	sigmask   uint64
	sigmaskSz uint32
	minWait   uint32 // 6.12, microseconds
	ts        uint64
}

// bufReg is struct io_uring_buf_reg (5.19).
type bufReg struct {
	ringAddr    uint64
	ringEntries uint32
	bgid        uint16
	flags       uint16
	resv        [3]uint64
}

// rsrcRegister is struct io_uring_rsrc_register (5.13).
type rsrcRegister struct {
	nr    uint32
	flags uint32
	_     uint64
	data  uint64
	tags  uint64
}

// probeOp and probe are struct io_uring_probe_op and io_uring_probe (5.6).
type probeOp struct {
	op    uint8
	_     uint8
	flags uint16
	_     uint32
}

type opProbe struct {
	lastOp uint8
	opsLen uint8
	_      uint16
	_      [3]uint32
	ops    [probeMaxOps]probeOp
}

// syncCancelReg is struct io_uring_sync_cancel_reg (6.0).
type syncCancelReg struct {
	addr    uint64
	fd      int32
	flags   uint32
	timeout timespec
	opcode  uint8
	_       [7]uint8
	_       [3]uint64
}

// Each line fails to compile when a size is not the kernel's.
var (
	_ [120]byte = [unsafe.Sizeof(params{})]byte{}
	_ [40]byte  = [unsafe.Sizeof(params{}.SQOffset)]byte{}
	_ [40]byte  = [unsafe.Sizeof(params{}.CQOffset)]byte{}
	_ [64]byte  = [unsafe.Sizeof(sqe{})]byte{}
	_ [16]byte  = [unsafe.Sizeof(cqe{})]byte{}
	_ [16]byte  = [unsafe.Sizeof(timespec{})]byte{}
	_ [24]byte  = [unsafe.Sizeof(getEventsArg{})]byte{}
	_ [40]byte  = [unsafe.Sizeof(bufReg{})]byte{}
	_ [32]byte  = [unsafe.Sizeof(rsrcRegister{})]byte{}
	_ [8]byte   = [unsafe.Sizeof(probeOp{})]byte{}
	_ [16]byte  = [unsafe.Sizeof(opProbe{}) - 8*probeMaxOps]byte{}
	_ [64]byte  = [unsafe.Sizeof(syncCancelReg{})]byte{}
)

func setup(entries uint32, p *params) (int, error) {
	return sys.IOURingSetup(uint(entries), p)
}

func register(fd int, op uint8, arg unsafe.Pointer, n uint32) error {
	return sys.IOURingRegister(fd, op, arg, n)
}

type enterFunc func(fd int, submit, minComplete, flags uint32, arg, argSize uintptr) (int, syscall.Errno)

// enter is io_uring_enter with the extended argument, which the package above
// does not have. arg is the address of mapped memory, or 0.
func enter(fd int, submit, minComplete, flags uint32, arg, argSize uintptr) (int, syscall.Errno) {
	n, _, errno := syscall.Syscall6(sys.SYS_IO_URING_ENTER, uintptr(fd), uintptr(submit), uintptr(minComplete), uintptr(flags), arg, argSize)
	return int(n), errno
}
