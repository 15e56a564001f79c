package wsock

import "testing"

// kept is a Buffers that keeps a few buffers, as a loop would.
type kept struct{ free [][]byte }

func (k *kept) Take(n int) []byte {
	for i, b := range k.free {
		if cap(b) >= n {
			last := len(k.free) - 1
			k.free[i] = k.free[last]
			k.free = k.free[:last]
			return b[:0]
		}
	}
	return make([]byte, 0, n)
}

func (k *kept) Put(b []byte) { k.free = append(k.free, b) }

func expectNoAllocs(t *testing.T, name string, f func()) {
	t.Helper()
	f()
	if n := testing.AllocsPerRun(100, f); n != 0 {
		t.Errorf("%s: %v allocations", name, n)
	}
}

// Neither side allocates for a message once it is warm, but for the window, which grows
// up to its size.
func TestNoAllocations(t *testing.T) {
	conf := &Config{Buffers: new(kept)}
	client := &Config{Client: true, Buffers: conf.Buffers}
	out := make([]byte, 0, 64<<10)
	data := chatter(1, 1000)
	z := new(Deflater)

	receive := func(d *Decoder, in []byte, messages int) {
		for {
			ev, n, err := d.Next(in)
			if err != nil {
				t.Fatal(err)
			}
			if in = in[n:]; ev.Op == 0 {
				break
			}
			messages--
		}
		if messages != 0 {
			t.Fatalf("%d messages missing", messages)
		}
	}

	var d Decoder
	d.Init(conf, Compression{})
	frames := []byte(text("hello") + ping("p") + frame(1, "he") + pong("") + frame(fin, "llo"))
	in := make([]byte, len(frames))
	expectNoAllocs(t, "decoder", func() {
		copy(in, frames)
		receive(&d, in, 4)
	})
	expectNoAllocs(t, "decoder, split", func() {
		copy(in, frames)
		receive(&d, in[:8], 0)
		receive(&d, in[8:13], 1)
		receive(&d, in[13:], 3)
	})

	for name, agreed := range map[string]Compression{"no takeover": stateless, "takeover": {Enabled: true, ServerBits: 12}} {
		var d Decoder
		d.Init(client, agreed)
		var e Encoder
		e.Init(false, agreed)
		round := func() {
			out = e.AppendMessage(out[:0], Message{Text, data}, z, Mask{})
			if out[0]&rsv1 == 0 {
				t.Fatal("not compressed")
			}
			receive(&d, out, 1)
		}
		for range 10 {
			round() // the window fills
		}
		expectNoAllocs(t, "compression, "+name, round)
	}

	p := Prepare(Message{Text, data}, z)
	var e Encoder
	e.Init(false, stateless)
	expectNoAllocs(t, "encoder", func() {
		out = AppendMessage(out[:0], Message{Binary, data}, Masked(key))
		out = AppendPing(out, nil, Mask{})
		out = AppendClose(out, CloseNormal, "bye", Mask{})
		out = append(out, e.Frame(p)...)
	})
	request := goodRequest()
	request.Protocol = nil
	expectNoAllocs(t, "handshake", func() {
		if _, err := request.Check(); err != nil {
			t.Fatal(err)
		}
		out = AppendResponse(out[:0], request.Key[0], "", "")
	})
}
