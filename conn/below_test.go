package conn_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/simring"
)

// belowLayer opens records as xorLayer does, and is sealed below: there nothing is
// changed, and what the layer says by itself is counted.
type belowLayer struct {
	xorLayer
	w      *world
	passed int
	told   []byte // kinds of records
	looks  int    // until all has been sent
}

func (b *belowLayer) Passed(n int) { b.passed += n }

func (b *belowLayer) Sent(int) bool {
	b.looks--
	return b.looks < 0
}

func (b *belowLayer) Write([]byte) (int, error) { panic("asked to seal") }

func (b *belowLayer) CloseWrite() error {
	b.tell(recordEnd)
	return nil
}

func (b *belowLayer) tell(kind byte) {
	wait := b.w.rng.IntN(3)
	b.c.Control(1, func(int) error {
		if wait--; wait >= 0 {
			return []error{unix.EAGAIN, unix.EINTR}[b.w.rng.IntN(2)]
		}
		b.told = append(b.told, kind)
		return nil
	})
}

// Read answers by Control what xorLayer answers by WriteWire.
func (b *belowLayer) Read(p []byte) (int, error) {
	for len(b.plain) == 0 && b.err == nil && len(b.wire) > 0 {
		b.part, b.wire = append(b.part, b.wire[0]), b.wire[1:]
		kind, payload, rest, ok := cutRecord(b.part)
		if !ok {
			continue
		}
		switch b.part = rest; kind {
		case recordData:
			b.plain = payload
		case recordAsk:
			b.tell(recordNote)
		case recordBad:
			b.tell(recordLost)
			b.err = errBadRecord
		}
	}
	if len(b.plain) == 0 {
		return 0, b.err
	}
	n := copy(p, b.plain)
	b.plain = b.plain[n:]
	return n, nil
}

// belowed puts a belowLayer in front of a protocol.
type belowed struct {
	conn.Protocol
	layer *belowLayer
}

func (p *belowed) Open(c *conn.Conn) {
	p.layer.c = c
	c.SetLayer(p.layer)
	c.SealBelow(p.layer)
	p.Protocol.Open(c)
}

// Output leaves as it was written, what the layer has to say is said, however often there
// is no room for it, and the connection ends when all has been sent.
func TestSeedsBelow(t *testing.T) {
	for _, bad := range []bool{false, true} {
		name := map[bool]string{false: "good", true: "bad"}[bad]
		t.Run(name, func(t *testing.T) {
			seeds(t, 400, func(w *world) {
				type talk struct {
					lines, answers []byte
					notes          int
					layer          *belowLayer
				}
				talks := make(map[*simring.Peer]*talk)
				w.start(func(c *watched) conn.Protocol {
					k := talks[c.peer]
					c.sent = k.lines
					k.layer = &belowLayer{w: w, looks: w.rng.IntN(5)}
					return &belowed{lines{}, k.layer}
				})
				for range 1 + w.rng.IntN(4) {
					k := &talk{}
					k.lines, k.answers = w.requests()
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
					if bad {
						wire = append(wire, sealRecord(recordBad, nil)...)
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
					got := c.peer.Received()
					if !bytes.HasPrefix(k.answers, got) {
						w.Fatalf("seed %d: the peer received %d bytes that are no beginning of the %d expected", w.seed, len(got), len(k.answers))
					}
					if !w.calm {
						continue
					}
					notes := bytes.Count(k.layer.told, []byte{recordNote})
					if bad {
						if c.err != errBadRecord || notes != k.notes || k.layer.told[len(k.layer.told)-1] != recordLost {
							w.Fatalf("seed %d: closed with %v, told %q, want %d notes and the loss", w.seed, c.err, k.layer.told, k.notes)
						}
						continue
					}
					last := len(k.layer.told) - 1
					if c.err != nil || len(got) != len(k.answers) || notes != k.notes || last != notes || k.layer.told[last] != recordEnd {
						w.Fatalf("seed %d: closed with %v; %d of %d bytes, told %q, want %d notes and the end",
							w.seed, c.err, len(got), len(k.answers), k.layer.told, k.notes)
					}
					if k.layer.passed != len(got)+len(k.layer.told) || k.layer.looks >= 0 {
						w.Fatalf("seed %d: passed %d bytes of %d and %d; %d looks left", w.seed, k.layer.passed, len(got), len(k.layer.told), k.layer.looks)
					}
				}
			})
		})
	}
}

// A control that cannot be sent ends the connection with the reason, and what is never
// sent by the write timeout.
func TestEnginesBelowFails(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name  string
		send  func(int) error
		looks int
		want  error
	}{
		{name: "control", send: func(int) error { return broken }, want: broken},
		{name: "no room", send: func(int) error { return unix.EAGAIN }, want: conn.ErrWriteTimeout},
		{name: "never sent", send: func(int) error { return nil }, looks: 1 << 30, want: conn.ErrWriteTimeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			onEngines(t, conn.Config{WriteTimeout: 100 * time.Millisecond}, func(e *engine) {
				ended := make(chan error, 1)
				layer := &belowLayer{w: &world{rng: rand.New(rand.NewPCG(1, 2))}, looks: c.looks}
				peer := e.pair(&belowed{&hooks{
					data: func(k *conn.Conn, in []byte) int {
						k.Write([]byte("plain"))
						k.Control(1, c.send)
						k.Close()
						return len(in)
					},
					closed: func(_ *conn.Conn, err error) { ended <- err },
				}, layer})
				defer peer.Close()
				peer.Write(sealRecord(recordData, []byte("x")))
				select {
				case err := <-ended:
					if err != c.want {
						e.Errorf("ended with %v, want %v", err, c.want)
					}
				case <-time.After(10 * time.Second):
					e.Error("did not end")
				}
			})
		})
	}
}
