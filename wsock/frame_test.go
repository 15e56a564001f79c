package wsock

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestHeaderForms(t *testing.T) {
	for _, c := range []struct {
		h    Header
		want string
	}{
		{Header{Op: Text, Fin: true}, "\x81\x00"},
		{Header{Op: Binary}, "\x02\x00"},
		{Header{Op: Continuation, Fin: true, Length: 125}, "\x80\x7d"},
		{Header{Op: Text, Fin: true, Length: 126}, "\x81\x7e\x00\x7e"},
		{Header{Op: Text, Fin: true, Length: 65535}, "\x81\x7e\xff\xff"},
		{Header{Op: Text, Fin: true, Length: 65536}, "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"},
		{Header{Op: Text, Fin: true, Compressed: true, Length: 7}, "\xc1\x07"},
		{Header{Op: Ping, Fin: true, Mask: Masked([4]byte{1, 2, 3, 4})}, "\x89\x80\x01\x02\x03\x04"},
		{Header{Op: Text, Fin: true, Length: 1 << 20, Mask: Masked([4]byte{})}, "\x81\xff\x00\x00\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00"},
	} {
		if got := string(c.h.Append([]byte("x"))); got != "x"+c.want {
			t.Errorf("%+v: %x, want %x", c.h, got[1:], c.want)
		}
		if c.h.Size() != len(c.want) {
			t.Errorf("%+v: size %d, want %d", c.h, c.h.Size(), len(c.want))
		}
	}
}

func TestApplyMask(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for length := range 200 {
		for offset := range 9 {
			key := rng.Uint32()
			var k [4]byte
			binary.LittleEndian.PutUint32(k[:], key)
			mem := make([]byte, offset+length+8)
			want := slices.Clone(mem)
			for i := range length {
				mem[offset+i] = byte(i)
				want[offset+i] = byte(i) ^ k[i%4]
			}
			cut := rng.IntN(length + 1)
			p := mem[offset : offset+length]
			rest := applyMask(p[:cut], key)
			if next := applyMask(p[cut:], rest); next != applyMask(make([]byte, length), key) {
				t.Fatalf("length %d, cut at %d: key %x", length, cut, next)
			}
			if !bytes.Equal(mem, want) {
				t.Fatalf("length %d, offset %d, cut at %d:\n%x, want\n%x", length, offset, cut, mem, want)
			}
		}
	}
}

// The payload belongs to the caller; only the copy is masked.
func TestAppendFrameKeepsPayload(t *testing.T) {
	payload := []byte("payload")
	got := AppendMessage(nil, Message{Text, payload}, Masked(key))
	if string(payload) != "payload" || string(got) != text("payload") {
		t.Errorf("payload %q, frame %q", payload, got)
	}
	got = AppendPing(got[:0], payload, Masked(key))
	got = AppendPong(got, payload, Masked(key))
	if string(got) != ping("payload")+pong("payload") {
		t.Errorf("control frames %q", got)
	}
}

func TestAppendFramePanics(t *testing.T) {
	for name, f := range map[string]func(){
		"long ping":       func() { AppendPing(nil, make([]byte, MaxControl+1), Mask{}) },
		"fragmented pong": func() { AppendFrame(nil, Header{Op: Pong}, nil) },
	} {
		expectPanic(t, name, f)
	}
}

func TestOpcodes(t *testing.T) {
	for op := range Opcode(16) {
		known := slices.Contains([]Opcode{Continuation, Text, Binary, Close, Ping, Pong}, op)
		if (op.String() != "reserved") != known || op.Control() != (op >= 8) || op.Data() != (op == 1 || op == 2) {
			t.Errorf("%d: %q, control %t, data %t", op, op, op.Control(), op.Data())
		}
	}
}
