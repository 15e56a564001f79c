package mapped

import (
	"math"
	"os"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/check"
)

func TestAllocIsZeroedWholePages(t *testing.T) {
	page := os.Getpagesize()
	for _, n := range []int{1, page - 1, page, page + 1, 1 << 20} {
		b, err := Alloc(n)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) < n || len(b)-n >= page || len(b)%page != 0 {
			t.Errorf("Alloc(%d) returned %d bytes", n, len(b))
		}
		if uintptr(unsafe.Pointer(&b[0]))%uintptr(page) != 0 {
			t.Errorf("Alloc(%d) is not aligned to a page", n)
		}
		for i := range b {
			if b[i] != 0 {
				t.Fatalf("byte %d is %#x", i, b[i])
			}
			b[i] = 1
		}
		if err := Free(b); err != nil {
			t.Error(err)
		}
	}
}

func TestAllocFails(t *testing.T) {
	if b, err := Alloc(math.MaxInt - 1<<20); err == nil {
		t.Errorf("got %d bytes", len(b))
	}
	if b, err := File(-1, 0, 4096); err == nil {
		t.Errorf("got %d bytes of no file", len(b))
	}
	if err := Free(nil); err != nil {
		t.Errorf("Free(nil): %v", err)
	}
}

func TestFileIsShared(t *testing.T) {
	fd, err := unix.MemfdCreate("mapped", unix.MFD_CLOEXEC)
	if err != nil {
		t.Skip(err)
	}
	defer unix.Close(fd)
	page := os.Getpagesize()
	if err := unix.Ftruncate(fd, int64(2*page)); err != nil {
		t.Fatal(err)
	}
	b, err := File(fd, int64(page), page)
	if err != nil {
		t.Fatal(err)
	}
	copy(b, "through the mapping")
	got := make([]byte, 7)
	if _, err := unix.Pread(fd, got, int64(page)); err != nil || string(got) != "through" {
		t.Errorf("the file holds %q, %v", got, err)
	}
	if err := Free(b); err != nil {
		t.Error(err)
	}
}

func TestDiscardEmptiesPages(t *testing.T) {
	b, err := Alloc(4 * os.Getpagesize())
	if err != nil {
		t.Fatal(err)
	}
	defer Free(b)
	for i := range b {
		b[i] = 1
	}
	half := len(b) / 2
	if err := Discard(b[half:]); err != nil {
		t.Fatal(err)
	}
	if b[half-1] != 1 || b[half] != 0 || b[len(b)-1] != 0 {
		t.Error("not exactly the pages named were emptied")
	}
	b[half] = 2 // the mapping is still there
}

func TestOwns(t *testing.T) {
	if !check.Enabled {
		if !Owns(make([]byte, 1)) {
			t.Error("ordinary builds keep no register, and must not object")
		}
		t.Skip("not a test build")
	}
	b, err := Alloc(1)
	if err != nil {
		t.Fatal(err)
	}
	n := len(b)
	for _, in := range [][]byte{b, b[:1], b[n-1:], b[1 : n/2], b[:0], b[n:], nil} {
		if !Owns(in) {
			t.Errorf("%d bytes of the mapping are not recognised", len(in))
		}
	}
	if Owns(make([]byte, 10)) {
		t.Error("the Go heap is taken for mapped memory")
	}
	if Owns(unsafe.Slice(&b[n-1], 2)) {
		t.Error("a slice that reaches beyond the mapping is taken for part of it")
	}
	if err := Free(b); err != nil {
		t.Error(err)
	}
	if Owns(b) {
		t.Error("a freed mapping is still in the register")
	}
}
