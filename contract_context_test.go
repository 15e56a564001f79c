package ringkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

type contextTestKey string

// The context of a request has what the server, the listener and the connection
// gave it.
func TestContractContextValues(t *testing.T) {
	const base, perConn = contextTestKey("base"), contextTestKey("connection")
	eachHost(t, func(t *testing.T, h host) {
		var conns, bases atomic.Int32
		var s *stage
		var ready sync.WaitGroup
		ready.Add(1)
		s = h.run(t, &http.Server{
			BaseContext: func(l net.Listener) context.Context {
				bases.Add(1)
				if _, ok := l.Addr().(*net.TCPAddr); !ok {
					t.Errorf("BaseContext with a listener on %v", l.Addr())
				}
				return context.WithValue(context.Background(), base, "base")
			},
			ConnContext: func(ctx context.Context, c net.Conn) context.Context {
				ready.Wait()
				if ctx.Value(base) != "base" || ctx.Value(s.serverKey) != s.server {
					t.Errorf("ConnContext with values %v and %v", ctx.Value(base), ctx.Value(s.serverKey))
				}
				if c.LocalAddr().String() != s.addr {
					t.Errorf("ConnContext with a connection of %v, want %s", c.LocalAddr(), s.addr)
				}
				return context.WithValue(ctx, perConn, fmt.Sprint(conns.Add(1), " ", c.RemoteAddr()))
			},
			Handler: std(func(w http.ResponseWriter, r *http.Request) {
				ready.Wait()
				ctx := r.Context()
				local, ok := ctx.Value(http.LocalAddrContextKey).(net.Addr)
				if !ok || local.String() != s.addr || local.Network() != "tcp" {
					t.Errorf("http.LocalAddrContextKey is %v, want %s", local, s.addr)
				}
				if ctx.Value(base) != "base" || ctx.Value(s.serverKey) != s.server {
					t.Errorf("values %v and %v", ctx.Value(base), ctx.Value(s.serverKey))
				}
				fmt.Fprint(w, ctx.Value(perConn))
			}),
		})
		ready.Done()
		for i := range 3 {
			p := s.dial()
			want := fmt.Sprint(i+1, " ", p.LocalAddr())
			p.send(smallRequest + smallRequest)
			p.expectAnswer(200, want)
			p.expectAnswer(200, want)
			p.send(smallRequest)
			p.expectAnswer(200, want)
		}
		if conns.Load() != 3 || bases.Load() != 1 {
			t.Errorf("ConnContext was called %d times, want 3; BaseContext %d times, want once", conns.Load(), bases.Load())
		}
	})
}

// The context ends with the handler: for those who kept it, derived from it, or
// wait for it; also when the handler panicked.
func TestContractContextEndsWithHandler(t *testing.T) {
	contexts := make(chan context.Context, 1)
	derived := make(chan context.Context, 1)
	after := make(chan bool, 1)
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		if err := r.Context().Err(); err != nil {
			t.Errorf("at the beginning: %v", err)
		}
		ctx, cancel := context.WithTimeout(r.Context(), time.Hour)
		context.AfterFunc(r.Context(), func() {
			after <- true
			cancel()
		})
		contexts <- r.Context()
		derived <- ctx
		switch r.URL.Path {
		case "/panic":
			panic(http.ErrAbortHandler)
		case "/flush":
			flush(w)
		}
		select {
		case <-after:
			t.Error("the context ended before the handler")
		default:
		}
	})
	play(t, handler, func(t *testing.T, s *stage) {
		for _, path := range []string{"/", "/flush", "/panic"} {
			p := s.dial()
			p.send(ask("GET", path))
			ctx, child := expect(t, "the handler", contexts), expect(t, "the handler", derived)
			expect(t, "the context ending", ctx.Done())
			expect(t, "AfterFunc", after)
			expect(t, "the derived context ending", child.Done())
			if ctx.Err() != context.Canceled || child.Err() != context.Canceled {
				t.Errorf("%s: %v and %v, want %v", path, ctx.Err(), child.Err(), context.Canceled)
			}
			if path != "/panic" {
				p.expectAnswer(200, "")
			}
		}
	})
}

// The context ends when the client goes away, before the body, behind it, and
// while the answer is streamed.
func TestContractContextEndsWithClient(t *testing.T) {
	began := make(chan bool, 1)
	ended := make(chan error, 1)
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Errorf("the body: %v", err)
		}
		if r.URL.Path == "/stream" {
			io.WriteString(w, "begin")
			flush(w)
		}
		stop := make(chan bool)
		context.AfterFunc(r.Context(), func() { close(stop) })
		began <- true
		select {
		case <-stop:
		case <-time.After(patience):
		}
		ended <- r.Context().Err()
	})
	ends := map[string]func(*peer){
		"closes":      func(p *peer) { p.Close() },
		"half-closes": (*peer).halfClose,
		"resets":      (*peer).reset,
	}
	play(t, handler, func(t *testing.T, s *stage) {
		s.notInline(t, "the end of its client")
		for name, end := range ends {
			for _, request := range []string{
				ask("GET", "/"),
				ask("GET", "/stream"),
				ask("POST", "/", withLength(5)) + "hello",
				ask("POST", "/", withLength(longBody)) + pattern(longBody),
				ask("POST", "/stream", withChunks) + chunk(pattern(longBody)) + "0\r\n\r\n",
			} {
				p := s.dial()
				p.sendAside(request)
				expect(t, "the handler", began)
				end(p)
				if err := expect(t, "the context ending", ended); err != context.Canceled {
					t.Errorf("%s: the client %s: %v", short(request), name, err)
				}
			}
		}
	})
}

// A client that has said all it has to say gets its answer.
func TestContractAnswerAfterHalfClose(t *testing.T) {
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		io.WriteString(w, "answer")
	})
	play(t, handler, func(t *testing.T, s *stage) {
		s.notInline(t, "the end of its client")
		p := s.dial()
		p.send(smallRequest)
		p.halfClose()
		p.expectAnswer(200, "answer")
		p.expectEnd()
	})
}

// Cancelling the context that BaseContext gave reaches all requests, with its
// cause, and changes nothing else.
func TestContractBaseContextCancelled(t *testing.T) {
	cause := errors.New("the cause")
	eachHost(t, func(t *testing.T, h host) {
		h.notInline(t, "other handlers")
		base, cancel := context.WithCancelCause(context.Background())
		defer cancel(nil)
		const n = 3
		began := make(chan bool, n)
		s := h.run(t, &http.Server{
			BaseContext: func(net.Listener) context.Context { return base },
			Handler: std(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/wait" {
					began <- true
					<-r.Context().Done()
				}
				fmt.Fprint(w, r.Context().Err(), context.Cause(r.Context()))
			}),
		})
		var peers []*peer
		for range n {
			p := s.dial()
			p.send(ask("GET", "/wait"))
			expect(t, "the handler", began)
			peers = append(peers, p)
		}
		cancel(cause)
		for _, p := range peers {
			p.expectAnswer(200, fmt.Sprint(context.Canceled, cause))
			p.send(ask("GET", "/"))
			p.expectAnswer(200, fmt.Sprint(context.Canceled, cause))
		}
	})
}

// Cancelling what ConnContext gave reaches the requests of that connection alone.
func TestContractConnContextCancelled(t *testing.T) {
	eachHost(t, func(t *testing.T, h host) {
		h.notInline(t, "other handlers")
		cancels := make(chan context.CancelFunc, 2)
		began := make(chan bool, 2)
		s := h.run(t, &http.Server{
			ConnContext: func(ctx context.Context, c net.Conn) context.Context {
				ctx, cancel := context.WithCancel(ctx)
				cancels <- cancel
				return ctx
			},
			Handler: std(func(w http.ResponseWriter, r *http.Request) {
				began <- true
				<-r.Context().Done()
				fmt.Fprint(w, r.Context().Err())
			}),
		})
		var ends [2]context.CancelFunc
		var peers [2]*peer
		for i := range peers {
			peers[i] = s.dial()
			peers[i].send(smallRequest)
			expect(t, "the handler", began)
			ends[i] = expect(t, "ConnContext", cancels)
		}
		for _, i := range []int{1, 0} {
			ends[i]()
			peers[i].expectAnswer(200, context.Canceled.Error())
		}
	})
}

// Deadlines of contexts that are derived from a request's work while it runs.
func TestContractContextDeadline(t *testing.T) {
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		if _, ok := r.Context().Deadline(); ok {
			t.Error("the context has a deadline")
		}
		ctx, cancel := context.WithTimeout(r.Context(), tick/10)
		defer cancel()
		<-ctx.Done()
		fmt.Fprint(w, ctx.Err(), r.Context().Err())
	})
	play(t, handler, func(t *testing.T, s *stage) {
		p := s.dial()
		p.send(smallRequest)
		p.expectAnswer(200, fmt.Sprint(context.DeadlineExceeded, " <nil>"))
	})
}

// closeNotifier is http.CloseNotifier, which is deprecated and yet what streaming
// in older frameworks (gin's Context.Stream among them) asserts.
type closeNotifier interface{ CloseNotify() <-chan bool }

func TestContractCloseNotify(t *testing.T) {
	began := make(chan bool, 1)
	ended := make(chan bool, 1)
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		var gone <-chan bool
		if n, ok := w.(closeNotifier); ok {
			gone = n.CloseNotify()
		} else {
			t.Error("the ResponseWriter is no http.CloseNotifier")
		}
		select {
		case <-gone:
			t.Error("the client is said to be gone, and is not")
		default:
		}
		began <- true
		if gone != nil {
			select {
			case <-gone:
			case <-time.After(patience):
				t.Error("the client is gone, and is not said to be")
			}
		}
		ended <- true
	})
	play(t, handler, func(t *testing.T, s *stage) {
		s.notInline(t, "the end of its client")
		for _, end := range []func(*peer){func(p *peer) { p.Close() }, (*peer).reset} {
			p := s.dial()
			p.send(smallRequest)
			expect(t, "the handler", began)
			end(p)
			expect(t, "the handler returning", ended)
		}
	})
}
