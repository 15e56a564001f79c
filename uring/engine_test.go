package uring

import (
	"testing"

	"github.com/ringkit/ringkit/internal/ringtest"
)

func (tr tier) engine() ringtest.Engine {
	return ringtest.Engine{
		Name: tr.name,
		Need: needRing,
		New: func(buffers, size int) (ringtest.Ring, error) {
			r, err := New(tr.config(Config{Buffers: buffers, BufferSize: size}))
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
		Greedy: tr.without&(MultishotRecv|BufferRing) == 0 && Probe().Features&MultishotRecv != 0,
		Brief:  tr.without != 0 && tr.without != allFeatures,
	}
}

func engines() (all []ringtest.Engine) {
	for _, tr := range tiers {
		all = append(all, tr.engine())
	}
	return all
}

// What holds for every engine holds for every tier of this one.
func TestEngine(t *testing.T) { ringtest.Run(t, engines()...) }

func BenchmarkEcho(b *testing.B) { ringtest.Bench(b, engines()...) }
