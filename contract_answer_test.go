package ringkit

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ringkit/ringkit/http1"
)

// Interim answers go out at once, with the fields set so far, which stay for the
// final one.
func TestContractInterim(t *testing.T) {
	next := make(chan bool)
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>")
		w.WriteHeader(103)
		expect(t, "the client", next)
		w.Header().Add("Link", "</b.css>")
		w.WriteHeader(103)
		expect(t, "the client", next)
		w.WriteHeader(100)
		expect(t, "the client", next)
		w.Header().Set("X-Final", "yes")
		w.WriteHeader(404)
		io.WriteString(w, "gone")
	})
	play(t, handler, func(t *testing.T, s *stage) {
		p := s.dial()
		for range 2 {
			p.send(smallRequest)
			for _, want := range []struct {
				status int
				link   string
			}{{103, "</a.css>"}, {103, "</a.css>, </b.css>"}, {100, "</a.css>, </b.css>"}} {
				a := p.expectAnswer(want.status, "")
				if a.get("Link") != want.link || a.has("X-Final") || a.has("Content-Length") {
					t.Errorf("%d with fields %q", a.status, a.fields)
				}
				next <- true
			}
			if a := p.expectAnswer(404, "gone"); a.get("Link") != "</a.css>, </b.css>" || a.get("X-Final") != "yes" {
				t.Errorf("fields %q", a.fields)
			}
		}
	})
}

// After the final status none can be set, and the body is not disturbed.
func TestContractInterimTooLate(t *testing.T) {
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(201)
		w.WriteHeader(103)
		io.WriteString(w, "a")
		flush(w)
		w.WriteHeader(103)
		io.WriteString(w, "b")
	})
	play(t, handler, func(t *testing.T, s *stage) {
		p := s.dial()
		for range 2 {
			p.send(smallRequest)
			p.expectAnswer(201, "ab")
		}
	})
}

// A client of HTTP/1.0 gets no interim answers: RFC 9110, section 15.2, forbids
// them. net/http sends them anyway.
func TestContractInterimOf10(t *testing.T) {
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>")
		w.WriteHeader(103)
		w.WriteHeader(100)
		io.WriteString(w, "hello")
	})
	play(t, handler, func(t *testing.T, s *stage) {
		p := s.dial()
		p.send(ask10("GET", "/"))
		a := p.answer10("GET")
		for !s.own() && a.status < 200 {
			a = p.answer10("GET")
		}
		if a.status != 200 || a.body != "hello" || a.get("Link") != "</a.css>" {
			t.Errorf("answer %+v", a)
		}
		p.expectEnd()
	})
}

// Trailers come in the ways that net/http has, announced or not.
func TestContractTrailers(t *testing.T) {
	mux := http.NewServeMux()
	body := func(w http.ResponseWriter, r *http.Request) {
		var n int
		fmt.Sscan(r.URL.RawQuery, &n)
		io.WriteString(w, pattern(n))
	}
	mux.HandleFunc("/announced", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-A, x-b")
		w.Header().Add("Trailer", "X-Unset")
		body(w, r)
		w.Header().Set("X-A", "1")
		w.Header().Add("X-A", "2")
		w.Header().Set("X-B", "3")
		w.Header().Set("X-Not", "announced")
	})
	mux.HandleFunc("/prefix", func(w http.ResponseWriter, r *http.Request) {
		body(w, r)
		flush(w) // or a short answer would have a length, and no place for trailers
		w.Header().Set(http.TrailerPrefix+"X-A", "1")
		w.Header().Add(http.TrailerPrefix+"X-A", "2")
		w.Header().Set(http.TrailerPrefix+"X-B", "3")
		w.Header().Set("X-Not", "announced")
	})
	mux.HandleFunc("/interleaved", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-A")
		w.Header().Set("X-B", "in the header")
		w.WriteHeader(200)
		w.Header().Set("X-A", "1")
		body(w, r)
		w.Header().Set("X-A", "2")
		w.Header().Set(http.TrailerPrefix+"X-B", "3")
	})
	want := map[string][2]string{"/announced": {"1, 2", "3"}, "/prefix": {"1, 2", "3"}, "/interleaved": {"2", "3"}}
	play(t, with(mux), func(t *testing.T, s *stage) {
		p := s.dial()
		for path, want := range want {
			for _, n := range []int{0, 5, 200_000} {
				target := fmt.Sprintf("%s?%d", path, n)
				p.send(ask("GET", target, "TE: trailers"))
				a := p.expectAnswer(200, pattern(n))
				if got := [2]string{valueIn(a.trailer, "X-A"), valueIn(a.trailer, "X-B")}; got != want || valueIn(a.trailer, "X-Not") != "" {
					t.Errorf("%s: trailers %q, want %q", target, a.trailer, want)
				}
				if a.has("X-A") || a.has(http.TrailerPrefix+"X-A") || a.framing != http1.Chunked {
					t.Errorf("%s: framing %v, fields %q", target, a.framing, a.fields)
				}
				if path == "/announced" && a.get("Trailer") != "X-A, x-b, X-Unset" {
					t.Errorf("%s: Trailer: %q", target, a.get("Trailer"))
				}
				old := s.dial()
				old.send(ask10("GET", target))
				if a := old.answer10("GET"); a.status != 200 || a.body != pattern(n) || a.has("X-A") || a.has(http.TrailerPrefix+"X-A") {
					t.Errorf("%s, HTTP/1.0: %d, %d bytes, %q", target, a.status, len(a.body), a.fields)
				}
				old.Close()
				p.send(ask("HEAD", target))
				if a := p.answer("HEAD"); a.status != 200 || len(a.trailer) > 0 {
					t.Errorf("HEAD %s: %d, %q", target, a.status, a.fields)
				}
			}
		}
	})
}

// What a handler says about the connection reaches the client: the end of it,
// that it goes on, and that it changes.
func TestContractConnectionField(t *testing.T) {
	mux := http.NewServeMux()
	set := func(status int, fields ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			for _, f := range fields {
				name, value, _ := strings.Cut(f, ": ")
				w.Header().Set(name, value)
			}
			w.WriteHeader(status)
		}
	}
	mux.HandleFunc("/close", set(200, "Connection: close"))
	mux.HandleFunc("/close/flushed", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		flush(w)
	})
	mux.HandleFunc("/keep", set(200, "Connection: keep-alive", "Keep-Alive: timeout=5"))
	mux.HandleFunc("/switch", set(101, "Connection: Upgrade", "Upgrade: echo/1", "X-Accept: yes"))
	mux.HandleFunc("/required", set(426, "Connection: Upgrade", "Upgrade: echo/2"))
	mux.HandleFunc("/hop", set(200, "Connection: X-Hop", "X-Hop: a"))
	play(t, with(mux), func(t *testing.T, s *stage) {
		for _, path := range []string{"/close", "/close/flushed"} {
			p := s.dial()
			p.send(ask("GET", path) + smallRequest)
			if a := p.expectAnswer(200, ""); a.get("Connection") != "close" {
				t.Errorf("%s: Connection: %q", path, a.get("Connection"))
			}
			if got := p.rest(); got != "" {
				t.Errorf("%s: behind the answer: %q", path, got)
			}
		}
		p := s.dial()
		for _, c := range []struct {
			path   string
			status int
			field  string
			value  string
			also   string
		}{
			{"/keep", 200, "Connection", "keep-alive", "Keep-Alive"},
			{"/required", 426, "Connection", "Upgrade", "Upgrade"},
			{"/hop", 200, "Connection", "X-Hop", "X-Hop"},
		} {
			p.send(ask("GET", c.path))
			if a := p.answer("GET"); a.status != c.status || a.get(c.field) != c.value || !a.has(c.also) {
				t.Errorf("%s: %d %q", c.path, a.status, a.fields)
			}
		}
		p.send(ask("GET", "/switch", "Connection: Upgrade", "Upgrade: echo/1"))
		if a := p.answer("GET"); a.status != 101 || a.get("Connection") != "Upgrade" || a.get("Upgrade") != "echo/1" || a.get("X-Accept") != "yes" {
			t.Errorf("switching: %d %q", a.status, a.fields)
		}
	})
}

// What is set in the header after its time is not sent.
func TestContractHeaderAfterItsTime(t *testing.T) {
	mux := http.NewServeMux()
	begin := map[string]func(http.ResponseWriter){
		"/status": func(w http.ResponseWriter) { w.WriteHeader(200) },
		"/write":  func(w http.ResponseWriter) { io.WriteString(w, "") },
		"/flush":  flush,
	}
	for path, begin := range begin {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			header := w.Header()
			header.Set("Kept", "a")
			header["List"] = []string{"a"}
			begin(w)
			header.Set("Kept", "b")
			header.Set("Late", "c")
			header.Add("List", "b")
			header.Set("Connection", "close")
			header.Set("Content-Length", "1")
			io.WriteString(w, "hello")
		})
	}
	play(t, with(mux), func(t *testing.T, s *stage) {
		p := s.dial()
		for path := range begin {
			p.send(ask("GET", path))
			a := p.expectAnswer(200, "hello")
			if a.get("Kept") != "a" || a.get("List") != "a" || a.has("Late") || a.has("Connection") {
				t.Errorf("%s: fields %q", path, a.fields)
			}
		}
	})
}

// A handler that streams for a while does not hold up others on other
// connections, and they not it.
func TestContractHandlersRunTogether(t *testing.T) {
	const n = 50
	here := make(chan bool, n)
	all := make(chan bool)
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		here <- true
		select {
		case <-all:
		case <-time.After(patience):
			t.Error("the handlers do not run at the same time")
		}
		io.WriteString(w, r.URL.Path)
	})
	play(t, handler, func(t *testing.T, s *stage) {
		s.notInline(t, "other handlers")
		var peers []*peer
		for i := range n {
			p := s.dial()
			p.send(ask("GET", fmt.Sprint("/", i)))
			peers = append(peers, p)
		}
		for range n {
			expect(t, "all handlers running", here)
		}
		for range n {
			all <- true
		}
		for i, p := range peers {
			p.expectAnswer(200, fmt.Sprint("/", i))
		}
	})
}
