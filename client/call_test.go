package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"
)

// called is what the callback of Transport.Call was given.
type called struct {
	resp     *http.Response
	err      error
	complete bool
}

// call makes a request with Transport.Call and waits for the callback.
func call(t *testing.T, tr *Transport, req *http.Request) called {
	t.Helper()
	got := make(chan called, 1)
	tr.Call(req, func(resp *http.Response, err error) {
		got <- called{resp, err, err == nil && Complete(resp)}
	})
	select {
	case c := <-got:
		return c
	case <-time.After(20 * time.Second):
		t.Fatal("not called back")
		return called{}
	}
}

// Transport.Call has a short response of known length whole, however it arrives, and the
// head of another one at once. It follows no redirect.
func TestTransportCall(t *testing.T) {
	onEngines(t, func(t *testing.T, tr *Transport) {
		sent := make(chan bool)
		defer close(sent)
		s := scripted(t, func(s *scene) {
			for req := s.request(); req != nil; req = s.request() {
				switch req.URL.Path {
				case "/short":
					s.say("HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 10\r\n\r\nhello")
					time.Sleep(5 * time.Millisecond) // which it has to arrive in two parts in
					s.say("world")
				case "/empty":
					s.say("HTTP/1.1 204 No Content\r\n\r\n")
				case "/chunks":
					s.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
					<-sent
					s.say("5\r\nworld\r\n0\r\n\r\n")
				case "/long":
					s.say("HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n")
					<-sent
					s.say(string(make([]byte, 65537)))
				}
			}
		})
		for _, c := range []struct {
			path             string
			status, length   int
			complete, signal bool
		}{
			{"/short", 302, 10, true, false},
			{"/empty", 204, 0, true, false},
			{"/chunks", 200, 10, false, true},
			{"/long", 200, 65537, false, true},
		} {
			req, _ := http.NewRequest("GET", s.url+c.path, nil)
			got := call(t, tr, req)
			if got.err != nil || got.resp.StatusCode != c.status || got.complete != c.complete {
				t.Fatalf("%s: %+v", c.path, got)
			}
			if c.signal {
				sent <- true
			}
			b, err := io.ReadAll(got.resp.Body)
			if len(b) != c.length || err != nil {
				t.Errorf("%s: %d bytes, %v", c.path, len(b), err)
			}
			if !Complete(got.resp) {
				t.Errorf("%s: not complete when all was read", c.path)
			}
			got.resp.Body.Close()
		}
		if n := tr.Stats().Dials; n != 1 {
			t.Errorf("%d connections were made", n)
		}
	})
}

// What goes wrong is told to the callback, also what does before anything is sent.
func TestTransportCallFails(t *testing.T) {
	onEngines(t, func(t *testing.T, tr *Transport) {
		asked := make(chan bool, 1)
		s := scripted(t, func(s *scene) {
			s.request()
			asked <- true
			s.request()
		})
		req, _ := http.NewRequest("GET", "ftp://nowhere/", nil)
		if got := call(t, tr, req); !errors.Is(got.err, ErrUnsupportedScheme) {
			t.Error(got.err)
		}
		ctx, cancel := context.WithCancelCause(context.Background())
		cause := errors.New("the cause")
		req, _ = http.NewRequestWithContext(ctx, "GET", s.url, nil)
		go func() {
			<-asked
			cancel(cause)
		}()
		if got := call(t, tr, req); !errors.Is(got.err, cause) {
			t.Error(got.err)
		}
		tr.Close()
		req, _ = http.NewRequest("GET", s.url, nil)
		if got := call(t, tr, req); !errors.Is(got.err, ErrClosed) {
			t.Error(got.err)
		}
	})
}
