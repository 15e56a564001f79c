package mapped

import (
	"bytes"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"unsafe"

	"github.com/ringkit/ringkit/internal/check"
)

func get(t *testing.T, a *Arena, n int) *Block {
	t.Helper()
	b, err := a.Get(n)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func closed(t *testing.T, a *Arena) {
	t.Helper()
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

func TestBlockSizes(t *testing.T) {
	var a Arena
	defer closed(t, &a)
	for _, test := range []struct{ n, size int }{
		{0, 4 << 10}, {1, 4 << 10}, {4 << 10, 4 << 10}, {4<<10 + 1, 16 << 10},
		{16 << 10, 16 << 10}, {16<<10 + 1, 64 << 10}, {MaxBlock, MaxBlock},
	} {
		b := get(t, &a, test.n)
		if len(b.B) != 0 || cap(b.B) != test.size || b.Next != nil {
			t.Errorf("Get(%d): %d bytes of %d", test.n, len(b.B), cap(b.B))
		}
		if !Owns(b.B[:cap(b.B)]) {
			t.Errorf("Get(%d) is not mapped memory", test.n)
		}
		if at := uintptr(unsafe.Pointer(unsafe.SliceData(b.B))); at%uintptr(min(test.size, os.Getpagesize())) != 0 {
			t.Errorf("Get(%d) is at %#x", test.n, at)
		}
		a.Put(b)
	}
	if a.Live() != 0 {
		t.Errorf("%d blocks in use", a.Live())
	}
}

// Blocks in use never overlap, and what is written to one stays, whatever is
// taken and put back meanwhile.
func TestBlocksAreSeparate(t *testing.T) {
	var a Arena
	defer closed(t, &a)
	live := map[*Block]byte{}
	for i := range 4000 {
		if len(live) < 200 && rand.IntN(2) == 0 {
			n := 1 + rand.IntN(MaxBlock)
			b := get(t, &a, n)
			if live[b] != 0 {
				t.Fatal("a block was handed out twice")
			}
			fill := byte(1 + i%200)
			b.B = b.B[:n]
			b.B[0], b.B[n/2], b.B[n-1] = fill, fill, fill
			live[b] = fill
		} else {
			for b, fill := range live {
				if n := len(b.B); b.B[0] != fill || b.B[n/2] != fill || b.B[n-1] != fill {
					t.Fatal("a block was written to by another's owner")
				}
				delete(live, b)
				a.Put(b)
				break
			}
		}
		if a.Live() != len(live) {
			t.Fatalf("%d blocks in use, want %d", a.Live(), len(live))
		}
	}
}

// The block put back last is taken first: its pages are in the cache.
func TestLastPutIsFirstTaken(t *testing.T) {
	var a Arena
	defer closed(t, &a)
	first, second := get(t, &a, 100), get(t, &a, 100)
	second.Next = first // left from the owner's queue
	a.Put(first)
	a.Put(second)
	if got := get(t, &a, 100); got != second || got.Next != nil || len(got.B) != 0 {
		t.Error("not the block that was put back last, or not empty")
	}
}

// burst takes n bytes in blocks, writes to them and puts them back.
func burst(t *testing.T, a *Arena, n int) {
	t.Helper()
	blocks := make([]*Block, n/MaxBlock)
	for i := range blocks {
		blocks[i] = get(t, a, MaxBlock)
		blocks[i].B = append(blocks[i].B, bytes.Repeat([]byte{1}, MaxBlock)...)
	}
	for _, b := range blocks {
		a.Put(b)
	}
}

// trim does what is due at a time.
func trim(a *Arena) {
	for a.Trim() {
	}
}

// A burst does not stay resident: beyond what is kept, blocks give their pages
// back, and are used again without a new mapping.
func TestBurstGivesPagesBack(t *testing.T) {
	var a Arena
	defer closed(t, &a)
	const all = 64 << 20
	burst(t, &a, all)
	c := len(a.hot) - 1
	for times := 0; a.Excess(); times++ {
		if times == 3 {
			t.Fatalf("%d bytes stay resident", a.hot[c].n*MaxBlock)
		}
		trim(&a)
	}
	if kept := a.hot[c].n * MaxBlock; kept != keepBytes {
		t.Errorf("%d bytes stay resident, want %d", kept, keepBytes)
	}
	if a.hot[c].n+a.cold[c].n != all/MaxBlock {
		t.Errorf("%d blocks are free, want %d", a.hot[c].n+a.cold[c].n, all/MaxBlock)
	}
	for b := a.cold[c].top; b != nil; b = b.Next {
		if b.B[:1][0] != 0 {
			t.Fatal("a block kept its pages")
		}
	}
	maps := len(a.maps)
	burst(t, &a, all)
	if len(a.maps) != maps {
		t.Errorf("%d new mappings", len(a.maps)-maps)
	}
}

// What is used again and again keeps its pages, however much it is, and what was used
// beside it does not.
func TestTrimSparesWhatIsUsed(t *testing.T) {
	var a Arena
	defer closed(t, &a)
	const much, more = 8 << 20, 24 << 20
	c := len(a.hot) - 1
	burst(t, &a, more)
	for range 5 {
		trim(&a)
		burst(t, &a, much)
	}
	if got := a.hot[c].n * MaxBlock; got != much || !a.Excess() {
		t.Errorf("%d bytes are resident, want %d", got, much)
	}
	trim(&a)
	if got := a.hot[c].n * MaxBlock; got != much {
		t.Errorf("%d bytes are resident, want %d", got, much)
	}
}

// One call does not take long, whatever there is to be done.
func TestTrimTakesTurns(t *testing.T) {
	var a Arena
	defer closed(t, &a)
	burst(t, &a, 64<<20)
	c := len(a.hot) - 1
	for range 4 {
		before := a.cold[c].n
		a.Trim()
		if n := a.cold[c].n - before; n > trimBlocks {
			t.Errorf("%d blocks at once", n)
		}
	}
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	var a Arena
	defer closed(t, &a)
	if n := testing.AllocsPerRun(1000, func() {
		for _, size := range []int{100, 10_000, MaxBlock} {
			b, _ := a.Get(size)
			a.Put(b)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func TestCloseUnmaps(t *testing.T) {
	var a Arena
	for range 100 {
		get(t, &a, MaxBlock)
	}
	maps := a.maps
	closed(t, &a)
	if a.Live() != 0 || len(a.maps) != 0 {
		t.Error("not empty after Close")
	}
	if check.Enabled {
		for _, m := range maps {
			if Owns(m) {
				t.Error("a mapping is left")
			}
		}
	}
	b := get(t, &a, 1) // a closed arena is an empty one
	a.Put(b)
	closed(t, &a)
}

// The assertions of test builds: run with -race or -tags ringkitcheck.
func TestMisuseOfBlocksPanics(t *testing.T) {
	if !check.Enabled {
		t.Skip("not a test build")
	}
	var a Arena
	defer closed(t, &a)
	panics := func(words string, f func()) {
		t.Helper()
		defer func() {
			t.Helper()
			if p := recover(); p == nil || !strings.Contains(p.(string), words) {
				t.Errorf("panic: %v, want %q", p, words)
			}
		}()
		f()
	}
	b := get(t, &a, 100)
	b.B = append(b.B, "secret"...)
	data := b.B
	a.Put(b)
	if !bytes.Equal(data, bytes.Repeat([]byte{check.PoisonByte}, len(data))) {
		t.Errorf("a block put back holds %q", data)
	}
	panics("freed twice", func() { a.Put(b) })

	grown := get(t, &a, 100)
	kept := grown.B
	grown.B = append(grown.B[:cap(grown.B)], 1) // moves to the Go heap
	panics("not the block's memory any more", func() { a.Put(grown) })
	cut := get(t, &a, 100)
	cut.B = cut.B[:10][5:]
	panics("not the block's memory any more", func() { a.Put(cut) })
	grown.B = kept
	a.Put(grown)
}
