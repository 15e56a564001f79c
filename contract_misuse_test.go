package ringkit

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/ringkit/ringkit/http1"
)

// The first status counts, and another is complained about.
func TestContractSuperfluousWriteHeader(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/twice", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(201)
		w.WriteHeader(500)
	})
	mux.HandleFunc("/written", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "hello")
		w.WriteHeader(500)
	})
	mux.HandleFunc("/flushed", func(w http.ResponseWriter, r *http.Request) {
		flush(w)
		w.WriteHeader(500)
	})
	play(t, with(mux), func(t *testing.T, s *stage) {
		p := s.dial()
		p.send(ask("GET", "/twice") + ask("GET", "/written") + ask("GET", "/flushed"))
		p.expectAnswer(201, "")
		p.expectAnswer(200, "hello")
		p.expectAnswer(200, "")
		if n := strings.Count(s.log.String(), "superfluous"); n != 3 {
			t.Errorf("%d complaints: %s", n, s.log.String())
		}
	})
}

// A status that is none panics in the handler, which can go on.
func TestContractInvalidStatus(t *testing.T) {
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		for _, code := range []int{-1, 0, 1, 99, 1000, 10000} {
			func() {
				defer func() {
					if v := recover(); v == nil || !strings.Contains(fmt.Sprint(v), fmt.Sprint(code)) {
						t.Errorf("WriteHeader(%d): panic %v", code, v)
					}
				}()
				w.WriteHeader(code)
			}()
		}
		w.WriteHeader(999)
		io.WriteString(w, "hello")
	})
	play(t, handler, func(t *testing.T, s *stage) {
		p := s.dial()
		p.send(smallRequest + smallRequest)
		p.expectAnswer(999, "hello")
		p.expectAnswer(999, "hello")
	})
}

// Answers that have no body refuse one (RFC 9110, sections 15.3.5 and 15.4.5).
func TestContractBodyNotAllowed(t *testing.T) {
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		var status int
		fmt.Sscan(r.URL.Path[1:], &status)
		w.WriteHeader(status)
		if n, err := io.WriteString(w, ""); n != 0 || err != nil {
			t.Errorf("%d: Write of nothing = %d, %v", status, n, err)
		}
		for range 2 {
			if n, err := io.WriteString(w, "body"); n != 0 || err != http.ErrBodyNotAllowed {
				t.Errorf("%d: WriteString = %d, %v; want %v", status, n, err, http.ErrBodyNotAllowed)
			}
			if n, err := w.Write([]byte("body")); n != 0 || err != http.ErrBodyNotAllowed {
				t.Errorf("%d: Write = %d, %v; want %v", status, n, err, http.ErrBodyNotAllowed)
			}
		}
	})
	play(t, handler, func(t *testing.T, s *stage) {
		p := s.dial()
		for range 2 {
			for _, status := range []int{204, 304} {
				p.send(ask("GET", fmt.Sprint("/", status)))
				p.expectAnswer(status, "")
			}
		}
	})
}

// A Content-Length that is not kept: what is too much is refused, what is missing
// ends the connection.
func TestContractContentLengthNotKept(t *testing.T) {
	eachHost(t, func(t *testing.T, h host) {
		mux := http.NewServeMux()
		mux.HandleFunc("/small", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "5")
			if n, err := io.WriteString(w, "hello"); n != 5 || err != nil {
				t.Errorf("Write = %d, %v", n, err)
			}
			if n, err := io.WriteString(w, "more"); n != 0 || err != http.ErrContentLength {
				t.Errorf("Write = %d, %v; want %v", n, err, http.ErrContentLength)
			}
		})
		mux.HandleFunc("/small/at-once", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "5")
			if n, err := io.WriteString(w, "hello, world"); n != 0 || err != http.ErrContentLength {
				t.Errorf("Write = %d, %v; want %v", n, err, http.ErrContentLength)
			}
		})
		for _, path := range []string{"/large", "/large/flushed", "/large/nothing"} {
			mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Length", "5")
				if path != "/large/nothing" {
					io.WriteString(w, "hel")
				}
				if path == "/large/flushed" {
					flush(w)
				}
			})
		}
		s := h.run(t, &http.Server{Handler: mux})
		p := s.dial()
		p.send(ask("GET", "/small"))
		p.expectAnswer(200, "hello")
		for path, want := range map[string]string{"/small/at-once": "", "/large": "hel", "/large/flushed": "hel", "/large/nothing": ""} {
			p := s.dial()
			p.send(ask("GET", path) + smallRequest)
			if a, err := readAnswer(p.r, "GET"); !errors.Is(err, io.ErrUnexpectedEOF) || a.status != 200 || a.body != want {
				t.Errorf("%s: %+v, %v; want %q and %v", path, a, err, want, io.ErrUnexpectedEOF)
			}
		}
		p = s.dial()
		for path := range map[string]string{"/large": "", "/large/nothing": ""} {
			p.send(ask("HEAD", path)) // promises nothing
			if a := p.answer("HEAD"); a.status != 200 || a.get("Content-Length") != "5" {
				t.Errorf("HEAD %s: %d %q", path, a.status, a.fields)
			}
		}
	})
}

// A Content-Length that is none is dropped, with a complaint.
func TestContractInvalidContentLength(t *testing.T) {
	lengths := []string{"five", "-5", "5, 5", "0x5", "1e3", "5.0", "99999999999999999999"}
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", r.FormValue("length"))
		io.WriteString(w, "hello")
		if r.FormValue("flush") != "" {
			flush(w)
			io.WriteString(w, "hello")
		}
	})
	play(t, handler, func(t *testing.T, s *stage) {
		p := s.dial()
		for _, n := range lengths {
			target := "/?length=" + strings.ReplaceAll(n, " ", "+")
			p.send(ask("GET", target) + ask("GET", target+"&flush=1"))
			p.expectAnswer(200, "hello")
			p.expectAnswer(200, "hellohello")
		}
		if n := strings.Count(s.log.String(), "invalid Content-Length"); n != 2*len(lengths) {
			t.Errorf("%d complaints: %s", n, s.log.String())
		}
	})
}

// A Transfer-Encoding set by a handler never contradicts how the body is sent.
func TestContractTransferEncodingByHandler(t *testing.T) {
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Transfer-Encoding", "chunked")
		if r.URL.Path == "/length" {
			w.Header().Set("Content-Length", "5")
		}
		io.WriteString(w, "hello")
	})
	play(t, handler, func(t *testing.T, s *stage) {
		p := s.dial()
		p.send(ask("GET", "/") + ask("GET", "/length") + ask("GET", "/"))
		for range 3 {
			p.expectAnswer(200, "hello")
		}
	})
}

// Field names and values of handlers cannot end their line, nor the header.
func TestContractHeaderInjection(t *testing.T) {
	const evil = "a\r\nInjected: yes\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		w.Header()["Value"] = []string{evil, "b\nInjected: yes"}
		w.Header()["Bad Name"] = []string{"a"}
		w.Header()["Bad\r\nInjected"] = []string{"a"}
		w.Header()["Bad:Injected"] = []string{"a"}
		w.Header()[""] = []string{"a"}
		w.Header()["Trailer"] = []string{"T"}
		w.Header()["Link"] = []string{evil}
		w.WriteHeader(103)
		io.WriteString(w, "hello")
		w.Header()["T"] = []string{evil}
	})
	play(t, handler, func(t *testing.T, s *stage) {
		p := s.dial()
		for range 2 {
			p.send(smallRequest)
			for _, status := range []int{103, 200} {
				a := p.answer("GET") // which is strict
				if a.status != status || a.has("Injected") || a.has("Bad Name") || a.has("Bad") || valueIn(a.trailer, "Injected") != "" {
					t.Errorf("%d, fields %q, trailers %q", a.status, a.fields, a.trailer)
				}
				if got := a.get("Value"); !strings.HasPrefix(got, "a  Injected: yes") || !strings.HasSuffix(got, "b Injected: yes") {
					t.Errorf("Value: %q", got)
				}
			}
		}
	})
}

// Writing after the handler has returned reaches no answer, its own or another's.
func TestContractWriteAfterReturn(t *testing.T) {
	eachHost(t, func(t *testing.T, h host) {
		returned, written := make(chan bool), make(chan bool)
		var stray sync.WaitGroup
		mux := http.NewServeMux()
		mux.HandleFunc("/ok", ok)
		mux.HandleFunc("/leak", func(w http.ResponseWriter, r *http.Request) {
			header := w.Header()
			stray.Go(func() {
				<-r.Context().Done()
				<-returned
				if !checksEnabled {
					// The race detector does not see that the client's next
					// request comes after the answer.
					header.Set("Stray", "a")
				}
				func() {
					// net/http panics where its buffer has gone to others.
					defer func() { recover() }()
					w.WriteHeader(500)
					io.WriteString(w, "stray")
					w.Write([]byte(pattern(100_000)))
				}()
				written <- true
			})
			io.WriteString(w, "answer")
			if r.URL.RawQuery != "" {
				flush(w)
			}
		})
		s := h.run(t, &http.Server{Handler: mux})
		for _, target := range []string{"/leak", "/leak?flush"} {
			p := s.dial()
			p.send(ask("GET", target))
			p.expectAnswer(200, "answer")
			p.send(ask("GET", "/ok"))
			p.expectAnswer(200, "ok") // so the first is over in every way
			returned <- true
			expect(t, "the stray goroutine", written)
			p.expectSilence(tick / 30)
			p.send(ask("GET", "/ok"))
			if a := p.expectAnswer(200, "ok"); a.has("Stray") {
				t.Errorf("fields %q", a.fields)
			}
		}
		stray.Wait()
	})
}

// custom is a value to panic with.
type custom struct{ text string }

// A handler that panics: its connection ends and others go on, the log has the
// value and the stack. Where nothing was sent ringkit answers with an opaque 500,
// net/http with nothing.
func TestContractPanic(t *testing.T) {
	values := map[string]any{
		"string": "the secret",
		"error":  errors.New("the secret"),
		"custom": custom{"the secret"},
		"nil":    nil,
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", ok)
	mux.HandleFunc("/{value}/{when}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Secret", "a")
		if when := r.PathValue("when"); when != "before" {
			io.WriteString(w, "begin")
			if when == "flushed" {
				flush(w)
			}
		}
		panic(values[r.PathValue("value")])
	})
	play(t, with(mux), func(t *testing.T, s *stage) {
		for value := range values {
			for _, when := range []string{"before", "written", "flushed"} {
				before := len(s.log.String())
				p := s.dial()
				p.send(ask("GET", "/ok") + ask("GET", "/"+value+"/"+when) + ask("GET", "/ok"))
				p.expectAnswer(200, "ok")
				p.expectCrash(s, when)
				if !eventually(func() bool { return strings.Contains(s.log.String()[before:], "contract_misuse_test.go") }) {
					t.Errorf("%s: no stack in the log: %q", value, s.log.String()[before:])
				}
				if text := s.log.String()[before:]; value != "nil" && !strings.Contains(text, "secret") {
					t.Errorf("%s: not in the log: %s", value, short(text))
				}
				s.works()
			}
		}
	})
}

// expectCrash reads what a client gets of a handler that did not return.
func (p *peer) expectCrash(s *stage, when string) {
	p.Helper()
	a, err := readAnswer(p.r, "GET")
	switch {
	case when == "flushed":
		if !errors.Is(err, io.ErrUnexpectedEOF) || a.body != "begin" {
			p.Errorf("%s: %+v, %v; want the beginning and %v", when, a, err, io.ErrUnexpectedEOF)
		}
		return
	case !s.own():
		if err != io.EOF {
			p.Errorf("%s: %+v, %v; want EOF", when, a, err)
		}
		return
	case err != nil:
		p.Errorf("%s: %v; want a 500", when, err)
	case a.status != 500 || a.has("X-Secret") || strings.Contains(a.body, "secret") || a.get("Connection") != "close":
		p.Errorf("%s: %+v; want an opaque 500", when, a)
	}
	p.expectEnd()
}

// http.ErrAbortHandler ends the connection without an answer, and without a word.
func TestContractAbort(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", ok)
	mux.HandleFunc("/abort/{when}", func(w http.ResponseWriter, r *http.Request) {
		switch when := r.PathValue("when"); when {
		case "length":
			w.Header().Set("Content-Length", "5")
			io.WriteString(w, "begin")
		case "written", "flushed":
			io.WriteString(w, "begin")
			if when == "flushed" {
				flush(w)
			}
		}
		panic(http.ErrAbortHandler)
	})
	play(t, with(mux), func(t *testing.T, s *stage) {
		for _, when := range []string{"before", "written", "length", "flushed"} {
			p := s.dial()
			p.send(ask("GET", "/ok") + ask("GET", "/abort/"+when) + ask("GET", "/ok"))
			p.expectAnswer(200, "ok")
			a, err := readAnswer(p.r, "GET")
			switch {
			case when != "flushed" && err != io.EOF:
				t.Errorf("%s: %+v, %v; want EOF", when, a, err)
			case when == "flushed" && (!errors.Is(err, io.ErrUnexpectedEOF) || a.body != "begin" || a.framing != http1.Chunked):
				t.Errorf("%s: %+v, %v; want the beginning and %v", when, a, err, io.ErrUnexpectedEOF)
			}
			s.works()
		}
		if text := s.log.String(); text != "" && !strings.Contains(text, "engine") {
			t.Errorf("log: %q", text)
		}
	})
}

// A handler that ends its goroutine ends its connection and no other.
func TestContractGoexit(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", ok)
	mux.HandleFunc("/exit/{when}", func(w http.ResponseWriter, r *http.Request) {
		if when := r.PathValue("when"); when != "before" {
			io.WriteString(w, "begin")
			if when == "flushed" {
				flush(w)
			}
		}
		runtime.Goexit()
	})
	play(t, with(mux), func(t *testing.T, s *stage) {
		other := s.dial()
		for _, when := range []string{"before", "written", "flushed"} {
			p := s.dial()
			p.send(ask("GET", "/ok") + ask("GET", "/exit/"+when) + ask("GET", "/ok"))
			p.expectAnswer(200, "ok")
			p.expectCrash(s, when)
			other.send(ask("GET", "/ok"))
			other.expectAnswer(200, "ok")
		}
	})
}

// A handler that locks its thread and keeps it locked takes the thread with it,
// and nothing that is under way on the connections.
func TestContractLockedThread(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", ok)
	mux.HandleFunc("/lock", func(w http.ResponseWriter, r *http.Request) {
		runtime.LockOSThread()
		body, err := io.ReadAll(r.Body)
		w.Write(body)
		flush(w)
		io.WriteString(w, fmt.Sprint(err))
	})
	play(t, with(mux), func(t *testing.T, s *stage) {
		waiting := s.dial()
		waiting.send("GET /ok HT")
		idle := s.dial()
		idle.send(ask("GET", "/ok"))
		idle.expectAnswer(200, "ok")
		p := s.dial()
		for i := range 30 {
			body := pattern(10 * i)
			p.send(ask("POST", "/lock", withLength(len(body))), body)
			p.expectAnswer(200, body+"<nil>")
			s.works()
		}
		waiting.send("TP/1.1\r\nHost: test\r\n\r\n")
		waiting.expectAnswer(200, "ok")
		idle.send(ask("GET", "/ok"))
		idle.expectAnswer(200, "ok")
	})
}
