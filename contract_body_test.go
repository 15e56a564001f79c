package ringkit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// framings are the two ways to send a body.
var framings = []string{"length", "chunks"}

// post is a request with a body in a framing, cut after some bytes of the body
// into what is sent first and the rest.
func post(target, framing, body string, cut int, fields ...string) (start, rest string) {
	if framing == "chunks" {
		head := ask("POST", target, append(fields, withChunks)...)
		return head + chunk(body[:cut]), chunk(body[cut:]) + "0\r\n\r\n"
	}
	head := ask("POST", target, append(fields, withLength(len(body)))...)
	return head + body[:cut], body[cut:]
}

// The handler of a long body runs before all of it has come, and reads what there
// is. (ringkit gathers bodies of up to 64 KiB first.)
func TestContractBodyStreams(t *testing.T) {
	reached := make(chan bool, 1)
	body := pattern(longBody)
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		start := make([]byte, longStart)
		if _, err := io.ReadFull(r.Body, start); err != nil {
			t.Errorf("the start: %v", err)
		}
		reached <- true
		rest, err := io.ReadAll(r.Body)
		if got := string(start) + string(rest); got != body || err != nil {
			t.Errorf("read %d bytes, %v; want %d", len(got), err, len(body))
		}
		if n, err := r.Body.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("Read at the end = %d, %v", n, err)
		}
		if err := r.Body.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if n, err := r.Body.Read(make([]byte, 1)); n != 0 || err != http.ErrBodyReadAfterClose {
			t.Errorf("Read after Close = %d, %v", n, err)
		}
		io.WriteString(w, "done")
	})
	play(t, handler, func(t *testing.T, s *stage) {
		p := s.dial()
		for _, framing := range framings {
			start, rest := post("/", framing, body, longStart)
			p.send(start)
			expect(t, "the handler having read the start", reached)
			p.send(rest)
			p.expectAnswer(200, "done")
		}
	})
}

// A handler that does not read makes its client wait, and costs no memory.
func TestContractBodyBackPressure(t *testing.T) {
	const size = 48 << 20
	began, read := make(chan bool), make(chan bool)
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		began <- true
		<-read
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	})
	play(t, handler, func(t *testing.T, s *stage) {
		p := s.dial()
		before := memoryOf(t)
		p.send(ask("POST", "/", withLength(size)))
		var sent atomic.Int64
		go func() {
			piece := []byte(pattern(64 << 10))
			for sent.Load() < size {
				if n, err := p.Write(piece); err != nil {
					t.Errorf("the client: %v after %d bytes", err, sent.Load()+int64(n))
					return
				}
				sent.Add(int64(len(piece)))
			}
		}()
		expect(t, "the handler", began)
		stalled := int64(-1)
		for now := sent.Load(); now != stalled || now == 0; now = sent.Load() {
			stalled = now
			time.Sleep(tick / 3)
		}
		if stalled > size*3/4 {
			t.Errorf("%d bytes were taken that nobody reads", stalled)
		}
		if grown := memoryOf(t) - before; grown > 8<<20 {
			t.Errorf("the process has grown by %d bytes for a body that nobody reads", grown)
		}
		p.SetDeadline(time.Now().Add(patience))
		read <- true
		p.expectAnswer(200, fmt.Sprint(size, " <nil>"))
	})
}

// Trailers are announced by r.Trailer, and have their values when the body has
// been read.
func TestContractRequestTrailer(t *testing.T) {
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		for key, values := range r.Trailer {
			if (key != "X-Sum" && key != "X-Other") || values != nil {
				t.Errorf("before: r.Trailer[%q] = %q", key, values)
			}
		}
		if len(r.Trailer) != 2 || len(r.Header["Trailer"]) > 0 {
			t.Errorf("before: r.Trailer is %q; Trailer: %q", r.Trailer, r.Header["Trailer"])
		}
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%d %v %q", n, err, r.Trailer)
	})
	play(t, handler, func(t *testing.T, s *stage) {
		p := s.dial()
		for _, size := range []int{5, longBody} {
			p.sendAside(ask("POST", "/", withChunks, "Trailer: X-Sum, x-other") + chunk(pattern(size)) + "0\r\nX-Sum: a\r\nX-Other: b\r\n\r\n")
			p.expectAnswer(200, fmt.Sprintf("%d <nil> %q", size, http.Header{"X-Sum": {"a"}, "X-Other": {"b"}}))
		}
	})
}

// http.MaxBytesReader stops what is too long, and the connection ends where the
// rest is not worth reading.
func TestContractMaxBytesReader(t *testing.T) {
	const limit = 70_000
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, limit))
		if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
			w.WriteHeader(413)
			fmt.Fprint(w, n, tooLarge.Limit)
			return
		}
		fmt.Fprint(w, n, err)
	})
	play(t, handler, func(t *testing.T, s *stage) {
		for _, framing := range framings {
			p := s.dial()
			for _, size := range []int{0, 100, limit} {
				if size == 0 {
					p.send(ask("POST", "/", withLength(0)))
				} else {
					start, rest := post("/", framing, pattern(size), 50)
					p.sendAside(start + rest)
				}
				p.expectAnswer(200, fmt.Sprint(size, " <nil>"))
			}
			start, rest := post("/", framing, pattern(2<<20), 100)
			p.sendAside(start + rest)
			if a := p.expectAnswer(413, fmt.Sprint(limit, limit)); a.get("Connection") != "close" {
				t.Errorf("%s: Connection: %q", framing, a.get("Connection"))
			}
			p.rest()
		}
	})
}

// A client that goes away in the middle of its body is noticed by reading, and by
// the context. Of bodies that ringkit gathers the handler never hears.
func TestContractBodyCutShort(t *testing.T) {
	type outcome struct {
		n    int64
		err  error
		done error // of the context
	}
	outcomes := make(chan outcome, 1)
	reading := make(chan bool, 1)
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		if err := r.Context().Err(); err != nil {
			t.Errorf("the context ended before: %v", err)
		}
		n, _ := io.CopyN(io.Discard, r.Body, longStart)
		reading <- true
		more, err := io.Copy(io.Discard, r.Body)
		select {
		case <-r.Context().Done():
		case <-time.After(patience):
		}
		outcomes <- outcome{n + more, err, r.Context().Err()}
	})
	ends := map[string]func(*peer){
		"closes":      func(p *peer) { p.Close() },
		"half-closes": (*peer).halfClose,
		"resets":      (*peer).reset,
	}
	play(t, handler, func(t *testing.T, s *stage) {
		for name, end := range ends {
			for _, framing := range framings {
				p := s.dial()
				start, _ := post("/", framing, pattern(longBody), longStart)
				p.send(start)
				expect(t, "the handler having read the start", reading)
				end(p)
				o := expect(t, "the handler", outcomes)
				if o.n != longStart || o.err == nil || name != "resets" && o.err != io.ErrUnexpectedEOF {
					t.Errorf("the client %s in the middle of %s: read %d, %v; want %d, %v", name, framing, o.n, o.err, longStart, io.ErrUnexpectedEOF)
				}
				if o.done != context.Canceled {
					t.Errorf("the client %s in the middle of %s: context %v", name, framing, o.done)
				}
			}
		}
	})
}

// Chunks that are none are an error, and the end of the connection.
func TestContractBodyMalformed(t *testing.T) {
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err == nil || err == io.EOF {
			t.Errorf("Read gives %v after %d bytes, want an error", err, n)
		}
		w.WriteHeader(400)
	})
	play(t, handler, func(t *testing.T, s *stage) {
		for _, bad := range []string{"zz\r\n", "5\r\nhello!", "-1\r\n", "\r\n"} {
			p := s.dial()
			p.send(ask("POST", "/", withChunks) + chunk(pattern(longStart)) + bad + smallRequest)
			if a := p.answer("POST"); a.status != 400 || a.get("Connection") != "close" {
				t.Errorf("%q: %d, Connection: %q", bad, a.status, a.get("Connection"))
			}
			if got := p.rest(); got != "" {
				t.Errorf("%q: behind the answer: %q", bad, got)
			}
		}
	})
}

// The body ends with the handler, whatever became of it.
func TestContractBodyReadAfterReturn(t *testing.T) {
	bodies := make(chan io.ReadCloser, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", ok)
	mux.HandleFunc("/leak", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "read" {
			io.Copy(io.Discard, r.Body)
		}
		bodies <- r.Body
	})
	play(t, with(mux), func(t *testing.T, s *stage) {
		for _, size := range []int{0, 5, longBody} {
			for _, query := range []string{"read", "leave"} {
				p := s.dial()
				p.sendAside(ask("POST", "/leak?"+query, withLength(size)) + pattern(size))
				leaked := expect(t, "the handler", bodies)
				p.expectAnswer(200, "")
				p.send(ask("GET", "/ok") + ask("GET", "/ok"))
				p.expectAnswer(200, "ok") // the connection is past the body now
				want := http.ErrBodyReadAfterClose
				if size == 0 {
					want = io.EOF // http.NoBody knows no end
				}
				if n, err := leaked.Read(make([]byte, 10)); n != 0 || err != want {
					t.Errorf("%d bytes, %s: Read = %d, %v; want %v", size, query, n, err, want)
				}
				leaked.Close()
				p.expectAnswer(200, "ok")
			}
		}
	})
}

// What a handler leaves of the body is read for it up to 256 KiB, so that the
// connection can go on; beyond, it ends.
func TestContractBodyLeft(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/none", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "answer") })
	mux.HandleFunc("/closed", func(w http.ResponseWriter, r *http.Request) {
		r.Body.Close()
		io.WriteString(w, "answer")
	})
	mux.HandleFunc("/some/{n}", func(w http.ResponseWriter, r *http.Request) {
		var n int64
		fmt.Sscan(r.PathValue("n"), &n)
		io.CopyN(io.Discard, r.Body, n)
		io.WriteString(w, "answer")
	})
	cases := []struct {
		path string
		size int
		kept bool
	}{
		{"/none", 1, true},
		{"/none", 60_000, true},
		{"/none", 200_000, true},
		{"/some/100", 200_000, true},
		{"/some/1000000", 1_100_000, true},
		{"/closed", 200_000, true},
		{"/none", 2 << 20, false},
		{"/some/100", 2 << 20, false},
	}
	play(t, with(mux), func(t *testing.T, s *stage) {
		for _, c := range cases {
			for _, framing := range framings {
				p := s.dial()
				start, rest := post(c.path, framing, pattern(c.size), 1)
				if framing == "chunks" {
					// In pieces, so that the end is not known from the beginning.
					var pieces strings.Builder
					for piece := range slices.Chunk([]byte(pattern(c.size)), 10_000) {
						pieces.WriteString(chunk(string(piece)))
					}
					start, rest = ask("POST", c.path, withChunks), pieces.String()+"0\r\n\r\n"
				}
				if c.kept {
					rest += ask("GET", "/none")
				}
				p.sendAside(start + rest)
				a := p.expectAnswer(200, "answer")
				if kept := a.get("Connection") != "close"; kept != c.kept {
					t.Errorf("%s of %d bytes in %s: Connection: %q", c.path, c.size, framing, a.get("Connection"))
				}
				if c.kept {
					p.expectAnswer(200, "answer")
				} else if got := p.rest(); got != "" {
					t.Errorf("%s of %d bytes in %s: behind the answer: %q", c.path, c.size, framing, short(got))
				}
			}
		}
	})
}

// A body that was closed early and is long ends the connection: nothing of it may
// be taken for a request.
func TestContractBodyIsNoRequest(t *testing.T) {
	var requests atomic.Int32
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if r.URL.Path == "/closed" {
			r.Body.Close()
		}
		io.WriteString(w, "answer")
	})
	play(t, handler, func(t *testing.T, s *stage) {
		evil := bytes.Repeat([]byte(smallRequest), 1<<20/len(smallRequest))
		for _, path := range []string{"/none", "/closed"} {
			for _, framing := range framings {
				requests.Store(0)
				p := s.dial()
				start, rest := post(path, framing, string(evil), 1)
				p.sendAside(start + rest)
				p.expectAnswer(200, "answer")
				if got := p.rest(); got != "" || requests.Load() != 1 {
					t.Errorf("%s, %s: %d requests, and behind the answer %q", path, framing, requests.Load(), short(got))
				}
			}
		}
	})
}
