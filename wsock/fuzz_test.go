package wsock

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// allCases returns the cases of all tables.
func allCases() []decodeCase {
	return slices.Concat(headerCases, maskCases, fragmentCases, controlCases, utf8Cases, limitCases, inflateCases)
}

// fuzzSetup makes a setup of the bits of a number.
func fuzzSetup(n uint16) setup {
	s := setup{client: n&1 != 0, stream: n&2 != 0}
	if n&4 != 0 {
		s.limit = 100
	}
	if n&0x1000 != 0 {
		s.inline = 10
	}
	if n&8 != 0 {
		s.agreed = Compression{true, n&16 != 0, n&32 != 0, 8 + uint8(n>>6&7), 8 + uint8(n>>9&7)}
	}
	return s
}

// randomSplits returns up to n positions at which length bytes are split.
func randomSplits(seed uint64, n, length int) (ends []int) {
	rng := rand.New(rand.NewPCG(seed, 0))
	for range rng.IntN(n + 1) {
		ends = append(ends, rng.IntN(length+1))
	}
	slices.Sort(ends)
	return ends
}

// FuzzDecoder checks that no input makes Next panic, exceed its limit or lose memory,
// and that the outcome does not depend on how the input is split.
func FuzzDecoder(f *testing.F) {
	for i, c := range allCases() {
		if len(c.input) > 1000 {
			continue
		}
		n := uint16(0)
		if c.setup.client {
			n |= 1
		}
		if c.setup.limit != 0 {
			n |= 4
		}
		if c.setup.agreed.Enabled {
			n |= 8
		}
		f.Add([]byte(c.input), n, uint64(i))
		f.Add([]byte(c.input), n|2, uint64(i))
		f.Add([]byte(c.input), n|0x1000, uint64(i))
	}
	f.Fuzz(func(t *testing.T, input []byte, options uint16, seed uint64) {
		s := fuzzSetup(options)
		whole := decode(t, s, string(input))
		ends := randomSplits(seed, 8, len(input))
		if o := decode(t, s, string(input), ends...); !sameOutcome(o, whole) {
			t.Fatalf("split at %v: %q, in one piece %q", ends, fmt.Sprint(o), fmt.Sprint(whole))
		}
		if len(input) > 1024 {
			return
		}
		if o := decode(t, s, string(input), bytewise(len(input))...); !sameOutcome(o, whole) {
			t.Fatalf("byte by byte: %q, in one piece %q", fmt.Sprint(o), fmt.Sprint(whole))
		}
	})
}

// FuzzRoundTrip checks that what is encoded, in fragments and with control frames in
// between, is what is decoded.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("hello"), uint16(0), uint64(1))
	f.Add(chatter(1, 700), uint16(8), uint64(2))
	f.Add(chatter(2, 5000), uint16(9), uint64(3))
	f.Add(noise(3, 300), uint16(8+16+32), uint64(4))
	z := &Deflater{Threshold: 1}
	f.Fuzz(func(t *testing.T, data []byte, options uint16, seed uint64) {
		s := fuzzSetup(options &^ 4)
		rng := rand.New(rand.NewPCG(seed, 1))
		var e Encoder
		e.Init(!s.client, s.agreed)
		mask := func() Mask {
			if s.client {
				return Mask{}
			}
			return Masked([4]byte{byte(rng.Uint32()), byte(rng.Uint32()), byte(rng.Uint32()), byte(rng.Uint32())})
		}
		var stream []byte
		var want []string
		for range 4 {
			part := data[rng.IntN(len(data)+1):]
			m := Message{Binary, part}
			if utf8Start.check(part) == utf8Start && rng.IntN(2) == 0 {
				m.Kind = Text
			}
			if rng.IntN(2) == 0 {
				stream = e.AppendMessage(stream, m, z, mask())
			} else {
				op, rest := m.Kind, part
				for len(rest) > 0 && rng.IntN(4) > 0 {
					n := rng.IntN(len(rest) + 1)
					stream = AppendFrame(stream, Header{Op: op, Mask: mask()}, rest[:n])
					op, rest = Continuation, rest[n:]
					if rng.IntN(2) == 0 {
						ping := rest[:min(len(rest), MaxControl)]
						stream = AppendPing(stream, ping, mask())
						want = append(want, fmt.Sprintf("ping %q", ping))
					}
				}
				stream = AppendFrame(stream, Header{Op: op, Fin: true, Mask: mask()}, rest)
			}
			want = append(want, fmt.Sprintf("%v %q", m.Kind, part))
		}
		reason := string(data[:min(len(data), 10)])
		stream = AppendClose(stream, CloseGoingAway, reason, mask())
		o := decode(t, s, string(stream), randomSplits(seed, 8, len(stream))...)
		if o.Err != nil || len(o.Events) != len(want)+1 || !slices.Equal(o.Events[:len(want)], want) {
			t.Fatalf("%q, %v, want %q", o.Events, o.Err, want)
		}
	})
}

// FuzzInflate compares the decompressor with a slow one.
func FuzzInflate(f *testing.F) {
	for _, c := range inflateCases {
		f.Add([]byte(c.input[6:]), []byte("Hello"))
	}
	z := new(Deflater)
	for i := range 4 {
		f.Add(z.append(nil, chatter(uint64(i), 600), nil, maxWindowBits), []byte{})
	}
	f.Fuzz(func(t *testing.T, payload, window []byte) {
		const limit = 1 << 16
		if len(payload) > limit || len(window) > 1<<maxWindowBits {
			return
		}
		want, _, wantErr := inflateSlowly(payload, window)
		d := Decoder{window: nil}
		d.Init(&Config{Client: true, MaxMessage: limit}, takeover)
		d.window.push(window)
		ev, _, err := d.Next(AppendFrame(nil, Header{Op: Binary, Fin: true, Compressed: true}, payload))
		switch {
		case err == error(errTooBig):
			return // the slow one has no limit
		case len(payload) == 0:
			if err != nil || len(ev.Data) != 0 {
				t.Fatalf("empty: %q, %v", ev.Data, err)
			}
		case err == nil && (wantErr != nil || !bytes.Equal(ev.Data, want)):
			t.Fatalf("%x: %q, want %q, %v", payload, ev.Data, want, wantErr)
		case err != nil && wantErr == nil && len(payload) < 2*maxFinalBlocks:
			t.Fatalf("%x: %v, want %q", payload, err, want)
		}
	})
}

// FuzzNegotiation checks that what is parsed means the same when it is formatted, and
// that no offer or answer leads beyond what RFC 7692 allows.
func FuzzNegotiation(f *testing.F) {
	f.Add(`permessage-deflate; client_max_window_bits; server_max_window_bits="10"`, uint16(0))
	f.Add(`foo; a="b\c", permessage-deflate; server_no_context_takeover`, uint16(511))
	f.Fuzz(func(t *testing.T, value string, n uint16) {
		extensions, ok := parseExtensions([]string{value})
		var again []string
		for _, e := range extensions {
			again = append(again, string(e.Append(nil)))
		}
		if back, backOK := parseExtensions(again); ok && (!backOK || !reflect.DeepEqual(back, extensions)) {
			t.Fatalf("%q formatted as %q: %+v, was %+v", value, again, back, extensions)
		}
		o := CompressionOptions{n&1 != 0, n&2 != 0, 8 + uint8(n>>2&7), 8 + uint8(n>>5&7)}
		agreed, answer, err := o.Accept([]string{value})
		if (err == nil) != ok || agreed.Enabled != (answer != "") {
			t.Fatalf("%q: %+v, %q, %v", value, agreed, answer, err)
		}
		if checked, err := o.Check([]string{value}); err == nil && checked.Enabled != (len(extensions) > 0) {
			t.Fatalf("%q: %+v", value, checked)
		}
		r := Request{Method: "GET", HTTP11: true, Upgrade: []string{"websocket"}, Connection: []string{"upgrade"},
			Version: []string{"13"}, Key: []string{NewKey([16]byte{})}, Protocol: []string{value}}
		protocols, _ := r.Check()
		for _, p := range protocols {
			if !isToken(p) {
				t.Fatalf("subprotocol %q", p)
			}
		}
	})
}
