package conn_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/simring"
)

// records is a layer that is to TLS what a toy is to a car: a record is its type, its
// length in two bytes, and its content, turned over.
type records struct {
	c    *conn.Conn
	wire []byte // fed
	in   []byte // of the record that is not complete
	left []byte // opened
	err  error  // behind that
	fail error  // of Write
}

const (
	kindData   = 'd'
	kindEnd    = 'e'
	kindReply  = 'r' // is answered with data
	recordHead = 3
	recordMost = 20_000
)

var errRecord = errors.New("no such record")

// appendRecords appends p in records of a type, one of them where p is empty.
func appendRecords(dst []byte, kind byte, p []byte) []byte {
	for {
		n := min(len(p), recordMost)
		dst = append(dst, kind)
		dst = binary.BigEndian.AppendUint16(dst, uint16(n))
		dst = append(dst, turnedOver(p[:n])...)
		if p = p[n:]; len(p) == 0 {
			return dst
		}
	}
}

func turnedOver(p []byte) []byte {
	q := bytes.Clone(p)
	for i := range q {
		q[i] ^= 0xff
	}
	return q
}

func (r *records) Feed(wire []byte) { r.wire = wire }

func (r *records) Read(p []byte) (int, error) {
	for len(r.left) == 0 && r.err == nil {
		if !r.next() {
			return 0, nil
		}
	}
	n := copy(p, r.left)
	if r.left = r.left[n:]; n > 0 {
		return n, nil
	}
	return 0, r.err
}

// next takes a record, if there is one.
func (r *records) next() bool {
	want := recordHead
	for {
		if len(r.in) >= recordHead {
			want = recordHead + int(binary.BigEndian.Uint16(r.in[1:]))
		}
		if len(r.in) >= recordHead && len(r.in) == want {
			break
		}
		n := min(want-len(r.in), len(r.wire))
		if n == 0 {
			r.wire = nil
			return false
		}
		r.in, r.wire = append(r.in, r.wire[:n]...), r.wire[n:]
	}
	content := turnedOver(r.in[recordHead:])
	switch r.in[0] {
	case kindData:
		r.left = content
	case kindReply:
		r.c.WriteWire(appendRecords(nil, kindData, content))
	case kindEnd:
		r.err = io.EOF
	default:
		r.err = errRecord
	}
	r.in = r.in[:0]
	return true
}

func (r *records) Write(p []byte) (int, error) {
	if r.fail != nil {
		return 0, r.fail
	}
	for wire := appendRecords(nil, kindData, p); len(wire) > 0; {
		n := min(len(wire), 7000)
		r.c.WriteWire(wire[:n])
		wire = wire[n:]
	}
	return len(p), nil
}

func (r *records) CloseWrite() error {
	r.c.WriteWire(appendRecords(nil, kindEnd, nil))
	return nil
}

// opened returns the content of records that a peer has received, also that of one that
// was cut short, and whether the last one is the end.
func opened(t *testing.T, wire []byte) (plain []byte, ended bool) {
	t.Helper()
	for len(wire) >= recordHead {
		if ended || wire[0] != kindData && wire[0] != kindEnd {
			t.Fatalf("record %q, behind the end %v", wire[0], ended)
		}
		n := min(recordHead+int(binary.BigEndian.Uint16(wire[1:])), len(wire))
		ended = wire[0] == kindEnd
		plain = append(plain, turnedOver(wire[recordHead:n])...)
		wire = wire[n:]
	}
	return plain, ended
}

// linesInRecords is lines behind a layer, which may begin with output in the queue.
type linesInRecords struct {
	lines
	greeting []byte
}

func (l linesInRecords) Open(c *conn.Conn) {
	c.Write(l.greeting)
	c.Reserve(10)
	c.SetLayer(&records{c: c})
}

// Whatever a layer is made of, both sides get what the other one has sent.
func TestSeedsRecords(t *testing.T) {
	seeds(t, 1000, func(w *world) {
		type talk struct{ greeting, lines, answers []byte }
		talks := make(map[*simring.Peer]talk)
		w.start(func(c *watched) conn.Protocol {
			c.sent = talks[c.peer].lines
			return linesInRecords{greeting: talks[c.peer].greeting}
		})
		for range 1 + w.rng.IntN(5) {
			p := w.dial()
			k := talk{greeting: w.bytes(w.rng.IntN(1 << w.rng.IntN(18)))}
			k.lines, k.answers = w.requests()
			talks[p] = k
			var wire []byte
			for rest := k.lines; len(rest) > 0; {
				n := 1 + w.rng.IntN(len(rest))
				wire = appendRecords(wire, kindData, rest[:n])
				rest = rest[n:]
			}
			if w.rng.IntN(2) == 0 {
				wire = appendRecords(wire, kindEnd, nil)
			}
			w.script(p, wire)
		}
		w.arrive()
		w.sim.Settle(w.loop.Turn)
		w.end()
		for _, c := range w.conns {
			k, got := talks[c.peer], c.peer.Received()
			n := min(len(got), len(k.greeting))
			plain, ended := opened(t, got[n:])
			if !bytes.HasPrefix(k.greeting, got[:n]) || !bytes.HasPrefix(k.answers, plain) {
				w.Fatalf("seed %d: the peer received what was not sent", w.seed)
			}
			if w.calm && (c.err != nil || !ended || len(plain) != len(k.answers) || c.peer.SawReset()) {
				w.Fatalf("seed %d: closed with %v; the peer received %d of %d bytes, their end %v, reset %v",
					w.seed, c.err, len(plain), len(k.answers), ended, c.peer.SawReset())
			}
		}
	})
}

// secure gives a connection such a layer.
func secure(c *conn.Conn) *records {
	r := &records{c: c}
	c.SetLayer(r)
	return r
}

// Detach keeps what the layer has not opened yet, also where nothing of the connection
// is in flight any more.
func TestDetachBehindLayer(t *testing.T) {
	for _, single := range []float64{0, 1} {
		b := newBench(t, conn.Config{}, simring.WithFaults(simring.Faults{EndRecv: single}))
		told, rest := 0, ""
		c, peer := b.adopt(&hooks{data: func(c *conn.Conn, in []byte) int {
			c.Detach(func(_ int, in []byte, err error) { told, rest = told+1, string(in) })
			return 1
		}})
		secure(c)
		wire := appendRecords(nil, kindData, []byte("xfirst"))
		wire = appendRecords(wire, kindData, []byte(" second"))
		peer.Write(appendRecords(wire, kindData, []byte(" third")))
		b.settle()
		if told != 1 || rest != "first second third" {
			t.Errorf("single-shot %v: told %d times, of %q", single == 1, told, rest)
		}
		b.finish()
	}
}

// A peer that goes on sending, and reads only then, gets to read the end of the layer.
func TestCloseBehindLayerReceives(t *testing.T) {
	for name, end := range map[string]func(*conn.Conn){"Close": (*conn.Conn).Close, "CloseLingering": (*conn.Conn).CloseLingering} {
		const window = 64 << 10
		b := newBench(t, conn.Config{InputLimit: 100}, simring.WithWindow(window))
		c, peer := b.adopt(&hooks{})
		secure(c)
		c.Hold()
		peer.ReadLimit(0)
		peer.Write(appendRecords(nil, kindData, make([]byte, 1000)))
		b.settle()
		c.Write(make([]byte, window-4*recordHead)) // as much as there is room for
		b.settle()
		if c.Queued() != 0 {
			t.Fatalf("%d bytes wait for room", c.Queued())
		}
		receives := b.sim.Stats().Recvs
		end(c)
		b.settle()
		if b.sim.Stats().Recvs == receives {
			t.Errorf("%s: what the peer sends is not received", name)
		}
		b.finish()
	}
}

// What ends a connection when its output is sealed may have others written to.
func TestWriteWhileOthersAreSealed(t *testing.T) {
	b := newBench(t, conn.Config{})
	other, peer := b.adopt(&hooks{})
	h := &hooks{closed: func(*conn.Conn, error) { other.Write([]byte("it is gone")) }}
	c, _ := b.adopt(h)
	secure(c).fail = errRecord
	c.Write([]byte("x"))
	b.settle()
	other.Write([]byte(", I heard"))
	b.settle()
	if got := string(peer.Received()); h.err != errRecord || got != "it is gone, I heard" {
		t.Errorf("closed with %v; the other peer received %q", h.err, got)
	}
	b.finish()
}

// A layer that fails has told the peer why; the connection ends with that.
func TestRecordsFail(t *testing.T) {
	b := newBench(t, conn.Config{})
	h := &hooks{}
	c, peer := b.adopt(h)
	secure(c)
	wire := appendRecords(nil, kindReply, []byte("I say!"))
	peer.Write(appendRecords(wire, '?', nil))
	b.sleep(conn.LingerTime + time.Second)
	if plain, ended := opened(t, peer.Received()); string(plain) != "I say!" || ended || !peer.SawEOF() || h.err != errRecord {
		t.Errorf("closed with %v; the peer received %q, the end of the layer %v", h.err, plain, ended)
	}
	b.finish()
}

// Room that is reserved and not used is not kept behind a layer either.
func TestRoomNotUsedBehindLayer(t *testing.T) {
	b := newBench(t, conn.Config{})
	c, _ := b.adopt(&hooks{})
	c.Reserve(100)
	secure(c)
	c.Commit(c.Reserve(10_000))
	if blocks, _ := b.loop.Live(); blocks != 0 {
		t.Errorf("%d blocks with nothing to send", blocks)
	}
	b.finish()
}
