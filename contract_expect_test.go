package ringkit

import (
	"fmt"
	"io"
	"net/http"
	"testing"
)

const expects = "Expect: 100-continue"

// RFC 9110, section 10.1.1: the interim answer is sent when the handler begins to
// read, and once.
func TestContractContinueOnFirstRead(t *testing.T) {
	read := make(chan bool)
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		<-read
		buf := make([]byte, 3)
		var body []byte
		for {
			n, err := r.Body.Read(buf)
			if body = append(body, buf[:n]...); err != nil {
				fmt.Fprintf(w, "%s %v", body, err)
				return
			}
		}
	})
	play(t, handler, func(t *testing.T, s *stage) {
		p := s.dial()
		for _, framing := range []string{withLength(10), withChunks} {
			p.send(ask("POST", "/", expects, framing))
			p.expectSilence(tick / 10)
			read <- true
			if a := p.expectAnswer(100, ""); len(a.fields) > 0 {
				t.Errorf("100 with fields %q", a.fields)
			}
			if framing == withChunks {
				p.send(chunk("hello"), chunk("world"), "0\r\n\r\n")
			} else {
				p.send("hello", "world")
			}
			p.expectAnswer(200, "helloworld EOF")
		}
	})
}

// A long body is streamed behind the interim answer.
func TestContractContinueStreams(t *testing.T) {
	reached := make(chan bool, 1)
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		n, _ := io.CopyN(io.Discard, r.Body, longStart)
		reached <- true
		more, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n+more, err)
	})
	play(t, handler, func(t *testing.T, s *stage) {
		p := s.dial()
		for range 2 {
			p.send(ask("POST", "/", expects, withLength(longBody)))
			p.expectAnswer(100, "")
			p.send(pattern(longStart))
			expect(t, "the handler having read the start", reached)
			p.send(pattern(longBody - longStart))
			p.expectAnswer(200, fmt.Sprint(longBody, " <nil>"))
		}
	})
}

// A handler that answers without reading refuses: the client never sends the
// body, and since nobody can tell what comes instead, the connection ends.
func TestContractContinueRefused(t *testing.T) {
	mux := http.NewServeMux()
	for _, status := range []int{200, 403, 413, 417} {
		mux.HandleFunc(fmt.Sprintf("/%d", status), func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			io.WriteString(w, "no")
		})
	}
	play(t, with(mux), func(t *testing.T, s *stage) {
		for _, status := range []int{200, 403, 413, 417} {
			for _, framing := range []string{withLength(10), withLength(longBody), withChunks} {
				p := s.dial()
				p.send(ask("POST", fmt.Sprintf("/%d", status), expects, framing))
				if a := p.expectAnswer(status, "no"); a.get("Connection") != "close" {
					t.Errorf("%d, %s: Connection: %q", status, framing, a.get("Connection"))
				}
				p.expectRefused(s)
			}
		}
	})
}

// A client that does not wait has its body read all the same. ringkit leaves the
// interim answer out where something of the body is there already, as RFC 9110
// allows; net/http sends it.
func TestContractContinueImpatient(t *testing.T) {
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %v", body, err)
	})
	play(t, handler, func(t *testing.T, s *stage) {
		p := s.dial()
		for range 2 {
			p.send(ask("POST", "/", expects, withLength(5)) + "hello")
			a := p.answer("POST")
			if a.status == 100 {
				a = p.answer("POST")
			}
			if a.status != 200 || a.body != "hello <nil>" {
				t.Errorf("answer %d %q", a.status, a.body)
			}
		}
	})
}

// There is no interim answer without a body to wait for, nor for HTTP/1.0.
func TestContractContinueNotSent(t *testing.T) {
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %v", body, err)
	})
	play(t, handler, func(t *testing.T, s *stage) {
		p := s.dial()
		p.send(ask("POST", "/", expects, withLength(0)))
		p.expectAnswer(200, " <nil>")
		p.send(ask("GET", "/", expects))
		p.expectAnswer(200, " <nil>")
		p = s.dial()
		p.send(ask10("POST", "/", expects, withLength(5)))
		p.send("hello")
		if a := p.answer10("POST"); a.status != 200 || a.body != "hello <nil>" {
			t.Errorf("HTTP/1.0: %d %q", a.status, a.body)
		}
	})
}

// The handler may send the interim answer itself; it does not come twice.
func TestContractContinueByHandler(t *testing.T) {
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Early", "a")
		w.WriteHeader(100)
		w.Header().Del("X-Early")
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %v", body, err)
	})
	play(t, handler, func(t *testing.T, s *stage) {
		p := s.dial()
		for range 2 {
			p.send(ask("POST", "/", expects, withLength(5)))
			if a := p.expectAnswer(100, ""); a.get("X-Early") != "a" {
				t.Errorf("100 with fields %q", a.fields)
			}
			p.send("hello")
			p.expectAnswer(200, "hello <nil>")
		}
	})
}

// RFC 9110, section 10.1.1: what else is expected cannot be met.
func TestContractUnknownExpectation(t *testing.T) {
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) { t.Error("the handler ran") })
	play(t, handler, func(t *testing.T, s *stage) {
		p := s.dial()
		p.send(ask("POST", "/", "Expect: a miracle", withLength(5)))
		if a := p.answer("POST"); a.status != 417 || a.get("Connection") != "close" {
			t.Errorf("%d, Connection: %q; want 417 and close", a.status, a.get("Connection"))
		}
		p.expectRefused(s)
	})
}

// expectRefused checks that the connection ends behind the answer to a request
// whose body does not come. net/http waits for the body all the same.
func (p *peer) expectRefused(s *stage) {
	p.Helper()
	if !s.own() {
		p.halfClose()
	}
	p.expectEnd()
}
