package wsock

import (
	"errors"
	"slices"
	"testing"
)

var errPuff = errors.New("invalid deflate data")

// puff is a slow and simple decompressor (RFC 1951) that knows how far back a stream
// refers: what the code under test is compared with.
type puff struct {
	in       []byte
	bit      int
	out      []byte // starts with the window
	furthest int
}

// inflateSlowly decompresses payload, behind which the tail that is not sent is put,
// and returns the greatest distance in it too.
func inflateSlowly(payload, window []byte) (out []byte, furthest int, err error) {
	p := &puff{in: append(slices.Clone(payload), 0, 0, 0xff, 0xff), out: slices.Clone(window)}
	defer func() {
		if r := recover(); r != nil {
			if r != errPuff {
				panic(r)
			}
			err = errPuff
		}
	}()
	for p.bit < 8*len(p.in) {
		p.block()
	}
	return p.out[len(window):], p.furthest, nil
}

func (p *puff) bits(n int) (v int) {
	for i := range n {
		if p.bit>>3 >= len(p.in) {
			panic(errPuff)
		}
		v |= int(p.in[p.bit>>3]>>(p.bit&7)&1) << i
		p.bit++
	}
	return v
}

// huffman maps a code with its length, as code | 1<<length, to its symbol.
type huffman map[int]int

func newHuffman(lengths []int) huffman {
	h := huffman{}
	code, free := 0, 1
	for n := 1; n <= 15; n++ {
		free *= 2
		for symbol, l := range lengths {
			if l == n {
				h[code|1<<n] = symbol
				code++
				free--
			}
		}
		if free < 0 {
			panic(errPuff)
		}
		code <<= 1
	}
	if _, alone := h[1<<1]; free > 0 && len(h) > 0 && !(alone && len(h) == 1) {
		panic(errPuff) // some codes mean nothing
	}
	return h
}

func (p *puff) symbol(h huffman) int {
	code := 1
	for range 15 {
		code = code<<1 | p.bits(1)
		if s, ok := h[code]; ok {
			return s
		}
	}
	panic(errPuff)
}

func (p *puff) block() {
	final := p.bits(1)
	switch p.bits(2) {
	case 0:
		p.bit = (p.bit + 7) &^ 7
		n := p.bits(16)
		if p.bits(16) != n^0xffff {
			panic(errPuff)
		}
		for range n {
			p.out = append(p.out, byte(p.bits(8)))
		}
	case 1:
		lengths := slices.Concat(slices.Repeat([]int{8}, 144), slices.Repeat([]int{9}, 112), slices.Repeat([]int{7}, 24), slices.Repeat([]int{8}, 8))
		p.codes(newHuffman(lengths), newHuffman(slices.Repeat([]int{5}, 32)))
	case 2:
		p.dynamic()
	default:
		panic(errPuff)
	}
	if final == 1 {
		p.bit = (p.bit + 7) &^ 7
	}
}

func (p *puff) dynamic() {
	literals, distances, n := p.bits(5)+257, p.bits(5)+1, p.bits(4)+4
	var order [19]int
	for _, i := range []int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}[:n] {
		order[i] = p.bits(3)
	}
	h := newHuffman(order[:])
	var lengths []int
	for len(lengths) < literals+distances {
		switch s := p.symbol(h); s {
		case 16:
			if len(lengths) == 0 {
				panic(errPuff)
			}
			lengths = append(lengths, slices.Repeat(lengths[len(lengths)-1:], 3+p.bits(2))...)
		case 17:
			lengths = append(lengths, make([]int, 3+p.bits(3))...)
		case 18:
			lengths = append(lengths, make([]int, 11+p.bits(7))...)
		default:
			lengths = append(lengths, s)
		}
	}
	if len(lengths) > literals+distances {
		panic(errPuff)
	}
	p.codes(newHuffman(lengths[:literals]), newHuffman(lengths[literals:]))
}

func (p *puff) codes(literals, distances huffman) {
	for {
		s := p.symbol(literals)
		switch {
		case s < 256:
			p.out = append(p.out, byte(s))
			continue
		case s == 256:
			return
		case s > 285:
			panic(errPuff)
		}
		n := 258
		if s < 285 {
			extra := max(0, (s-261)/4)
			n = s - 257 + 3
			if extra > 0 {
				n = (4+(s-261)%4)<<extra + 3 + p.bits(extra)
			}
		}
		d := p.symbol(distances)
		if d > 29 {
			panic(errPuff)
		}
		distance := d + 1
		if d > 3 {
			extra := d/2 - 1
			distance = (2+d%2)<<extra + 1 + p.bits(extra)
		}
		if distance > len(p.out) {
			panic(errPuff)
		}
		p.furthest = max(p.furthest, distance)
		for range n {
			p.out = append(p.out, p.out[len(p.out)-distance])
		}
	}
}

// The judge is judged by the examples of RFC 7692, section 7.2.3.
func TestPuff(t *testing.T) {
	for _, payload := range []string{
		"\xf2\x48\xcd\xc9\xc9\x07\x00", "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00",
		"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
	} {
		if out, _, err := inflateSlowly([]byte(payload), nil); string(out) != "Hello" || err != nil {
			t.Errorf("%x: %q, %v", payload, out, err)
		}
	}
	out, furthest, err := inflateSlowly([]byte("\xf2\x00\x11\x00\x00"), []byte("Hello"))
	if string(out) != "Hello" || furthest != 5 || err != nil {
		t.Errorf("%q, furthest %d, %v", out, furthest, err)
	}
}
