package ringkit

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// Each way to flush sends what was written, while the handler goes on.
func TestContractFlush(t *testing.T) {
	ways := map[string]func(http.ResponseWriter) error{
		"/flusher": func(w http.ResponseWriter) error {
			w.(http.Flusher).Flush()
			return nil
		},
		"/error":      func(w http.ResponseWriter) error { return w.(interface{ FlushError() error }).FlushError() },
		"/controller": func(w http.ResponseWriter) error { return http.NewResponseController(w).Flush() },
	}
	next := make(chan bool)
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		for i := range 3 {
			fmt.Fprintf(w, "piece %d", i)
			if err := ways[r.URL.Path](w); err != nil {
				t.Errorf("%s: %v", r.URL.Path, err)
			}
			expect(t, "the client", next)
		}
	})
	play(t, handler, func(t *testing.T, s *stage) {
		p := s.dial()
		for path := range ways {
			p.send(ask("GET", path))
			if _, err := readLine(p.r); err != nil {
				t.Fatal(err)
			}
			if fields, err := readFields(p.r); err != nil || valueIn(fields, "Transfer-Encoding") != "chunked" {
				t.Fatalf("fields %q, %v", fields, err)
			}
			for i := range 3 {
				p.expectData(chunk(fmt.Sprintf("piece %d", i)))
				next <- true
			}
			p.expectData("0\r\n\r\n")
		}
	})
}

// Who flushes to a client that is gone finds out.
func TestContractFlushError(t *testing.T) {
	result := make(chan error, 1)
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		result <- rc.Flush()
		<-r.Context().Done()
		for {
			io.WriteString(w, "more")
			if err := rc.Flush(); err != nil {
				result <- err
				return
			}
		}
	})
	play(t, handler, func(t *testing.T, s *stage) {
		p := s.dial()
		p.send(smallRequest)
		if err := expect(t, "the handler", result); err != nil {
			t.Errorf("Flush: %v", err)
		}
		p.reset()
		if err := expect(t, "Flush failing", result); err == nil {
			t.Error("Flush to a client that is gone: no error")
		}
	})
}

// The bodies of the tests of deadlines are long enough to be streamed.
const (
	longBody  = 200 << 10
	longStart = 100 << 10 // what the client sends at first
)

// A body that does not come by the deadline makes Read fail; the answer reaches
// the client all the same, and the connection ends with it.
func TestContractReadDeadline(t *testing.T) {
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		deadline := time.Unix(1, 0)
		if r.URL.Path == "/future" {
			deadline = time.Now().Add(tick)
		}
		if err := http.NewResponseController(w).SetReadDeadline(deadline); err != nil {
			t.Errorf("SetReadDeadline: %v", err)
			return
		}
		endsAfter(t, time.Until(deadline)/2, func() {
			if n, err := io.Copy(io.Discard, r.Body); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: Read fails with %v after %d bytes, want a timeout", r.URL.Path, err, n)
			}
		})
		if n, err := r.Body.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the next Read = %d, %v", r.URL.Path, n, err)
		}
		w.WriteHeader(http.StatusRequestTimeout)
	})
	play(t, handler, func(t *testing.T, s *stage) {
		for _, path := range []string{"/past", "/future"} {
			for _, framing := range []string{withLength(longBody), withChunks} {
				p := s.dial()
				p.send(ask("POST", path, framing))
				if framing == withChunks {
					p.send(chunk(pattern(longStart)))
				} else {
					p.send(pattern(longStart))
				}
				if a := p.expectAnswer(408, ""); a.get("Connection") != "close" {
					t.Errorf("%s: Connection: %q", path, a.get("Connection"))
				}
				p.rest()
			}
		}
	})
}

// A deadline that is taken back in time has no effect, and none outlives its
// request.
func TestContractReadDeadlineTakenBack(t *testing.T) {
	set := make(chan bool, 1)
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if err := rc.SetReadDeadline(time.Now().Add(tick)); err != nil {
			t.Errorf("SetReadDeadline: %v", err)
		}
		if r.URL.Path == "/zero" {
			if err := rc.SetReadDeadline(time.Time{}); err != nil {
				t.Errorf("SetReadDeadline: %v", err)
			}
			set <- true
			n, err := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n, err)
		}
	})
	play(t, handler, func(t *testing.T, s *stage) {
		p := s.dial()
		p.send(ask("POST", "/zero", withLength(longBody)), pattern(longStart))
		expect(t, "the handler", set)
		later := s.dial()
		later.send(ask("GET", "/kept"))
		later.expectAnswer(200, "")
		time.Sleep(3 * tick / 2)
		p.send(pattern(longBody - longStart))
		p.expectAnswer(200, fmt.Sprint(longBody, " <nil>"))
		later.send(ask("GET", "/kept"))
		later.expectAnswer(200, "")
	})
}

// Nothing is sent after the deadline.
func TestContractWriteDeadlinePast(t *testing.T) {
	result := make(chan error, 1)
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if r.URL.Path == "/late" {
			io.WriteString(w, "sent;")
			flush(w)
		}
		if err := rc.SetWriteDeadline(time.Unix(1, 0)); err != nil {
			t.Errorf("SetWriteDeadline: %v", err)
		}
		io.WriteString(w, "not sent")
		result <- rc.Flush()
	})
	play(t, handler, func(t *testing.T, s *stage) {
		for _, path := range []string{"/early", "/late"} {
			p := s.dial()
			p.send(ask("GET", path))
			if err := expect(t, "Flush", result); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: Flush gives %v, want a timeout", path, err)
			}
			got := p.rest()
			if path == "/early" && got != "" || path == "/late" && !strings.HasSuffix(got, "5\r\nsent;\r\n") {
				t.Errorf("%s: the client got %q", path, got)
			}
		}
	})
}

// A client that takes nothing keeps the handler until the deadline, and its
// connection ends.
func TestContractWriteDeadlineFuture(t *testing.T) {
	result := make(chan error, 1)
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(tick)); err != nil {
			t.Errorf("SetWriteDeadline: %v", err)
			result <- nil
			return
		}
		piece := []byte(pattern(1 << 20))
		var err error
		endsAfter(t, tick/2, func() {
			for err == nil {
				_, err = w.Write(piece)
			}
		})
		result <- err
	})
	play(t, handler, func(t *testing.T, s *stage) {
		p := connectPeer(t, s.network, s.addr, 16<<10)
		p.send(smallRequest)
		if err := expect(t, "Write", result); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write gives %v, want a timeout", err)
		}
		if a, err := readAnswer(p.r, "GET"); err == nil {
			t.Errorf("the client got a whole answer of %d bytes", len(a.body))
		}
	})
}

// A deadline that is taken back in time has no effect, and none outlives its
// request.
func TestContractWriteDeadlineTakenBack(t *testing.T) {
	const size = 8 << 20
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if err := rc.SetWriteDeadline(time.Now().Add(tick)); err != nil {
			t.Errorf("SetWriteDeadline: %v", err)
		}
		if r.URL.Path == "/zero" {
			if err := rc.SetWriteDeadline(time.Time{}); err != nil {
				t.Errorf("SetWriteDeadline: %v", err)
			}
			if _, err := io.WriteString(w, pattern(size)); err != nil {
				t.Errorf("Write: %v", err)
			}
		}
	})
	play(t, handler, func(t *testing.T, s *stage) {
		p := connectPeer(t, s.network, s.addr, 256<<10)
		p.send(ask("GET", "/zero"))
		later := s.dial()
		later.send(ask("GET", "/kept"))
		later.expectAnswer(200, "")
		time.Sleep(3 * tick / 2)
		if a := p.answer("GET"); len(a.body) != size {
			t.Errorf("%d bytes arrived, want %d", len(a.body), size)
		}
		later.send(ask("GET", "/kept"))
		later.expectAnswer(200, "")
	})
}

// With full duplex, request and answer pass each other: each piece is answered
// before the next is sent. The first piece is longer than what ringkit gathers
// before it runs a handler.
func TestContractFullDuplex(t *testing.T) {
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if err := rc.EnableFullDuplex(); err != nil {
			t.Errorf("EnableFullDuplex: %v", err)
			return
		}
		if _, err := io.CopyN(w, r.Body, longStart); err != nil {
			t.Errorf("the first piece: %v", err)
			return
		}
		rc.Flush()
		buf := make([]byte, 100)
		for {
			n, err := r.Body.Read(buf)
			w.Write(buf[:n])
			if err != nil {
				fmt.Fprint(w, err)
				return
			}
			rc.Flush()
		}
	})
	play(t, handler, func(t *testing.T, s *stage) {
		p := s.dial()
		for range 2 {
			p.send(ask("POST", "/", withChunks), chunk(pattern(longStart)))
			readLine(p.r)
			if fields, err := readFields(p.r); err != nil || valueIn(fields, "Transfer-Encoding") != "chunked" {
				t.Fatalf("fields %q, %v", fields, err)
			}
			for got := 0; got < longStart; {
				line, err := readLine(p.r)
				var n int
				if _, bad := fmt.Sscanf(line, "%x", &n); bad != nil || n == 0 || err != nil {
					t.Fatalf("chunk size %q, %v", line, err)
				}
				p.expectData(pattern(longStart)[got:got+n] + "\r\n")
				got += n
			}
			for i := range 10 {
				piece := chunk(fmt.Sprintf("piece %d", i))
				p.send(piece)
				p.expectData(piece)
			}
			p.send("0\r\n\r\n")
			p.expectData(chunk("EOF") + "0\r\n\r\n")
		}
	})
}

// A whole body can be sent back as it comes.
func TestContractFullDuplexEcho(t *testing.T) {
	data := pattern(4 << 20)
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			t.Errorf("EnableFullDuplex: %v", err)
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(r.ContentLength))
		// No splice(2): between the two ends of one machine it crawls.
		if n, err := io.Copy(w, struct{ io.Reader }{r.Body}); n != r.ContentLength || err != nil {
			t.Errorf("Copy = %d, %v", n, err)
		}
	})
	play(t, handler, func(t *testing.T, s *stage) {
		p := s.dial()
		for range 2 {
			p.sendAside(ask("POST", "/", withLength(len(data))) + data)
			p.expectAnswer(200, data)
		}
	})
}

// bare hides everything but the methods of http.ResponseWriter; wrapped does not.
type (
	bare    struct{ http.ResponseWriter }
	wrapped struct{ http.ResponseWriter }
)

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// The controller finds what there is behind wrappers, and says so where there is
// nothing.
func TestContractControllerThroughWrappers(t *testing.T) {
	methods := []struct {
		name string
		call func(*http.ResponseController) error
	}{
		{"SetReadDeadline", func(rc *http.ResponseController) error { return rc.SetReadDeadline(time.Time{}) }},
		{"SetWriteDeadline", func(rc *http.ResponseController) error { return rc.SetWriteDeadline(time.Time{}) }},
		{"EnableFullDuplex", (*http.ResponseController).EnableFullDuplex},
		{"Flush", (*http.ResponseController).Flush},
		{"Hijack", func(rc *http.ResponseController) error {
			conn, _, err := rc.Hijack()
			if err == nil {
				conn.Close()
			}
			return err
		}},
	}
	done := make(chan bool, 1)
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		defer func() { done <- true }()
		for _, m := range methods {
			err := m.call(http.NewResponseController(wrapped{bare{wrapped{w}}}))
			if !errors.Is(err, errors.ErrUnsupported) || !errors.Is(err, http.ErrNotSupported) {
				t.Errorf("%s behind a wrapper that hides it: %v", m.name, err)
			}
		}
		for _, m := range methods {
			if err := m.call(http.NewResponseController(wrapped{wrapped{w}})); err != nil {
				t.Errorf("%s behind wrappers with Unwrap: %v", m.name, err)
			}
		}
	})
	play(t, handler, func(t *testing.T, s *stage) {
		p := s.dial()
		p.send(smallRequest)
		expect(t, "the handler", done)
		p.rest()
	})
}
