package wsock

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// chatter is text that compresses like messages of real programs, n bytes of it.
func chatter(seed uint64, n int) []byte {
	rng := rand.New(rand.NewPCG(seed, 1))
	var b bytes.Buffer
	for b.Len() < n {
		fmt.Fprintf(&b, `{"user":"u%d","text":"hello there number %d","room":"lobby"},`, rng.IntN(50), rng.IntN(1e6))
	}
	return b.Bytes()[:n]
}

// noise is n bytes that do not compress.
func noise(seed uint64, n int) []byte {
	rng := rand.New(rand.NewPCG(seed, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// A message is compressed if that pays: RFC 7692, section 6, leaves it to the sender.
func TestCompressesWhatPays(t *testing.T) {
	for _, c := range []struct {
		name      string
		agreed    Compression
		threshold int
		data      []byte
		want      bool
	}{
		{"chatter", stateless, 0, chatter(1, 2000), true},
		{"not agreed", Compression{}, 0, chatter(1, 2000), false},
		{"noise", stateless, 0, noise(1, 2000), false},
		{"below the default", stateless, 0, chatter(1, DefaultThreshold-1), false},
		{"at the default", stateless, 0, chatter(1, DefaultThreshold), true},
		{"below its own", stateless, 100, make([]byte, 99), false},
		{"at its own", stateless, 100, make([]byte, 100), true},
		{"empty, everything compressed", stateless, 1, nil, false},
		{"one byte", stateless, 1, []byte("a"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var e Encoder
			e.Init(false, c.agreed)
			z := &Deflater{Threshold: c.threshold}
			frame := e.AppendMessage([]byte("before"), Message{Text, c.data}, z, Mask{})
			if string(frame[:6]) != "before" {
				t.Fatal("what was there is gone")
			}
			if compressed := frame[6]&rsv1 != 0; compressed != c.want {
				t.Errorf("compressed %t, %d bytes of %d", compressed, len(frame)-6, len(c.data))
			}
			if !bytes.Equal(e.AppendMessage(nil, Message{Text, c.data}, nil, Mask{}), AppendMessage(nil, Message{Text, c.data}, Mask{})) {
				t.Error("compressed without a Deflater")
			}
		})
	}
}

// What one side encodes the other decodes, whatever was agreed on, and it never refers
// further back than the window.
func TestCompressionBetweenSides(t *testing.T) {
	z := &Deflater{Threshold: 1}
	better := &Deflater{Threshold: 1, Level: 6}
	for bits := uint8(minWindowBits); bits <= maxWindowBits; bits++ {
		for _, noTakeover := range []bool{false, true} {
			for _, client := range []bool{false, true} {
				agreed := Compression{true, noTakeover, noTakeover, bits, bits}
				sizes := []int{0, 1, 5, 100, 255, 256, 257, 3000, 511, 1024, 3 << bits / 2, 12}
				t.Run(fmt.Sprintf("bits %d, no takeover %t, client %t", bits, noTakeover, client), func(t *testing.T) {
					betweenSides(t, agreed, client, sizes, z, better)
				})
			}
		}
	}
}

func betweenSides(t *testing.T, agreed Compression, client bool, sizes []int, zs ...*Deflater) {
	bufs := newPool(t)
	var d Decoder
	d.Init(&Config{Client: !client, Buffers: bufs}, agreed)
	var e Encoder
	e.Init(client, agreed)
	bits, takeover := agreed.sending(client)
	var past []byte // all that was sent compressed
	var compressed int
	for i, size := range sizes {
		data := chatter(uint64(i%3), size)
		if i%5 == 4 {
			data = noise(uint64(i), size)
		}
		var mask Mask
		if client {
			mask = Masked([4]byte{byte(i), 1, 2, 3})
		}
		frame := e.AppendMessage(nil, Message{Binary, data}, zs[i%len(zs)], mask)
		ev, n, err := d.Next(frame)
		if err != nil || n != len(frame) || ev.Op != Binary || !bytes.Equal(ev.Data, data) {
			t.Fatalf("message %d of %d bytes: %v %d of %d, %v", i, size, ev.Op, n, len(frame), err)
		}
		if frame[0]&rsv1 == 0 {
			continue
		}
		compressed++
		var window []byte
		if takeover {
			window = past[max(0, len(past)-1<<bits):]
		}
		payload := frame[headSize(frame[1]):] // which Next has unmasked
		out, furthest, err := inflateSlowly(payload, window)
		if err != nil || !bytes.Equal(out, data) || furthest > 1<<bits {
			t.Fatalf("message %d of %d bytes: furthest %d, %v", i, size, furthest, err)
		}
		past = append(past, data...)
	}
	if compressed < len(sizes)/3 {
		t.Errorf("only %d messages compressed", compressed)
	}
	d.Release()
	if bufs.held != 0 {
		t.Errorf("%d bytes held", bufs.held)
	}
}

// The frame of a message is where there was room for it, also if compressing it took more
// on the way.
func TestMessageStaysInItsRoom(t *testing.T) {
	z := &Deflater{Threshold: 1}
	var e Encoder
	e.Init(false, Compression{Enabled: true, ServerBits: minWindowBits, ServerNoTakeover: true})
	for _, size := range []int{1, 100, 1000, 3000, 70_000} {
		for _, data := range [][]byte{noise(1, size), chatter(1, size)} {
			room := make([]byte, 3, 3+size+32)
			if frame := e.AppendMessage(room, Message{Binary, data}, z, Mask{}); &frame[0] != &room[0] {
				t.Errorf("%d bytes: moved to %d of %d bytes", size, len(frame), cap(frame))
			}
		}
	}
}

// Takeover makes what is like the messages before it shorter.
func TestTakeoverPays(t *testing.T) {
	z := &Deflater{Threshold: 1}
	send := func(agreed Compression) (second int) {
		var e Encoder
		e.Init(false, agreed)
		e.AppendMessage(nil, Message{Text, chatter(1, 1000)}, z, Mask{})
		return len(e.AppendMessage(nil, Message{Text, chatter(1, 1000)}, z, Mask{}))
	}
	if with, without := send(takeover), send(stateless); with*4 > without {
		t.Errorf("a message again: %d bytes with takeover, %d without", with, without)
	}
}

// The window is never more than what was agreed on, and takes no more than it needs.
func TestWindowIsBounded(t *testing.T) {
	agreed := Compression{Enabled: true, ServerBits: 10, ClientBits: 9}
	var d Decoder
	d.Init(&Config{Client: true}, agreed)
	var e Encoder
	e.Init(false, agreed)
	z := &Deflater{Threshold: 1}
	for i, size := range []int{50, 60, 400, 5000, 10, 700, 700} {
		frame := e.AppendMessage(nil, Message{Text, chatter(uint64(i), size)}, z, Mask{})
		if _, _, err := d.Next(frame); err != nil {
			t.Fatal(err)
		}
		for side, w := range map[string]*window{"decoder": d.window, "encoder": e.window} {
			if i == 0 && cap(w.data) > 512 {
				t.Errorf("%d bytes held by the %s after a message of 50", cap(w.data), side)
			}
			if cap(w.data) > 1<<10 {
				t.Errorf("%d bytes held by the %s", cap(w.data), side)
			}
		}
	}
	d.Release()
	if d.window != nil {
		t.Error("the window is held after Release")
	}
}

// What costs much is left to Inflate: what is long, and what becomes long.
func TestInline(t *testing.T) {
	z := &Deflater{}
	conf := &Config{Client: true, Inline: 1000, MaxMessage: 1 << 20}
	for _, c := range []struct {
		name    string
		data    []byte
		pending bool
		err     *Error
	}{
		{"short", chatter(1, 1000), false, nil},
		{"short, and becomes as long as may be", make([]byte, 16000), false, nil},
		{"short, and becomes long", make([]byte, 16001), true, nil},
		{"long", noise(1, 1001), true, nil},
		{"becomes too long", make([]byte, 1<<20+1), true, errTooBig},
	} {
		bufs := newPool(t)
		conf.Buffers = bufs
		var d Decoder
		d.Init(conf, stateless)
		stream := AppendFrame(nil, Header{Op: Binary, Fin: true, Compressed: true}, z.append(nil, c.data, nil, maxWindowBits))
		stream = AppendMessage(stream, Message{Text, []byte("next")}, Mask{})
		ev, n, err := d.Next(stream)
		if err != nil || ev.Op != Binary || ev.Pending != c.pending {
			t.Fatalf("%s: %+v, %v", c.name, ev, err)
		}
		if d.Between() == c.pending {
			t.Errorf("%s: between messages %t", c.name, d.Between())
		}
		m := ev.Message()
		if c.pending {
			held := bufs.held
			expectPanic(t, "Next while pending", func() { d.Next(nil) })
			if m, err = d.Inflate(new(Inflater)); c.err != nil {
				_, _, again := d.Next(stream[n:])
				if err != error(c.err) || again != err {
					t.Errorf("%s: %v, then %v", c.name, err, again)
				}
				continue
			}
			if bufs.held != held {
				t.Errorf("%s: Inflate has touched the loop's memory", c.name)
			}
		}
		if !bytes.Equal(m.Data, c.data) || err != nil {
			t.Errorf("%s: %d bytes, %v", c.name, len(m.Data), err)
		}
		expectPanic(t, "Inflate of nothing", func() { d.Inflate(new(Inflater)) })
		if ev, _, err := d.Next(stream[n:]); string(ev.Data) != "next" || err != nil || bufs.held != 0 {
			t.Errorf("%s: %q, %v, %d bytes held", c.name, ev.Data, err, bufs.held)
		}
	}
}

func expectPanic(t *testing.T, name string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s: no panic", name)
		}
	}()
	f()
}

// A bomb ends at the limit, and holds no more memory than that.
func TestBomb(t *testing.T) {
	z := &Deflater{}
	zeros := make([]byte, 16<<20)
	bomb := AppendFrame(nil, Header{Op: Binary, Fin: true, Compressed: true}, z.append(nil, zeros, nil, maxWindowBits))
	if len(bomb) > 1<<18 {
		t.Fatalf("no bomb: %d bytes", len(bomb))
	}
	bufs := newPool(t)
	conf := &Config{Client: true, Buffers: bufs, MaxMessage: 1 << 20}
	var d Decoder
	d.Init(conf, stateless)
	if _, _, err := d.Next(bomb); err != error(errTooBig) {
		t.Fatal(err)
	}
	if limit := 2*conf.MaxMessage + 2*len(bomb); bufs.most > limit {
		t.Errorf("%d bytes held at a time, want at most %d", bufs.most, limit)
	}
	d.Release()
	if bufs.held != 0 {
		t.Errorf("%d bytes held at the end", bufs.held)
	}

	// Exactly at the limit it is no bomb.
	fits := AppendFrame(nil, Header{Op: Binary, Fin: true, Compressed: true}, z.append(nil, zeros[:1<<20], nil, maxWindowBits))
	d.Init(conf, stateless)
	if ev, _, err := d.Next(fits); err != nil || len(ev.Data) != 1<<20 {
		t.Errorf("%d bytes, %v", len(ev.Data), err)
	}
	d.Release()
}

// RFC 7692 lets the compressed form be longer than the content: what does not compress
// still arrives up to the limit.
func TestIncompressibleAtTheLimit(t *testing.T) {
	data := noise(1, 1<<20)
	z := &Deflater{}
	payload := append(z.append(nil, data[:1000], nil, maxWindowBits), 0, 0, 0xff, 0xff) // flushed
	payload = z.append(payload, data[1000:], nil, maxWindowBits)
	if len(payload) <= len(data) {
		t.Fatalf("%d bytes compressed to %d", len(data), len(payload))
	}
	var d Decoder
	d.Init(&Config{Client: true, MaxMessage: len(data)}, stateless)
	ev, _, err := d.Next(AppendFrame(nil, Header{Op: Binary, Fin: true, Compressed: true}, payload))
	if err != nil || !bytes.Equal(ev.Data, data) {
		t.Errorf("%d bytes, %v", len(ev.Data), err)
	}
}

// A prepared message is one frame for all, except where it cannot be.
func TestPrepared(t *testing.T) {
	z := &Deflater{}
	data := chatter(1, 3000)
	m := Message{Text, slices.Clone(data)}
	p := Prepare(m, z)
	clear(m.Data) // it was copied
	encoder := func(c Compression) *Encoder {
		e := new(Encoder)
		e.Init(false, c)
		return e
	}
	small := Compression{Enabled: true, ServerBits: 9}
	fitting := Compression{Enabled: true, ServerBits: 12}
	for _, c := range []struct {
		name       string
		agreed     Compression
		p          *Prepared
		compressed bool
	}{
		{"no compression", Compression{}, p, false},
		{"no takeover", stateless, p, true},
		{"takeover", takeover, p, true},
		{"small window", small, p, false},
		{"window as large as the message", fitting, p, true},
		{"prepared without a Deflater", stateless, Prepare(Message{Text, data}, nil), false},
		{"does not compress", stateless, Prepare(Message{Binary, noise(1, 3000)}, z), false},
		{"too short", stateless, Prepare(Message{Text, data[:100]}, z), false},
		{"longer than any window", takeover, Prepare(Message{Text, chatter(1, 100000)}, z), true},
	} {
		first := c.p.plain
		if c.compressed {
			first = c.p.compressed
		}
		e := encoder(c.agreed)
		frame := e.Frame(c.p)
		if &frame[0] != &first[0] || (frame[0]&rsv1 != 0) != c.compressed {
			t.Errorf("%s: another frame", c.name)
		}
		// Before and after it, the context goes on.
		var d Decoder
		d.Init(&Config{Client: true}, c.agreed)
		var stream []byte
		other := Message{Text, chatter(2, 1000)}
		e = encoder(c.agreed)
		for range 2 {
			stream = e.AppendMessage(stream, other, z, Mask{})
			stream = append(stream, e.Frame(c.p)...)
		}
		for i := range 4 {
			ev, n, err := d.Next(stream)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			stream = stream[n:]
			if i%2 == 0 && !bytes.Equal(ev.Data, other.Data) || i%2 == 1 && len(ev.Data) != c.p.length {
				t.Fatalf("%s: message %d of %d bytes", c.name, i, len(ev.Data))
			}
		}
	}
	if parts := strings.Count(string(p.plain), string(data)); parts != 1 {
		t.Errorf("the message is in its frame %d times", parts)
	}
}

// The decompressor agrees with the judge about data that is nearly right.
func TestInflateAgainstPuff(t *testing.T) {
	z := &Deflater{}
	rng := rand.New(rand.NewPCG(5, 6))
	good := 0
	for i := range 1000 {
		payload := z.append(nil, chatter(uint64(i), 1+rng.IntN(300)), nil, maxWindowBits)
		payload[rng.IntN(len(payload))] ^= 1 << rng.IntN(8)
		want, _, wantErr := inflateSlowly(payload, nil)
		if len(want) > DefaultMaxMessage {
			continue
		}
		var d Decoder
		d.Init(&Config{Client: true}, stateless)
		ev, _, err := d.Next(AppendFrame(nil, Header{Op: Binary, Fin: true, Compressed: true}, payload))
		if (err != nil) != (wantErr != nil) || err == nil && !bytes.Equal(ev.Data, want) {
			t.Errorf("%x: %d bytes, %v, want %d, %v", payload, len(ev.Data), err, len(want), wantErr)
		}
		if err == nil {
			good++
		}
	}
	if good < 50 || good > 950 {
		t.Errorf("%d of 1000 were valid", good)
	}
}
