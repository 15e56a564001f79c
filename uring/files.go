package uring

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/mapped"
	"github.com/ringkit/ringkit/internal/ring"
)

// A file in a ring's table is not a descriptor of the process: it does not count for
// RLIMIT_NOFILE, and an operation on it takes no reference. It is known by its slot, for
// which operations are given ring.Direct(slot) in the place of a descriptor.

const (
	// maxFiles is how large the kernel allows a table to be.
	maxFiles = 1 << 20
	// usualFiles is how large a table is when nobody says: its slots take 8 bytes each in
	// the kernel, from the beginning.
	usualFiles = 1 << 17
)

// files is the table of a ring.
type files struct {
	n    int
	fds  []byte // mapped: by slot, the descriptor that Register has moved there
	unix []bool // by slot, nil where all sockets are treated alike: it is a unix socket
	opt  []byte // mapped: struct linger of Reset
}

// OpenFiles makes a table of files with n slots; 0 means as many as the process may have
// descriptors (RLIMIT_NOFILE, beyond which the kernel makes no table), 131072 at most. It
// is called once, and its error says what the kernel lacks, when it does.
func (r *Ring) OpenFiles(n int) error {
	if r.features&DirectDescriptors == 0 {
		return &Error{Step: "direct descriptors", Err: missing(DirectDescriptors)}
	}
	if n < 0 || n > maxFiles || r.files.n > 0 {
		return fmt.Errorf("uring: a table of %d files beside one of %d", n, r.files.n)
	}
	if n == 0 {
		var limit unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			return refused("getrlimit", err)
		}
		n = int(min(limit.Cur, usualFiles))
	}
	reg := rsrcRegister{nr: uint32(n), flags: filesSparse}
	if err := register(r.fd, registerFiles2, unsafe.Pointer(&reg), rsrcSize); err != nil {
		return refused(fmt.Sprintf("register a table of %d files", n), err)
	}
	return r.files.open(n, r.features&MultishotUnix == 0)
}

// missing says why the kernel lacks a feature, or that it was not wanted.
func missing(f Feature) error {
	for _, found := range Probe().Findings {
		if found.Name == f.String() && found.Err != nil {
			return found.Err
		}
	}
	return fmt.Errorf("%v is not in use", f)
}

func (f *files) open(n int, distinct bool) (err error) {
	if f.fds, err = mapped.Alloc(n * 4); err != nil {
		return refused("map the descriptors", err)
	}
	if f.opt, err = mapped.Alloc(int(unsafe.Sizeof(unix.Linger{}))); err != nil {
		return refused("map an option", err)
	}
	*(*unix.Linger)(unsafe.Pointer(&f.opt[0])) = unix.Linger{Onoff: 1}
	if f.n = n; distinct {
		f.unix = make([]bool, n)
	}
	return nil
}

func (f *files) close() error {
	for _, p := range [][]byte{f.fds, f.opt} {
		if err := mapped.Free(p); err != nil {
			return err
		}
	}
	*f = files{}
	return nil
}

// Files returns how many slots the table has, 0 without one.
func (r *Ring) Files() int { return r.files.n }

// Register moves a descriptor into a slot, which is empty, and returns what operations
// know it by from now on. The descriptor is closed; operations on it that are in flight
// go on. There is no completion: without memory for it the connection is lost, and
// operations fail with EBADF.
func (r *Ring) Register(fd int, slot uint32) (direct int) {
	if r.files.unix != nil {
		family, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
		r.files.unix[slot] = err == nil && family == unix.AF_UNIX
	}
	at := r.files.fds[slot*4 : slot*4+4]
	*(*int32)(unsafe.Pointer(&at[0])) = int32(fd)
	e := r.silent()
	e.PrepOperation(opFilesUpdate, -1, address(at), 1, uint64(slot))
	r.CloseFD(fd)
	return ring.Direct(slot)
}

// Install makes a descriptor, close-on-exec, of the file in a slot, which stays there. It
// enters the kernel, with everything that is prepared. The error is EMFILE or ENFILE at
// the limit of descriptors, EBUSY when the kernel does not answer for want of memory.
func (r *Ring) Install(direct int) (fd int, err error) {
	r.installs++
	t := ring.MakeToken(ring.OpInstall, r.installs, ring.FileSlot(direct))
	e := r.prepare()
	e.PrepOperation(opFixedFD, file(e, direct), 0, 0, 0)
	e.SetUserData(uint64(t))
	for len(r.backlog) > 0 && r.flush() {
		// as long as the kernel takes some
	}
	r.flush()
	res, ok := r.extract(t)
	switch {
	case !ok:
		return -1, syscall.EBUSY // Next closes it when it comes after all
	case res < 0:
		return -1, syscall.Errno(-res)
	}
	return int(res), nil
}

// extract takes a completion out of the queue before those that are in front of it.
func (r *Ring) extract(t ring.Token) (res int32, ok bool) {
	tail := atomic.LoadUint32(r.cq.tail)
	for i := r.cq.next; i != tail; i++ {
		e := &r.cq.entry[i&r.cq.mask]
		if ring.Token(e.UserData()) == t {
			*(*uint64)(unsafe.Pointer(e)) = 0 // user_data: it is nobody's any more
			r.inflight--
			return e.Result(), true
		}
	}
	return 0, false
}

// shutdownDirect is Shutdown for a file in the table.
func (r *Ring) shutdownDirect(direct, how int) {
	if how != unix.SHUT_WR {
		e := r.silent()
		e.PrepOperation(opAsyncCancel, int32(ring.FileSlot(direct)), 0, 0, 0)
		e.SetOpFlags(cancelFD | cancelFDFixed | cancelAll)
		return
	}
	if fd, err := r.Install(direct); err == nil {
		_ = unix.Shutdown(fd, how)
		unix.Close(fd)
		return
	}
	e := r.silent() // by way of a kernel worker: there is no descriptor left
	e.PrepOperation(opShutdown, file(e, direct), 0, uint32(how), 0)
}

// resetDirect is Reset for a file in the table.
func (r *Ring) resetDirect(direct int) { r.setLinger(r.silent(), direct) }

// setLinger makes e set the option of Reset.
func (r *Ring) setLinger(e *sqe, direct int) *sqe {
	e.PrepOperation(opURingCmd, file(e, direct), halves(unix.SOL_SOCKET, unix.SO_LINGER), 0, halves(cmdSetsockopt, 0))
	e.SetSpliceFdIn(int32(len(r.files.opt)))
	(*[sqeSize / 8]uint64)(unsafe.Pointer(e))[6] = address(r.files.opt)
	return e
}

// halves makes the 64 bits of a submission entry that are two numbers of 32.
func halves(first, second uint32) uint64 {
	var b [8]byte
	binary.NativeEndian.PutUint32(b[:4], first)
	binary.NativeEndian.PutUint32(b[4:], second)
	return binary.NativeEndian.Uint64(b[:])
}

// file returns what the entry has as its descriptor: fd, or a slot, and then says so.
func file(e *sqe, fd int) int32 {
	if !ring.IsDirect(fd) {
		return int32(fd)
	}
	e.SetFlags(sqeFixedFile)
	return int32(ring.FileSlot(fd))
}

// What package iouring-go/syscall does not tell of an entry.
func sqeFlags(e *sqe) uint8     { return (*[sqeSize]uint8)(unsafe.Pointer(e))[1] }
func sqeFileIndex(e *sqe) int32 { return (*[sqeSize / 4]int32)(unsafe.Pointer(e))[11] }
