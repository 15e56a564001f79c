package wsock

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
)

// pool is a Buffers that counts, and spoils what is given back.
type pool struct {
	t    testing.TB
	out  map[*byte]int
	held int // bytes taken and not put back
	most int
}

func newPool(t testing.TB) *pool { return &pool{t: t, out: map[*byte]int{}} }

func (p *pool) Take(n int) []byte {
	b := make([]byte, n, max(n, 1))
	p.out[&b[:1][0]] = cap(b)
	p.held += cap(b)
	p.most = max(p.most, p.held)
	return b[:0]
}

func (p *pool) Put(b []byte) {
	b = b[:cap(b)]
	size, ok := p.out[&b[0]]
	if !ok || size != len(b) {
		p.t.Fatalf("put back %d bytes that were not taken", len(b))
	}
	delete(p.out, &b[0])
	p.held -= size
	for i := range b {
		b[i] = 0xDD
	}
}

// key is the mask of all frames that tests build for a server.
var key = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// frame builds a frame with its first byte as it stands, masked.
func frame(first byte, payload string) string {
	h := Header{Mask: Masked(key), Length: len(payload)}
	b := h.Append(nil)
	b[0] = first
	b = append(b, payload...)
	h.mask(b[len(b)-len(payload):])
	return string(b)
}

// unmasked builds a frame without a mask.
func unmasked(first byte, payload string) string {
	h := Header{Length: len(payload)}
	b := h.Append(nil)
	b[0] = first
	return string(b) + payload
}

const fin = 0x80

// Frames of a client.
func text(s string) string    { return frame(fin|1, s) }
func bin(s string) string     { return frame(fin|2, s) }
func ping(s string) string    { return frame(fin|9, s) }
func pong(s string) string    { return frame(fin|10, s) }
func closing(s string) string { return frame(fin|8, s) }

// setup is how a test decodes.
type setup struct {
	client, stream bool
	limit, inline  int
	agreed         Compression
}

// outcome is all that a decoder makes of an input.
type outcome struct {
	Events  []string
	Err     *Error
	Between bool
}

// decode decodes input that arrives in pieces which end at the given positions and
// at its end. It checks what holds for every input.
func decode(t testing.TB, s setup, input string, ends ...int) outcome {
	t.Helper()
	bufs := newPool(t)
	conf := &Config{Client: s.client, Stream: s.stream, MaxMessage: s.limit, Inline: s.inline, Buffers: bufs}
	var d Decoder
	d.Init(conf, s.agreed)
	var o outcome
	var parts []byte // of a message delivered in parts
	from := 0
	for _, end := range append(slices.Clone(ends), len(input)) {
		piece := []byte(input[from:end])
		from = end
		for {
			ev, n, err := d.Next(piece)
			if n > len(piece) || n < 0 {
				t.Fatalf("consumed %d bytes of %d", n, len(piece))
			}
			piece = piece[n:]
			if err != nil {
				o.Err = err.(*Error)
				if _, n, again := d.Next(piece); n != 0 || !errors.Is(again, err) {
					t.Fatalf("after %v: %d, %v", err, n, again)
				}
				break
			}
			if ev.Op == 0 {
				if len(piece) != 0 {
					t.Fatalf("%d bytes not consumed", len(piece))
				}
				break
			}
			if ev.Pending {
				m, err := d.Inflate(new(Inflater))
				if err != nil {
					continue // Next returns it
				}
				ev.Data = m.Data
			}
			if ev.Op.Data() {
				parts = append(parts, ev.Data...)
				if len(parts) > conf.limit() {
					t.Fatalf("message of %d bytes, limit %d", len(parts), conf.limit())
				}
				if ev.Fin {
					o.Events = append(o.Events, fmt.Sprintf("%v %q", ev.Op, parts))
					parts = parts[:0]
				} else if !s.stream {
					t.Fatal("part of a message")
				}
				continue
			}
			e := fmt.Sprintf("%v %q", ev.Op, ev.Data)
			if ev.Op == Close {
				e = fmt.Sprintf("%v %d %q", ev.Op, ev.Code, ev.Data)
			}
			o.Events = append(o.Events, e)
		}
		if o.Err != nil {
			break
		}
	}
	o.Between = d.Between()
	if (o.Between || o.Err != nil || d.state == stateClosed) && bufs.held != 0 {
		t.Fatalf("%d bytes held", bufs.held)
	}
	d.Release()
	if len(bufs.out) != 0 {
		t.Fatalf("%d buffers not put back", len(bufs.out))
	}
	return o
}

// bytewise returns all positions at which n bytes can be split.
func bytewise(n int) []int {
	ends := make([]int, n)
	for i := range ends {
		ends[i] = i
	}
	return ends
}

// decodeCase is an input and what becomes of it. The tables that consist of them
// also feed the split tests, and are the seeds of the fuzz targets.
type decodeCase struct {
	section string // of RFC 6455, unless it says otherwise
	name    string
	setup   setup
	input   string
	events  []string
	err     *Error
}

func runCases(t *testing.T, cases []decodeCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.section+" "+c.name, func(t *testing.T) {
			for i := range 4 {
				s := c.setup
				s.stream = i&1 != 0
				s.inline = i >> 1 // one byte: everything is left to Inflate
				whole := decode(t, s, c.input)
				if !slices.Equal(whole.Events, c.events) || whole.Err != c.err {
					t.Fatalf("%+v:\n%.200q, %v, want\n%.200q, %v", s, whole.Events, whole.Err, c.events, c.err)
				}
				checkSplits(t, s, c.input, whole)
			}
		})
	}
}

// checkSplits checks that the outcome does not depend on how the input arrives.
func checkSplits(t *testing.T, s setup, input string, whole outcome) {
	t.Helper()
	if o := decode(t, s, input, bytewise(len(input))...); !sameOutcome(o, whole) {
		t.Fatalf("byte by byte %.200q, in one piece %.200q", fmt.Sprint(o), fmt.Sprint(whole))
	}
	step := max(1, len(input)*len(input)/(1<<20))
	for i := 0; i < len(input); i += step {
		if o := decode(t, s, input, i); !sameOutcome(o, whole) {
			t.Fatalf("split at %d: %.200q, in one piece %.200q", i, fmt.Sprint(o), fmt.Sprint(whole))
		}
	}
}

func sameOutcome(a, b outcome) bool {
	return slices.Equal(a.Events, b.Events) && a.Err == b.Err && a.Between == b.Between
}

// repeat returns n bytes.
func repeat(b byte, n int) string { return string(bytes.Repeat([]byte{b}, n)) }

// stateless is compression without takeover of the context.
var stateless = Compression{Enabled: true, ServerNoTakeover: true, ClientNoTakeover: true}

// Append appends e to dst as it stands in Sec-WebSocket-Extensions. Names and values
// must be tokens, which is not checked.
func (e *extension) Append(dst []byte) []byte {
	dst = append(dst, e.Name...)
	for _, p := range e.Params {
		dst = append(dst, "; "...)
		dst = append(dst, p.Name...)
		if p.HasValue {
			dst = append(dst, '=')
			dst = append(dst, p.Value...)
		}
	}
	return dst
}
