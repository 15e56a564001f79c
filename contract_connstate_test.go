package ringkit

import (
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// diary has what ConnState was told, by the address of the client.
type diary struct {
	mu     sync.Mutex
	states map[string][]string
	local  string
	known  map[net.Conn]bool // programs keep connections in maps: it is always the same net.Conn
}

func (d *diary) note(t testing.TB) func(net.Conn, http.ConnState) {
	d.states, d.known = map[string][]string{}, map[net.Conn]bool{}
	return func(c net.Conn, state http.ConnState) {
		d.mu.Lock()
		defer d.mu.Unlock()
		client := c.RemoteAddr().String()
		if d.known[c] != (state != http.StateNew) {
			t.Errorf("%v of a net.Conn that is known: %t", state, d.known[c])
		}
		d.known[c] = true
		d.states[client] = append(d.states[client], state.String())
		if local := c.LocalAddr().String(); d.local == "" {
			d.local = local
		} else if local != d.local {
			t.Errorf("%v with LocalAddr %s, before %s", state, local, d.local)
		}
	}
}

func (d *diary) of(p *peer) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.states[p.LocalAddr().String()], " ")
}

// expect waits until the diary of a client is as wanted.
func (d *diary) expect(p *peer, what, want string) {
	p.Helper()
	eventually(func() bool { return len(d.of(p)) >= len(want) })
	if got := d.of(p); got != want {
		p.Errorf("%s: %s\nwant %s", what, got, want)
	}
}

// ConnState hears of each state once, in order.
func TestContractConnState(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	mux.HandleFunc("/close", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Connection", "close") })
	mux.HandleFunc("/flush", func(w http.ResponseWriter, r *http.Request) { flush(w) })
	mux.HandleFunc("/abort", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("/hijack", func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		io.WriteString(conn, "raw")
		conn.Close()
	})
	get := ask("GET", "/ok")
	cases := []struct {
		name string
		do   func(*peer)
		want string
	}{
		{"nothing was asked", func(p *peer) { p.Close() }, "new closed"},
		{"half a head", func(p *peer) {
			p.send(get[:10])
			p.halfClose()
			p.rest()
		}, "new active closed"},
		{"one request", func(p *peer) {
			p.send(get)
			p.expectAnswer(200, "")
			p.Close()
		}, "new active idle closed"},
		{"two requests", func(p *peer) {
			for range 2 {
				p.send(get[:10], get[10:])
				p.expectAnswer(200, "")
			}
			p.Close()
		}, "new active idle active idle closed"},
		{"a body", func(p *peer) {
			for range 2 {
				p.send(ask("POST", "/ok", withLength(5)), "hello")
				p.expectAnswer(200, "hello")
			}
			p.halfClose()
			p.expectEnd()
		}, "new active idle active idle closed"},
		{"flushed", func(p *peer) {
			p.send(ask("GET", "/flush"))
			p.expectAnswer(200, "")
			p.Close()
		}, "new active idle closed"},
		{"pipelined", func(p *peer) {
			p.send(get + get + get)
			for range 3 {
				p.expectAnswer(200, "")
			}
			p.Close()
		}, "new active idle active idle active idle closed"},
		{"closed by the handler", func(p *peer) {
			p.send(get)
			p.expectAnswer(200, "")
			p.send(ask("GET", "/close"))
			p.expectAnswer(200, "")
			p.expectEnd()
		}, "new active idle active closed"},
		{"closed by the client's wish", func(p *peer) {
			p.send(ask("GET", "/ok", "Connection: close"))
			p.expectAnswer(200, "")
			p.expectEnd()
		}, "new active closed"},
		{"aborted", func(p *peer) {
			p.send(ask("GET", "/abort"))
			p.rest()
		}, "new active closed"},
		{"malformed", func(p *peer) {
			p.send("nonsense\r\n\r\n")
			p.rest()
		}, "new active closed"},
		{"hijacked", func(p *peer) {
			p.send(ask("GET", "/hijack"))
			p.expectData("raw")
			p.expectEnd()
		}, "new active hijacked"},
		{"hijacked later", func(p *peer) {
			p.send(get + ask("GET", "/hijack"))
			p.expectAnswer(200, "")
			p.expectData("raw")
			p.expectEnd()
		}, "new active idle active hijacked"},
	}
	eachHost(t, func(t *testing.T, h host) {
		var d diary
		s := h.run(t, &http.Server{Handler: mux, ConnState: d.note(t)})
		var peers []*peer
		for _, c := range cases {
			p := s.dial()
			c.do(p)
			p.Close() // what the server lingers for
			peers = append(peers, p)
		}
		for i, c := range cases {
			d.expect(peers[i], c.name, c.want)
		}
		s.shutdown(context.Background())
		for i, c := range cases {
			d.expect(peers[i], c.name+", in the end", c.want)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.local != s.addr {
			t.Errorf("LocalAddr is %s, want %s", d.local, s.addr)
		}
	})
}

// The states are told as they come about, not afterwards.
func TestContractConnStateInTime(t *testing.T) {
	eachHost(t, func(t *testing.T, h host) {
		var d diary
		began, next := make(chan bool), make(chan bool)
		s := h.run(t, &http.Server{
			ConnState: d.note(t),
			Handler: std(func(w http.ResponseWriter, r *http.Request) {
				began <- true
				<-next
			}),
		})
		p := s.dial()
		d.expect(p, "connected", "new")
		p.send(smallRequest)
		expect(t, "the handler", began)
		if got := d.of(p); got != "new active" {
			t.Errorf("in the handler: %s", got)
		}
		next <- true
		p.expectAnswer(200, "")
		d.expect(p, "answered", "new active idle")
		p.Close()
		d.expect(p, "closed", "new active idle closed")
	})
}

// The end of the server closes what is idle, and what is not when it has answered.
func TestContractConnStateAtShutdown(t *testing.T) {
	eachHost(t, func(t *testing.T, h host) {
		var d diary
		began, next := make(chan bool), make(chan bool)
		s := h.run(t, &http.Server{
			ConnState: d.note(t),
			Handler: std(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/wait" {
					began <- true
					<-next
				}
			}),
		})
		idle, busy := s.dial(), s.dial()
		idle.send(smallRequest)
		idle.expectAnswer(200, "")
		busy.send(ask("GET", "/wait"))
		expect(t, "the handler", began)
		d.expect(idle, "idle", "new active idle")
		down := make(chan error, 1)
		go func() { down <- s.shutdown(context.Background()) }()
		d.expect(idle, "idle at the end", "new active idle closed")
		idle.expectEnd()
		next <- true
		busy.expectAnswer(200, "")
		busy.expectEnd()
		busy.Close()
		if err := expect(t, "Shutdown", down); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		eventually(func() bool { return strings.HasSuffix(d.of(busy), "closed") })
		// net/http may tell of idle first, ringkit too.
		if got := d.of(busy); !slices.Contains([]string{"new active closed", "new active idle closed"}, got) {
			t.Errorf("busy at the end: %s", got)
		}
	})
}

// Connections that time out are closed for ConnState as well.
func TestContractConnStateAtTimeout(t *testing.T) {
	eachHost(t, func(t *testing.T, h host) {
		var d diary
		s := h.run(t, &http.Server{ConnState: d.note(t), ReadHeaderTimeout: tick, IdleTimeout: tick, Handler: std(ok)})
		silent, slow, idle := s.dial(), s.dial(), s.dial()
		slow.send("GET / HT")
		idle.send(smallRequest)
		idle.expectAnswer(200, "ok")
		start := time.Now()
		for _, p := range []*peer{silent, slow, idle} {
			p.rest()
			p.Close()
		}
		if took := time.Since(start); took > patience/2 {
			t.Errorf("they ended after %v, want %v", took, tick)
		}
		d.expect(silent, "silent", "new closed")
		d.expect(slow, "slow", "new active closed")
		d.expect(idle, "idle", "new active idle closed")
	})
}
