package ringkit

import (
	"sync"
	"time"

	"github.com/ringkit/ringkit/conn"
)

// Stats says what a server is doing, and what it has done since it was started.
//
// The tags name each figure for JSON and, behind "ringkit_", for the Prometheus text
// format, where counters end in "_total"; these names stay. A figure is added by adding
// a field with tags: everything else follows from them.
type Stats struct {
	Conns  int        `json:"connections"` // open connections, the sum of States
	States ConnStates `json:"states"`
	Direct int        `json:"direct_descriptors"` // connections without a descriptor, see Server.DirectDescriptors

	Running int    `json:"handlers_running" type:"gauge" help:"Handlers that run on goroutines, or have lost their event loop."`
	Queued  int    `json:"handlers_queued" type:"gauge" help:"Requests that wait for a handler on a goroutine to end."`
	Spawned uint64 `json:"handlers_spawned" help:"Handlers run on goroutines."`
	Refused uint64 `json:"requests_refused" help:"Requests answered with a 503 because too many handlers were running."`
	Panics  uint64 `json:"handlers_panicked" help:"Handlers that panicked, except with http.ErrAbortHandler, or ended their goroutine."`

	Contexts        int64  `json:"websocket_context_bytes" type:"gauge" help:"Memory set aside for WebSockets that take over the context of their compression."`
	ContextsRefused uint64 `json:"websocket_contexts_refused" help:"WebSockets that take no context over because of MaxContextBytes."`

	Counters // sums over the loops

	Loops []LoopStats `json:"loops"`
}

// LoopStats is the part of one event loop.
type LoopStats struct {
	Engine LoopEngine `json:"engine"`
	Conns  int        `json:"connections"`
	States ConnStates `json:"states" name:"connections" type:"gauge" label:"state" by:"loop" help:"Open connections."`
	Direct int        `json:"direct_descriptors" type:"gauge" by:"loop" help:"Connections that are in the file table of their ring and have no descriptor."`
	Counters
}

// ConnStates are numbers of open connections by what they are doing.
type ConnStates struct {
	Idle      int `json:"idle"`      // between two requests, or before the first
	Reading   int `json:"reading"`   // a request has arrived in part
	Handling  int `json:"handling"`  // a request is being handled
	Streaming int `json:"streaming"` // and its handler reads the body as it arrives
	Channel   int `json:"channel"`   // it is a Channel: a WebSocket, or an answer sent bit by bit
	Client    int `json:"client"`    // it is one to another server: see EventLoops
	Closing   int `json:"closing"`   // the end has been decided; the last answer is being sent or read
}

// The marks of connections, in the order of ConnStates.
const (
	markIdle conn.Mark = iota
	markReading
	markHandling
	markStreaming
	markChannel
)

func connStates(l *conn.Loop) ConnStates {
	by, closing := l.Marked()
	return ConnStates{
		Idle: by[markIdle], Reading: by[markReading], Handling: by[markHandling], Streaming: by[markStreaming],
		Channel: by[markChannel], Client: by[conn.MarkClient],
		Closing: closing,
	}
}

// Counters are what each event loop counts.
type Counters struct {
	conn.Counters

	Requests  uint64         `json:"requests" help:"Requests whose head has arrived and is valid."`
	Responses ResponseCounts `json:"responses" label:"class" help:"Answers given to connections, those of the server itself included, by class of status."`
	Rejected  uint64         `json:"requests_rejected" help:"Requests answered with an error by the server itself: malformed, too large, too late, too many."`
	Timeouts  TimeoutCounts  `json:"timeouts" label:"kind" help:"Connections ended because their client took too long."`

	Messages uint64 `json:"websocket_messages" help:"Messages received by WebSockets."`

	Inline    uint64 `json:"handlers_inline" help:"Handlers called on an event loop."`
	Predicted uint64 `json:"handlers_predicted" help:"Handlers run on goroutines because their route was known to block."`
	Takeovers uint64 `json:"takeovers" help:"Handlers that lost their event loop because they did not return." by:"loop"`
	Released  uint64 `json:"released" help:"Handlers that gave their event loop away, to wait for their connection." by:"loop"`

	Handshakes       uint64 `json:"tls_handshakes" help:"TLS handshakes completed."`
	Resumed          uint64 `json:"tls_handshakes_resumed" help:"TLS handshakes that resumed a session."`
	HandshakesFailed uint64 `json:"tls_handshakes_failed" help:"TLS handshakes that failed."`

	KernelTLS uint64 `json:"tls_kernel" help:"TLS connections whose sending was given to the kernel."`

	Crowded  uint64 `json:"connections_crowded" help:"Connections refused because of MaxConnsPerIP."`
	BadProxy uint64 `json:"proxy_headers_bad" help:"Connections ended for want of a valid PROXY header."`
}

// ResponseCounts are numbers of answers by class of status. 1xx is a last answer, such
// as 101, other is what lies beyond 599.
type ResponseCounts struct {
	Class1xx uint64 `json:"1xx"`
	Class2xx uint64 `json:"2xx"`
	Class3xx uint64 `json:"3xx"`
	Class4xx uint64 `json:"4xx"`
	Class5xx uint64 `json:"5xx"`
	Other    uint64 `json:"other"`
}

// add counts an answer. Nearly all are a 200: what costs little there is worth having.
func (r *ResponseCounts) add(status int) {
	if status == 200 {
		r.Class2xx++
	} else {
		r.addOther(status)
	}
}

//go:noinline
func (r *ResponseCounts) addOther(status int) {
	switch status / 100 {
	case 2:
		r.Class2xx++
	case 4:
		r.Class4xx++
	case 3:
		r.Class3xx++
	case 5:
		r.Class5xx++
	case 1:
		r.Class1xx++
	default:
		r.Other++
	}
}

// TimeoutCounts are numbers of timeouts by kind, see the fields of [Server].
type TimeoutCounts struct {
	Header uint64 `json:"header"` // part of a head has arrived, the rest has not
	Read   uint64 `json:"read"`   // a body made no progress
	Write  uint64 `json:"write"`  // the client took no data
	Idle   uint64 `json:"idle"`   // no request came
}

// statsWait is how long Stats waits for a loop that is in a callback.
const statsWait = 100 * time.Millisecond

// Stats returns what the server is doing and has done. It may be called at any time by
// any goroutine, also by handlers. The figures of a loop are of one moment; those of
// different loops are not of the same. A loop that is kept by a hook which blocks (see
// [Hooks], ConnState, ConnContext) is waited for 100 ms; then its figures are those of
// the last call. That is also what a hook gets that calls Stats itself.
func (srv *Server) Stats() Stats {
	srv.mu.Lock()
	workers := srv.workers
	srv.mu.Unlock()
	var s Stats
	s.Loops = make([]LoopStats, len(workers))
	var looks sync.WaitGroup
	for i, w := range workers {
		looks.Go(func() { s.Loops[i] = w.stats() })
	}
	looks.Wait()
	for i := range s.Loops {
		addFigures(&s.Counters, &s.Loops[i].Counters)
		addFigures(&s.States, &s.Loops[i].States)
		s.Conns += s.Loops[i].Conns
		s.Direct += s.Loops[i].Direct
	}
	s.Running, s.Queued, s.Spawned, s.Refused = srv.pool.counts()
	s.Panics = srv.panics.Load()
	s.Contexts, s.ContextsRefused = srv.contexts.used.Load(), srv.contexts.refused.Load()
	return s
}

// stats returns the part of one loop, as it is or was when that could be seen last.
func (w *worker) stats() LoopStats {
	var now LoopStats
	seen := w.loop.Observe(statsWait, func() {
		now.Counters = w.count
		now.Counters.Counters = w.loop.Counters()
		now.States = connStates(w.loop)
		now.Conns = w.loop.Conns()
		_, now.Direct = w.loop.Files()
	})
	w.lastSeen.Lock()
	defer w.lastSeen.Unlock()
	if seen && now.Turns >= w.lastSeen.stats.Turns {
		now.Engine = w.engine
		now.Takeovers, now.Released = w.loop.Takeovers()
		w.lastSeen.stats = now
	}
	return w.lastSeen.stats
}

// lastSeen are the figures of a loop as they were seen last.
type lastSeen struct {
	sync.Mutex
	stats LoopStats
}
