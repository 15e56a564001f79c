package ringkit

import "sync/atomic"

// Stats are counters of a server since it was started, and what it is doing now.
type Stats struct {
	Conns   int // open connections
	Running int // handlers on goroutines
	Queued  int // requests that wait for one of them to end

	Inline    uint64 // handlers called on an event loop, as of when a connection was idle last
	Spawned   uint64 // handlers run on goroutines
	Refused   uint64 // requests answered with a 503 because too many were running
	Predicted uint64 // of Spawned, because the route was known to block
	Takeovers uint64 // handlers that lost their event loop because they did not return
	Released  uint64 // handlers that gave it away, to wait for their connection

	Handshakes       uint64 // of TLS, completed
	Resumed          uint64 // of them, with a session ticket
	HandshakesFailed uint64
}

// counters are those of one worker that only its loop changes.
type counters struct {
	inline    atomic.Uint64
	predicted atomic.Uint64

	handshakes       atomic.Uint64
	resumed          atomic.Uint64
	handshakesFailed atomic.Uint64
}

// Stats returns the counters. It may be called at any time.
func (srv *Server) Stats() Stats {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	var s Stats
	for _, w := range srv.workers {
		s.Conns += w.loop.Conns()
		s.Inline += w.counters.inline.Load()
		s.Predicted += w.counters.predicted.Load()
		s.Handshakes += w.counters.handshakes.Load()
		s.Resumed += w.counters.resumed.Load()
		s.HandshakesFailed += w.counters.handshakesFailed.Load()
		taken, left := w.loop.Takeovers()
		s.Takeovers += taken
		s.Released += left
	}
	s.Running, s.Queued, s.Spawned, s.Refused = srv.pool.counts()
	return s
}
