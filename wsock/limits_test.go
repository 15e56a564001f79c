package wsock

import (
	"encoding/binary"
	"testing"
	"unsafe"
)

// Section 10.4: limits, which hold for a message however it is fragmented.
var limitCases = []decodeCase{
	{section: "10.4", name: "at the limit", setup: setup{limit: 10}, input: text("0123456789"), events: []string{`text "0123456789"`}},
	{section: "10.4", name: "above the limit", setup: setup{limit: 10}, input: text("0123456789a"), err: errTooBig},
	{section: "10.4", name: "fragments at the limit", setup: setup{limit: 10}, input: frame(2, "01234") + frame(0, "5678") + frame(fin, "9"),
		events: []string{`binary "0123456789"`}},
	{section: "10.4", name: "fragments above the limit", setup: setup{limit: 10}, input: frame(2, "01234") + frame(0, "5678") + frame(fin, "9a"), err: errTooBig},
	{section: "10.4", name: "endless fragments", setup: setup{limit: 10}, input: frame(2, "01234") + frame(0, "56789") + frame(0, "") + frame(0, "a"), err: errTooBig},
	{section: "10.4", name: "control frames do not count", setup: setup{limit: 2}, input: frame(2, "ab") + ping("more than two") + frame(fin, ""),
		events: []string{`ping "more than two"`, `binary "ab"`}},
	{section: "10.4", name: "each message counts by itself", setup: setup{limit: 2}, input: text("ab") + text("cd"), events: []string{`text "ab"`, `text "cd"`}},
}

func TestLimits(t *testing.T) { runCases(t, limitCases) }

// A message is refused when it is announced, before anything of it is taken.
func TestRefusedWhenAnnounced(t *testing.T) {
	head := Header{Op: Binary, Fin: true, Mask: Masked(key), Length: DefaultMaxMessage + 1}
	if o := decode(t, setup{}, string(head.Append(nil))); o.Err != errTooBig {
		t.Errorf("default limit: %v", o)
	}
	head.Length--
	if o := decode(t, setup{}, string(head.Append(nil))); o.Err != nil {
		t.Errorf("at the default limit: %v", o)
	}
	if o := decode(t, setup{limit: 1 << 40}, "\x82\xff"+string(binary.BigEndian.AppendUint64(nil, 1<<40+1))+"abcd"); o.Err != errTooBig {
		t.Errorf("large limit: %v", o)
	}
}

// The memory a message takes follows the bytes that have come, not those announced.
func TestMemoryFollowsInput(t *testing.T) {
	const announced = 3 << 20
	head := Header{Op: Binary, Fin: true, Mask: Masked(key), Length: announced}
	bufs := newPool(t)
	var d Decoder
	d.Init(&Config{Buffers: bufs}, Compression{})
	feed := func(p []byte) {
		t.Helper()
		if ev, n, err := d.Next(p); n != len(p) || ev.Op != 0 || err != nil {
			t.Fatal(ev, n, err)
		}
	}
	feed(head.Append(nil))
	if bufs.held != 0 {
		t.Errorf("%d bytes held for a header", bufs.held)
	}
	for sent := 0; sent+1000 < announced; sent += 1000 {
		feed(make([]byte, 1000))
		if have := sent + 1000; bufs.held > max(firstTake, 2*have) {
			t.Fatalf("%d bytes held when %d have come", bufs.held, have)
		}
	}
	d.Release()

	// Small fragments do not move what is there each time.
	d.Init(&Config{Buffers: bufs}, Compression{})
	taken := 0
	last := bufs.held
	feed([]byte(frame(2, "x")))
	for range 100000 {
		feed([]byte(frame(0, "x")))
		if bufs.held != last {
			taken++
		}
		last = bufs.held
	}
	if taken > 20 {
		t.Errorf("memory taken %d times", taken)
	}
	d.Release()
	if bufs.held != 0 {
		t.Errorf("%d bytes held at the end", bufs.held)
	}
}

// One Decoder and one Closing are kept for each connection.
func TestSize(t *testing.T) {
	if got := unsafe.Sizeof(Decoder{}); got > 96 {
		t.Errorf("a Decoder has %d bytes, want at most 96", got)
	}
	if got := unsafe.Sizeof(Closing{}); got > 16 {
		t.Errorf("a Closing has %d bytes, want at most 16", got)
	}
}
