package consumers

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// events is an endpoint for EventSource: what comes from a channel is sent at once.
type events struct {
	t     *testing.T
	in    chan string
	ended chan error
	stop  chan struct{} // the server shuts down
}

func newEvents(t *testing.T) *events {
	return &events{t, make(chan string), make(chan error, 100), make(chan struct{})}
}

func (e *events) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	rc := http.NewResponseController(w)
	fmt.Fprintf(w, ": after %q\n\n", r.Header.Get("Last-Event-ID"))
	if err := rc.Flush(); err != nil {
		e.t.Errorf("Flush: %v", err)
	}
	for {
		select {
		case data := <-e.in:
			fmt.Fprintf(w, "data: %s\n\n", data)
			if err := rc.Flush(); err != nil {
				e.ended <- err
				return
			}
		case <-r.Context().Done():
			e.ended <- context.Cause(r.Context())
			return
		case <-e.stop:
			io.WriteString(w, "event: bye\ndata:\n\n")
			e.ended <- nil
			return
		}
	}
}

func (e *events) send(data string) {
	select {
	case e.in <- data:
	case <-time.After(patience):
		e.t.Errorf("nobody takes event %q", data)
	}
}

// wantEvent reads one event, or comment.
func wantEvent(t testing.TB, br *bufio.Reader, want string) {
	t.Helper()
	var event strings.Builder
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			t.Fatalf("%q and %v; want event %q", event.String(), err, want)
		}
		if line == "\n" {
			break
		}
		event.WriteString(line)
	}
	if event.String() != want+"\n" {
		t.Fatalf("event %q; want %q", event.String(), want)
	}
}

// Each event arrives before the next one is made.
func TestServerSentEvents(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		e := newEvents(t)
		srv := s.serve(t, e)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		resp := newClient(t).open(ctx, "GET", srv.url, nil, "Last-Event-ID", "41")
		if kind := resp.Header.Get("Content-Type"); kind != "text/event-stream" || resp.ContentLength != -1 {
			t.Errorf("%s of length %d", kind, resp.ContentLength)
		}
		br := bufio.NewReader(resp.Body)
		wantEvent(t, br, `: after "41"`)
		for i := range 50 {
			e.send(fmt.Sprint("event ", i))
			wantEvent(t, br, fmt.Sprint("data: event ", i))
		}
		cancel() // the client leaves
		if err := receive(t, e.ended); err != context.Canceled {
			t.Errorf("the handler's context ended with %v", err)
		}
	})
}

// One event for many subscribers, who then leave at once.
func TestServerSentEventsMany(t *testing.T) {
	const subscribers = 50
	eachServer(t, func(t *testing.T, s server) {
		happens, left := make(chan struct{}), make(chan struct{}, subscribers)
		srv := s.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			<-happens
			io.WriteString(w, "data: same\n\n")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			left <- struct{}{}
		}))
		c := newClient(t)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		streams := make([]*bufio.Reader, subscribers)
		for i := range streams {
			streams[i] = bufio.NewReader(c.open(ctx, "GET", srv.url, nil).Body)
		}
		close(happens)
		for _, br := range streams {
			wantEvent(t, br, "data: same")
		}
		cancel()
		for range streams {
			receive(t, left)
		}
	})
}

// Functions registered for Shutdown tell streams to end; Shutdown waits for them.
func TestServerSentEventsShutdown(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		e := newEvents(t)
		srv := s.serve(t, e)
		srv.RegisterOnShutdown(sync.OnceFunc(func() { close(e.stop) }))
		resp := newClient(t).open(context.Background(), "GET", srv.url, nil)
		br := bufio.NewReader(resp.Body)
		wantEvent(t, br, `: after ""`)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		stopped := make(chan error, 1)
		go func() { stopped <- srv.Shutdown(ctx) }()
		wantEvent(t, br, "event: bye\ndata:")
		if _, err := br.ReadByte(); err != io.EOF {
			t.Errorf("%v behind the last event", err)
		}
		if err := receive(t, stopped); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
}

// wrapped is a middleware's ResponseWriter that hides everything but Unwrap.
type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// ResponseController reaches the server's ResponseWriter through wrappers.
func TestResponseController(t *testing.T) {
	calls := []struct {
		name string
		call func(*http.ResponseController) error
	}{
		{"SetReadDeadline", func(rc *http.ResponseController) error { return rc.SetReadDeadline(time.Now().Add(patience)) }},
		{"SetWriteDeadline", func(rc *http.ResponseController) error { return rc.SetWriteDeadline(time.Now().Add(patience)) }},
		{"no deadlines", func(rc *http.ResponseController) error {
			if err := rc.SetReadDeadline(time.Time{}); err != nil {
				return err
			}
			return rc.SetWriteDeadline(time.Time{})
		}},
		{"EnableFullDuplex", (*http.ResponseController).EnableFullDuplex},
		{"Flush", (*http.ResponseController).Flush},
	}
	eachServer(t, func(t *testing.T, s server) {
		for _, call := range calls {
			t.Run(call.name, func(t *testing.T) {
				srv := s.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if err := call.call(http.NewResponseController(wrapped{w})); err != nil {
						t.Error(err)
					}
					io.WriteString(w, "ok")
				}))
				c := newClient(t)
				c.get(srv.url).want(t, 200, "ok")
				c.get(srv.url).want(t, 200, "ok") // the connection is as it was
			})
		}
	})
}

// A write deadline ends a write that nobody reads.
func TestWriteDeadline(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		ended := make(chan error, 1)
		srv := s.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
				t.Error(err)
				ended <- err
				return
			}
			p := []byte(pattern(1 << 20))
			for range 64 {
				if _, err := w.Write(p); err != nil {
					ended <- err
					return
				}
			}
			ended <- nil
		}))
		c := dialTCP(t, srv.addr)
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if err := receive(t, ended); err == nil {
			t.Error("64 MiB were written and nobody read")
		}
		c.Close()
	})
}

// A client that leaves ends the context of a handler that only waits.
func TestClientLeaves(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		started, ended := make(chan struct{}, 1), make(chan struct{}, 1)
		srv := s.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			started <- struct{}{}
			select {
			case <-r.Context().Done():
			case <-time.After(2 * patience):
			}
			ended <- struct{}{}
		}))
		for _, request := range []string{
			"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
		} {
			c := dialTCP(t, srv.addr)
			io.WriteString(c, request)
			receive(t, started)
			c.Close()
			receive(t, ended)
		}
	})
}
