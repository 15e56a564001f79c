package ringkit

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// resetAt is a point in the life of a connection at which its client resets it.
type resetAt struct {
	name  string
	mode  Mode
	bring func(p *peer, h *heldHandlers) // to that point
	held  bool                           // a handler runs, and is let go after the reset
	reads bool                           // a standard handler, which may read the body as it comes
}

// heldHandlers are handlers that say where they are and wait for being let go, or for
// the end of their context.
type heldHandlers struct {
	t     testing.TB
	began chan bool
	goOn  chan bool
}

func (h *heldHandlers) hold() {
	h.began <- true
	<-h.goOn
}

func (h *heldHandlers) native(x *Exchange) {
	switch x.Path() {
	case "/held":
		h.hold()
		x.WriteString("late")
	case "/huge":
		x.WriteString(numberedLines())
	case "/":
		x.WriteString("ok")
	default:
		x.Delegate(http.HandlerFunc(h.standard))
	}
}

func (h *heldHandlers) standard(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/held":
		h.hold()
		io.WriteString(w, "late")
	case "/context":
		h.began <- true
		<-r.Context().Done()
	case "/body":
		h.began <- true
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			h.t.Error("the whole body was read")
		}
	case "/stream":
		h.began <- true
		for {
			if _, err := io.WriteString(w, numberedLines()); err != nil {
				return
			}
		}
	case "/hijack":
		h.hold()
		c, buffered, err := http.NewResponseController(w).Hijack()
		if err == nil {
			h.end(c, buffered)
		}
	case "/hijacked":
		c, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			h.t.Errorf("Hijack: %v", err)
		}
		h.hold()
		h.end(c, buffered)
	default:
		io.WriteString(w, "ok")
	}
}

// end reads to the end of a hijacked connection, which comes.
func (h *heldHandlers) end(c net.Conn, buffered *bufio.ReadWriter) {
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, buffered); err == nil {
		h.t.Error("a hijacked connection that was reset ends in good order")
	}
	c.Close()
}

// beginning brings a connection to where its handler has begun.
func beginning(requests string) func(*peer, *heldHandlers) {
	return func(p *peer, h *heldHandlers) {
		p.send(requests)
		expect(p, "the handler", h.began)
	}
}

func sending(s string) func(*peer, *heldHandlers) {
	return func(p *peer, _ *heldHandlers) { p.send(s) }
}

func resets() []resetAt {
	more := strings.Repeat(smallRequest, 20_000) // more than is received while a handler runs
	return []resetAt{
		{name: "before the first byte", bring: sending("")},
		{name: "in the head", bring: sending(getLine)},
		{name: "between requests", bring: func(p *peer, _ *heldHandlers) { p.get("/") }},
		{name: "in the body", bring: sending(ask("POST", "/", withLength(100)) + "abc")},
		{name: "in a chunk", bring: sending(ask("POST", "/", withChunks) + "5\r\nab")},
		{name: "with its request", bring: sending(smallRequest)},
		{name: "while a handler waits on the loop", mode: Inline, bring: beginning(ask("GET", "/held")), held: true},
		{name: "while a handler has lost the loop", bring: beginning(ask("GET", "/held")), held: true},
		{name: "while a handler runs on a goroutine", mode: Goroutine, bring: beginning(ask("GET", "/held")), held: true},
		{name: "while a handler waits for that", bring: beginning(ask("GET", "/context"))},
		{name: "behind a pipeline", bring: func(p *peer, h *heldHandlers) {
			beginning(ask("GET", "/context"))(p, h)
			p.sendAside(more)
			p.expectSilence(tick / 2)
		}},
		{name: "in a body that is read", bring: beginning(ask("POST", "/body", withLength(1<<20)) + pattern(1000)), reads: true},
		{name: "in a body that nobody reads", bring: func(p *peer, h *heldHandlers) {
			beginning(ask("POST", "/context", withLength(1<<20)))(p, h)
			p.sendAside(pattern(1<<20 - 1))
			p.expectSilence(tick / 2)
		}, reads: true},
		{name: "before a body it has to be asked for", bring: beginning(ask("POST", "/context", withLength(5), "Expect: 100-continue")), reads: true},
		{name: "in an answer", bring: beginning(ask("GET", "/stream"))},
		{name: "in an answer that it does not read", bring: func(p *peer, h *heldHandlers) {
			beginning(ask("GET", "/stream"))(p, h)
			p.r.Peek(1000)
			time.Sleep(tick / 2) // until the queues are full
		}},
		{name: "in answers that it does not read", bring: func(p *peer, _ *heldHandlers) {
			p.send(strings.Repeat(ask("GET", "/huge"), 50))
			p.r.Peek(1000)
			time.Sleep(tick / 2)
		}},
		{name: "while it is lingered for", bring: func(p *peer, _ *heldHandlers) {
			p.send("\n")
			p.r.Peek(1)
		}},
		{name: "after it has ended its side", bring: func(p *peer, h *heldHandlers) {
			beginning(ask("GET", "/context"))(p, h)
			p.halfClose()
		}},
		{name: "before it is hijacked", bring: beginning(ask("GET", "/hijack")), held: true},
		{name: "when it is hijacked", bring: beginning(ask("GET", "/hijacked")), held: true},
	}
}

// Wherever a client resets its connection, nothing of it is left soon after, and
// handlers that ask are told. No timeout is needed for that.
func TestResetsEverywhere(t *testing.T) {
	takesLong(t)
	const clients = 4
	eachKind(t, func(t *testing.T, e engine) {
		for _, r := range resets() {
			for _, native := range []bool{true, false} {
				if native && r.reads {
					continue
				}
				name := r.name + map[bool]string{true: ", native", false: ", standard"}[native]
				t.Run(name, func(t *testing.T) {
					n := clients
					if r.mode == Inline {
						n = 1
					}
					h := &heldHandlers{t: t, began: make(chan bool), goOn: make(chan bool)}
					srv := &Server{
						Loops: 1, Mode: r.mode, lookAfter: tick,
						ReadHeaderTimeout: time.Hour, ReadTimeout: time.Hour, IdleTimeout: time.Hour, WriteTimeout: time.Hour,
						Handler: http.HandlerFunc(h.standard),
					}
					if native {
						srv.Handler = HandlerFunc(h.native)
					}
					s := serve(t, e, srv)
					var peers []*peer
					for range n {
						p := s.dial()
						peers = append(peers, p)
						r.bring(p, h)
					}
					for _, p := range peers {
						p.reset()
					}
					if r.held {
						release(n, h)
					}
					if !eventually(func() bool { st := s.Stats(); return st.Conns+st.Running+st.Queued == 0 }) {
						t.Errorf("left behind: %+v", s.Stats())
					}
				})
			}
		}
	})
}

// release lets handlers go on.
func release(n int, h *heldHandlers) {
	var all sync.WaitGroup
	for range n {
		all.Go(func() { h.goOn <- true })
	}
	within(h.t, "the handlers", all.Wait)
}
