package fallback

import (
	"testing"

	"github.com/ringkit/ringkit/internal/ring"
	"github.com/ringkit/ringkit/internal/ringtest"
)

var engine = ringtest.Engine{
	Name: "epoll",
	New: func(buffers, size int) (ringtest.Ring, error) {
		r, err := New(Config{Buffers: buffers, BufferSize: size})
		if err != nil {
			return nil, err
		}
		return r, nil
	},
	WakeFD: func(r ringtest.Ring) int { return r.(*Ring).wakeFD },
	Stats: func(r ringtest.Ring) ringtest.Stats {
		s := r.(*Ring).Stats()
		return ringtest.Stats{Completions: s.Completions, Starved: s.Starved, Wakes: s.Wakes}
	},
}

// What holds for every engine holds for this one.
func TestEngine(t *testing.T) { ringtest.Run(t, engine) }

func BenchmarkEcho(b *testing.B) { ringtest.Bench(b, engine) }

// open makes a ring for a test of its own.
func open(t testing.TB, c Config) (*Ring, *ringtest.Driver) {
	t.Helper()
	ringtest.NoLeaks(t)
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(0); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return r, ringtest.NewDriver(t, r)
}

// next returns the completions that are there, in their order.
func next(r *Ring, most int) (cs []ring.Completion) {
	var c ring.Completion
	for len(cs) < most && r.Next(&c) {
		cs = append(cs, c)
	}
	return cs
}

func recvToken(slot int) ring.Token { return ringtest.Token(ring.OpRecv, uint32(slot)) }
