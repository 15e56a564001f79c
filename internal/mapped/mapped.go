// Package mapped provides memory outside the Go heap, for everything the kernel
// reads or writes after a system call has returned: rings, receive buffers, data
// being sent, socket addresses. Such memory neither moves nor is freed by the
// garbage collector, and it must never hold a Go pointer.
package mapped

import (
	"fmt"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/check"
)

// Alloc maps n bytes of zeroed private memory, rounded up to whole pages.
// Pages cost nothing until they are touched.
func Alloc(n int) ([]byte, error) {
	n = (n + os.Getpagesize() - 1) &^ (os.Getpagesize() - 1)
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes: %w", n, err)
	}
	register(b)
	return b, nil
}

// File maps n bytes of a descriptor at the given offset, shared and populated:
// what io_uring's ring memory wants.
func File(fd int, offset int64, n int) ([]byte, error) {
	b, err := unix.Mmap(fd, offset, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes of descriptor %d: %w", n, fd, err)
	}
	register(b)
	return b, nil
}

// Free unmaps what Alloc or File returned. The caller warrants that no operation
// of the kernel still refers to it.
func Free(b []byte) error {
	if b == nil {
		return nil
	}
	unregister(b)
	return unix.Munmap(b)
}

// Discard gives the pages of b back to the system; their content becomes zero.
// The mapping stays. b has to be page-aligned.
func Discard(b []byte) error { return unix.Madvise(b, unix.MADV_DONTNEED) }

// Owns reports whether b lies in mapped memory. It always answers true in
// ordinary builds, where no register of mappings is kept.
func Owns(b []byte) bool {
	if !check.Enabled || len(b) == 0 {
		return true
	}
	at := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	regions.Lock()
	defer regions.Unlock()
	for start, n := range regions.m {
		if at >= start && at+uintptr(len(b)) <= start+uintptr(n) {
			return true
		}
	}
	return false
}

var regions struct {
	sync.Mutex
	m map[uintptr]int
}

func register(b []byte) {
	if check.Enabled {
		regions.Lock()
		if regions.m == nil {
			regions.m = make(map[uintptr]int)
		}
		regions.m[uintptr(unsafe.Pointer(unsafe.SliceData(b)))] = len(b)
		regions.Unlock()
	}
}

func unregister(b []byte) {
	if check.Enabled {
		regions.Lock()
		delete(regions.m, uintptr(unsafe.Pointer(unsafe.SliceData(b))))
		regions.Unlock()
	}
}
