package conn_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/simring"
)

// xorLayer is a layer of records: two bytes of length, one of kind, a payload that is
// masked.
type xorLayer struct {
	c     *conn.Conn
	most  int // payload of a record
	wire  []byte
	part  []byte // of a record
	plain []byte
	err   error

	closeWrite func() error // instead of what it does
	write      func(p []byte) (int, error)
}

const (
	recordData = 'd'
	recordEnd  = 'e'
	recordAsk  = 'a' // is answered with a recordNote
	recordNote = 'n'
	recordBad  = 'b' // is answered with a recordSorry
	recordLost = 's'

	recordMask = 0x55
)

var errBadRecord = errors.New("bad record")

func sealRecord(kind byte, p []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(p)))
	b = append(b, kind)
	for _, x := range p {
		b = append(b, x^recordMask)
	}
	return b
}

// sealAll makes records of p with up to n bytes each.
func sealAll(p []byte, n int) (wire []byte) {
	for len(p) > 0 {
		m := min(n, len(p))
		wire = append(wire, sealRecord(recordData, p[:m])...)
		p = p[m:]
	}
	return wire
}

// cutRecord takes the first record of b, of which there may be only a part.
func cutRecord(b []byte) (kind byte, payload, rest []byte, ok bool) {
	if len(b) < 3 || len(b) < 3+int(binary.BigEndian.Uint16(b)) {
		return 0, nil, b, false
	}
	n := 3 + int(binary.BigEndian.Uint16(b))
	payload = bytes.Clone(b[3:n])
	for i := range payload {
		payload[i] ^= recordMask
	}
	return b[2], payload, b[n:], true
}

// unseal returns what records say, and which ones but data there were.
func unseal(wire []byte) (plain []byte, kinds string, rest []byte) {
	for {
		kind, payload, rest, ok := cutRecord(wire)
		if !ok {
			return plain, kinds, rest
		}
		if kind == recordData {
			plain = append(plain, payload...)
		} else {
			kinds += string(kind)
		}
		wire = rest
	}
}

func (x *xorLayer) Feed(wire []byte) {
	if len(x.wire) > 0 {
		panic("fed before all was read")
	}
	x.wire = wire
}

func (x *xorLayer) Read(p []byte) (int, error) {
	for len(x.plain) == 0 {
		if x.err != nil {
			return 0, x.err
		}
		if len(x.wire) == 0 {
			return 0, nil
		}
		// A byte at a time is slow and leaves out no way to split a record.
		x.part, x.wire = append(x.part, x.wire[0]), x.wire[1:]
		kind, payload, rest, ok := cutRecord(x.part)
		if !ok {
			continue
		}
		x.part = rest
		switch kind {
		case recordData:
			x.plain = payload
		case recordEnd:
			x.err = io.EOF
		case recordAsk:
			x.c.WriteWire(sealRecord(recordNote, nil))
		default:
			x.c.WriteWire(sealRecord(recordLost, nil))
			x.err = errBadRecord
		}
	}
	n := copy(p, x.plain)
	x.plain = x.plain[n:]
	if len(x.plain) == 0 && len(x.wire) == 0 {
		return n, x.err
	}
	return n, nil
}

func (x *xorLayer) Write(p []byte) (int, error) {
	switch {
	case x.write != nil:
		return x.write(p)
	case x.err == errBadRecord:
		return 0, x.err
	}
	for wire := sealAll(p, x.most); len(wire) > 0; {
		n := min(len(wire), 3+x.most/2) // in pieces that are no records
		x.c.WriteWire(wire[:n])
		wire = wire[n:]
	}
	return len(p), nil
}

func (x *xorLayer) CloseWrite() error {
	if x.closeWrite != nil {
		return x.closeWrite()
	}
	x.c.WriteWire(sealRecord(recordEnd, nil))
	return nil
}

// layered puts an xorLayer in front of a protocol, behind a greeting that is in the
// clear.
type layered struct {
	conn.Protocol
	greeting []byte
	most     int
	layer    *xorLayer
}

func (p *layered) Open(c *conn.Conn) {
	c.Write(p.greeting)
	c.Reserve(10) // is not used
	p.layer = &xorLayer{c: c, most: p.most}
	c.SetLayer(p.layer)
	p.Protocol.Open(c)
}

// cleanLayered is world.clean for a peer with a layer.
func (w *world) cleanLayered(c *watched, greeting, want []byte, notes int) {
	w.Helper()
	got := c.peer.Received()
	n := min(len(got), len(greeting))
	if !bytes.Equal(got[:n], greeting[:n]) {
		w.Fatalf("seed %d: the greeting is not what was written", w.seed)
	}
	plain, kinds, rest := unseal(got[n:])
	if !bytes.HasPrefix(want, plain) {
		w.Fatalf("seed %d: the peer received %d bytes that are no beginning of the %d expected", w.seed, len(plain), len(want))
	}
	wantKinds := string(bytes.Repeat([]byte{recordNote}, notes)) + string(recordEnd)
	if w.calm && (c.err != nil || !c.peer.SawEOF() || len(plain) != len(want) || kinds != wantKinds || len(rest) > 0) {
		w.Fatalf("seed %d: closed with %v; %d of %d bytes, records %q, want %q, then %q, end %v",
			w.seed, c.err, len(plain), len(want), kinds, wantKinds, rest, c.peer.SawEOF())
	}
}

// What goes through a layer comes out as it went in, wherever it is split, whatever
// else the layer has to say, and it ends with the layer's own end.
func TestSeedsLayer(t *testing.T) {
	for name, inner := range map[string]func(w *world) conn.Protocol{
		"lines": func(*world) conn.Protocol { return lines{} },
		"hold":  func(w *world) conn.Protocol { return &holding{w: w} },
	} {
		t.Run(name, func(t *testing.T) {
			seeds(t, 400, func(w *world) {
				type talk struct {
					lines, answers, greeting []byte
					notes                    int
				}
				talks := make(map[*simring.Peer]talk)
				w.start(func(c *watched) conn.Protocol {
					k := talks[c.peer]
					c.sent = k.lines
					return &layered{Protocol: inner(w), greeting: k.greeting, most: 1 + w.rng.IntN(1<<w.rng.IntN(15))}
				})
				for range 1 + w.rng.IntN(4) {
					var k talk
					k.lines, k.answers = w.requests()
					k.greeting = w.bytes(w.rng.IntN(1 << w.rng.IntN(14)))
					var wire []byte
					for rest := k.lines; len(rest) > 0; {
						n := min(len(rest), 1+w.rng.IntN(1<<w.rng.IntN(10)))
						wire = append(wire, sealRecord(recordData, rest[:n])...)
						rest = rest[n:]
						if w.rng.IntN(8) == 0 {
							wire = append(wire, sealRecord(recordAsk, nil)...)
							k.notes++
						}
					}
					if w.rng.IntN(2) == 0 {
						wire = append(wire, sealRecord(recordEnd, nil)...)
					}
					p := w.dial()
					talks[p] = k
					w.script(p, wire)
				}
				w.arrive()
				w.sim.Settle(w.loop.Turn)
				w.end()
				for _, c := range w.conns {
					k := talks[c.peer]
					w.cleanLayered(c, k.greeting, k.answers, k.notes)
				}
			})
		})
	}
}

// The same on the engines of the kernel.
func TestEnginesLayer(t *testing.T) {
	onEngines(t, conn.Config{InputLimit: 1000}, func(e *engine) {
		w := &world{T: e.T}
		for i := range 8 {
			lines, want := seededRequests(uint64(i))
			c := e.pair(&layered{Protocol: linesUntilEOF{}, most: 1 + 300*i})
			got, err := talk(c, append(sealAll(lines, 1+100*i), sealRecord(recordEnd, nil)...), uint64(i))
			plain, kinds, rest := unseal(got)
			if err != nil || !bytes.Equal(plain, want) || kinds != string(recordEnd) || len(rest) > 0 {
				w.Errorf("%d of %d bytes, then records %q and %q; %v", len(plain), len(want), kinds, rest, err)
			}
		}
	})
}

func seededRequests(seed uint64) (lines, answers []byte) {
	for i := range 20 {
		n := int(seed*7919+uint64(i)*104729) % 5000
		lines = fmt.Appendf(lines, "%d\n", n)
		answers = append(answers, bytes.Repeat([]byte{byte('a' + n%26)}, n)...)
	}
	return lines, answers
}

// linesUntilEOF is lines for a peer that ends its side early.
type linesUntilEOF struct{ lines }

func (linesUntilEOF) EOF(c *conn.Conn) { c.Close() }

// A connection is detached when what was sealed has been sent, with what was opened
// and not consumed; half a record stays in the layer.
func TestEnginesDetachLayered(t *testing.T) {
	onEngines(t, conn.Config{}, func(e *engine) {
		written := bytes.Repeat([]byte("x"), 200<<10)
		type result struct {
			fd   int
			rest string
			err  error
		}
		results := make(chan result, 1)
		p := &layered{most: 1000}
		p.Protocol = &hooks{data: func(c *conn.Conn, in []byte) int {
			c.Write(written)
			c.Detach(func(fd int, rest []byte, err error) { results <- result{fd, string(rest), err} })
			return 1
		}}
		peer := e.pair(p)
		defer peer.Close()
		half := sealRecord(recordData, []byte("half"))
		peer.Write(append(append(sealAll([]byte("xfirst"), 3), sealAll([]byte("second"), 10)...), half[:5]...))
		if plain := drain(e.T, &xorLayer{}, peer, len(written)); !bytes.Equal(plain, written) {
			e.Errorf("%d bytes arrived, want %d, or others", len(plain), len(written))
		}
		r := <-results
		if r.err != nil {
			e.Fatal(r.err)
		}
		f := os.NewFile(uintptr(r.fd), "detached")
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			e.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		peer.Write(half[5:])
		all := r.rest + string(drain(e.T, p.layer, c, len("firstsecondhalf")-len(r.rest)))
		if all != "firstsecondhalf" {
			e.Errorf("after detaching: %q", all)
		}
	})
}

// drain reads n bytes of plaintext from a connection by way of its layer.
func drain(t *testing.T, x *xorLayer, c net.Conn, n int) (plain []byte) {
	t.Helper()
	buf := make([]byte, 4096)
	for len(plain) < n {
		m, err := x.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if plain = append(plain, buf[:m]...); m > 0 {
			continue
		}
		wire := make([]byte, 4096)
		if m, err = c.Read(wire); err != nil {
			t.Fatal(err)
		}
		x.Feed(wire[:m])
	}
	return plain
}

func (b *bench) adoptLayered(h *hooks) (*conn.Conn, *simring.Peer, *xorLayer) {
	p := &layered{Protocol: h, most: 1000}
	c, peer := b.adopt(p)
	return c, peer, p.layer
}

// A layer that fails says why, and that arrives: what was not sealed before is lost.
func TestLayerFails(t *testing.T) {
	b := newBench(t, conn.Config{})
	h := &hooks{data: func(c *conn.Conn, in []byte) int {
		c.Write(bytes.Repeat(in, 20<<10))
		return len(in)
	}}
	_, peer, _ := b.adoptLayered(h)
	peer.Write(append(sealRecord(recordData, []byte("hello")), sealRecord(recordBad, nil)...))
	b.sleep(time.Second)
	if plain, kinds, _ := unseal(peer.Received()); kinds != string(recordLost) || len(plain) > 0 || !peer.SawEOF() {
		t.Errorf("%d bytes, then records %q, end %v", len(plain), kinds, peer.SawEOF())
	}
	if h.ends != 0 {
		t.Error("the connection does not linger")
	}
	peer.CloseWrite()
	b.settle()
	if h.ends != 1 || h.err != errBadRecord {
		t.Errorf("closed %d times, with %v", h.ends, h.err)
	}
	b.finish()
}

// A layer that cannot end its side ends the connection; lingering does not bring it
// back.
func TestLayerEndsTheConnection(t *testing.T) {
	for name, end := range map[string]func(*conn.Conn){"Close": (*conn.Conn).Close, "CloseLingering": (*conn.Conn).CloseLingering} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, conn.Config{})
			h := &hooks{}
			c, _, layer := b.adoptLayered(h)
			layer.closeWrite = func() error { c.Abort(errBadRecord); return nil }
			end(c)
			b.settle()
			if h.ends != 1 || h.err != errBadRecord {
				t.Errorf("closed %d times, with %v", h.ends, h.err)
			}
			b.finish()
		})
	}
}

// A protocol that is told at the end of a turn that its layer failed may write to
// another connection.
func TestLayerFailsToSeal(t *testing.T) {
	b := newBench(t, conn.Config{})
	other, witness := b.adopt(&hooks{})
	h := &hooks{closed: func(*conn.Conn, error) { other.Write([]byte("gone")) }}
	c, _, layer := b.adoptLayered(h)
	layer.write = func([]byte) (int, error) { return 0, errBadRecord }
	c.Write([]byte("x"))
	b.settle()
	if h.ends != 1 || h.err != errBadRecord || string(witness.Received()) != "gone" {
		t.Errorf("closed %d times, with %v; the witness received %q", h.ends, h.err, witness.Received())
	}
	b.finish()
}

// Who asks the layer for answers and does not read them is dropped.
func TestLayerBoundsItsAnswers(t *testing.T) {
	b := newBench(t, conn.Config{WriteTimeout: time.Hour})
	h := &hooks{}
	_, peer, _ := b.adoptLayered(h)
	peer.ReadLimit(0)
	asks := bytes.Repeat(sealRecord(recordAsk, nil), 100)
	for range 2000 {
		peer.Write(asks)
	}
	b.sleep(time.Second)
	if h.ends != 1 || h.err == nil {
		t.Errorf("closed %d times, with %v", h.ends, h.err)
	}
	b.finish()

	b = newBench(t, conn.Config{}) // reading them is all it takes
	h = &hooks{}
	_, peer, _ = b.adoptLayered(h)
	for range 200 {
		peer.Write(asks)
		b.settle()
	}
	if _, kinds, _ := unseal(peer.Received()); h.ends != 0 || len(kinds) != 200*100 {
		t.Errorf("closed %d times, with %v; %d answers", h.ends, h.err, len(kinds))
	}
	b.finish()
}

// A peer that sends while nobody takes its input learns of the end all the same.
func TestLayerEndsWhilePaused(t *testing.T) {
	b := newBench(t, conn.Config{InputLimit: 1000})
	h := &hooks{data: func(c *conn.Conn, in []byte) int { c.Hold(); return 0 }}
	c, peer, _ := b.adoptLayered(h)
	for range 20 {
		peer.Write(sealAll(bytes.Repeat([]byte("x"), 1000), 500))
	}
	peer.ReadLimit(0)
	b.settle()
	if peer.Unreceived() == 0 {
		t.Fatal("receiving has not paused")
	}
	c.Close()
	b.loop.Turn()
	b.loop.Turn()
	b.settle()
	if peer.Unreceived() != 0 {
		t.Errorf("%d bytes are not received while the end is being sent", peer.Unreceived())
	}
	b.finish()
}

// Detach keeps what the layer has not opened yet, also where nothing of the connection
// is in flight any more.
func TestDetachKeepsWhatIsNotOpened(t *testing.T) {
	for _, single := range []float64{0, 1} {
		b := newBench(t, conn.Config{}, simring.WithFaults(simring.Faults{EndRecv: single}))
		told, rest := 0, ""
		_, peer, _ := b.adoptLayered(&hooks{data: func(c *conn.Conn, in []byte) int {
			c.Detach(func(_ int, in []byte, err error) { told, rest = told+1, string(in) })
			return 1
		}})
		peer.Write(sealAll([]byte("xfirst second third"), 7))
		b.settle()
		if told != 1 || rest != "first second third" {
			t.Errorf("single-shot %v: told %d times, of %q", single == 1, told, rest)
		}
		b.finish()
	}
}

// Room that is reserved and not used is not kept behind a layer either.
func TestRoomNotUsedBehindLayer(t *testing.T) {
	b := newBench(t, conn.Config{})
	c, _, _ := b.adoptLayered(&hooks{})
	c.Commit(c.Reserve(10_000))
	if blocks, _ := b.loop.Live(); blocks != 0 {
		t.Errorf("%d blocks with nothing to send", blocks)
	}
	b.finish()
}
