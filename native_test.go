package ringkit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ringkit/ringkit/http1"
)

// place is where a native handler can run.
type place struct {
	name string
	dial func(t testing.TB, h HandlerFunc) *peer
}

// places returns them all: on the loop of a ringkit server; in a mux there; and
// in a mux on net/http's own server.
func places(e engine) []place {
	return []place{
		{"on the loop", func(t testing.TB, h HandlerFunc) *peer { return serve(t, e, &Server{Handler: h}).dial() }},
		{"in a mux", func(t testing.TB, h HandlerFunc) *peer {
			mux := http.NewServeMux()
			mux.Handle("/", h)
			return serve(t, e, &Server{Handler: mux}).dial()
		}},
		{"on net/http", func(t testing.TB, h HandlerFunc) *peer {
			mux := http.NewServeMux()
			mux.Handle("/", h)
			s := httptest.NewServer(mux)
			t.Cleanup(s.Close)
			return connectPeer(t, "tcp", s.Listener.Addr().String(), 0)
		}},
	}
}

func eachPlace(t *testing.T, test func(*testing.T, place)) {
	eachEngine(t, func(t *testing.T, e engine) {
		for _, pl := range places(e) {
			t.Run(pl.name, func(t *testing.T) { test(t, pl) })
		}
	})
}

// What an Exchange says about its request does not depend on where it runs.
func TestExchangeAccessors(t *testing.T) {
	const form = "Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\nContent-Length: 15\r\n\r\na=body&c=%26%20"
	line := func(target string) string { return "GET " + target + " HTTP/1.1\r\nHost: test:81\r\n" }
	cases := []struct {
		name, request, want string
		value               func(*Exchange) any
	}{
		{"method", "DELETE / HTTP/1.1\r\nHost: test\r\n\r\n", "DELETE", func(x *Exchange) any { return x.Method() }},
		{"unknown method", "BREW / HTTP/1.1\r\nHost: test\r\n\r\n", "BREW", func(x *Exchange) any { return x.Method() }},
		{"version 1.1", line("/") + "\r\n", "HTTP/1.1", func(x *Exchange) any { return x.Proto() }},
		{"version 1.0", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "HTTP/1.0", func(x *Exchange) any { return x.Proto() }},
		{"host", line("/") + "\r\n", "test:81", func(x *Exchange) any { return x.Host() }},
		{"host of the target", line("http://other/") + "\r\n", "other", func(x *Exchange) any { return x.Host() }},
		{"no host", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "", func(x *Exchange) any { return x.Host() }},
		{"path", line("/a/b.c") + "\r\n", "/a/b.c", func(x *Exchange) any { return x.Path() }},
		{"encoded path", line("/a%2Fb%20c%C3%A9+d") + "\r\n", "/a/b cé+d", func(x *Exchange) any { return x.Path() }},
		{"raw path", line("/a%2Fb%20c") + "\r\n", "/a%2Fb%20c", func(x *Exchange) any { return x.RawPath() }},
		{"path of an absolute target", line("http://other/a?b") + "\r\n", "/a", func(x *Exchange) any { return x.Path() }},
		{"path without query", line("/a?b=c") + "\r\n", "/a", func(x *Exchange) any { return x.Path() }},
		{"raw query", line("/a?b=%20&c?d") + "\r\n", "b=%20&c?d", func(x *Exchange) any { return x.RawQuery() }},
		{"no query", line("/a") + "\r\n", "", func(x *Exchange) any { return x.RawQuery() + x.Query("a") }},
		{"query", line("/?a=1%202+3&a=4") + "\r\n", "1 2 3", func(x *Exchange) any { return x.Query("a") }},
		{"missing in the query", line("/?a=1") + "\r\n", "", func(x *Exchange) any { return x.Query("b") }},
		{"query values", line("/?a=1&b=2&a=3") + "\r\n", "map[a:[1 3] b:[2]]", func(x *Exchange) any { return x.QueryValues() }},
		{"query, partly invalid", line("/?a=1&b=%zz&c=3") + "\r\n", "1,,3", func(x *Exchange) any { return x.Query("a") + "," + x.Query("b") + "," + x.Query("c") }},
		{"form", "POST /?a=query&b=query HTTP/1.1\r\nHost: test\r\n" + form, "body,query,& ,", func(x *Exchange) any {
			return x.Form("a") + "," + x.Form("b") + "," + x.Form("c") + "," + x.Form("d")
		}},
		{"form of another type", "POST /?a=query HTTP/1.1\r\nHost: test\r\nContent-Length: 6\r\n\r\na=body", "query", func(x *Exchange) any { return x.Form("a") }},
		{"cookie", line("/") + "Cookie: a=1; b=2\r\nCookie: c=3\r\n\r\n", "1,2,3,", func(x *Exchange) any {
			return x.Cookie("a") + "," + x.Cookie("b") + "," + x.Cookie("c") + "," + x.Cookie("d")
		}},
		{"quoted cookie", line("/") + "Cookie: a=\"1 2\"\r\n\r\n", "1 2", func(x *Exchange) any { return x.Cookie("a") }},
		{"cookie beside an invalid one", line("/") + "Cookie: b@d=1; a\\=2; =3; c=\x80; good=4\r\n\r\n", "4", func(x *Exchange) any { return x.Cookie("good") }},
		{"header", line("/") + "X-Some: a\r\nx-some: b\r\n\r\n", "a", func(x *Exchange) any { return x.Header("x-soMe") }},
		{"missing header", line("/") + "\r\n", "", func(x *Exchange) any { return x.Header("X-Some") }},
		{"header Host", line("/") + "\r\n", "test:81", func(x *Exchange) any { return x.Header("host") }},
		{"header Host beside a host of the target", line("http://other/") + "\r\n", "other", func(x *Exchange) any { return x.Header("host") }},
		{"headers beside a host of the target", line("http://other/") + "\r\n", "map[Host:other]", func(x *Exchange) any {
			return maps.Collect(x.Headers())
		}},
		{"headers", line("/") + "X-A: 1\r\nX-B: 2\r\nX-A:\t3 \r\n\r\n", "[Host=test:81 X-A=1 X-A=3 X-B=2]", func(x *Exchange) any {
			var all []string
			for name, value := range x.Headers() {
				all = append(all, http.CanonicalHeaderKey(name)+"="+value)
			}
			slices.Sort(all)
			return all
		}},
		{"some headers", line("/") + "X-A: 1\r\n\r\n", "1", func(x *Exchange) any {
			n := 0
			for range x.Headers() {
				n++
				break
			}
			return n
		}},
		{"body", "PUT / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "hello", func(x *Exchange) any { return string(x.Body()) }},
		{"no body", line("/") + "\r\n", "", func(x *Exchange) any { return string(x.Body()) }},
	}
	eachPlace(t, func(t *testing.T, pl place) {
		var value atomic.Pointer[func(*Exchange) any]
		p := pl.dial(t, func(x *Exchange) { fmt.Fprint(x, (*value.Load())(x)) })
		for _, c := range cases {
			if pl.name == "on net/http" && strings.Contains(c.request, "HTTP/1.0") {
				continue // it answers with that version, which RFC 9110, section 6.2, advises against
			}
			value.Store(&c.value)
			p.send(c.request)
			if a := p.answer("GET"); a.status != 200 || a.body != c.want {
				t.Errorf("%s: %d %q, want %q", c.name, a.status, a.body, c.want)
			}
		}
		remote := func(x *Exchange) any { return x.RemoteAddr() }
		value.Store(&remote)
		p.send(smallRequest)
		p.expectAnswer(200, p.LocalAddr().String())
	})
}

// The strings an Exchange hands out stay what they are.
func TestExchangeStringsStay(t *testing.T) {
	eachPlace(t, func(t *testing.T, pl place) {
		kept := make(chan []string, 100)
		p := pl.dial(t, func(x *Exchange) {
			kept <- []string{x.Path(), x.Query("a"), x.Host(), x.Header("X-A"), x.Cookie("c"), x.Form("f"), x.RemoteAddr()}
		})
		var want [][]string
		for i := range 100 {
			n := fmt.Sprintf("%d%s", i, strings.Repeat("x", i*3))
			body := "f=" + n
			p.send(fmt.Sprintf("POST /%s?a=%s HTTP/1.1\r\nHost: %s\r\nX-A: %s\r\nCookie: c=%s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s",
				n, n, n, n, n, len(body), body))
			p.expectAnswer(200, "")
			want = append(want, []string{"/" + n, n, n, n, n, n, p.LocalAddr().String()})
		}
		for _, w := range want {
			if got := <-kept; !slices.Equal(got, w) {
				t.Fatalf("kept %q, want %q", got, w)
			}
		}
	})
}

// The answer of a native handler, wherever it runs.
func TestExchangeAnswers(t *testing.T) {
	big := pattern(1 << 20)
	cases := []struct {
		name    string
		handler HandlerFunc
		status  int
		body    string
		fields  map[string]string
	}{
		{"nothing", func(x *Exchange) {}, 200, "", map[string]string{"Content-Length": "0", "Content-Type": ""}},
		{"text", func(x *Exchange) { x.WriteString("hello") }, 200, "hello", map[string]string{"Content-Length": "5", "Content-Type": "text/plain; charset=utf-8"}},
		{"bytes", func(x *Exchange) { x.Write([]byte("\x89PNG\x0D\x0A\x1A\x0A")) }, 200, "\x89PNG\x0D\x0A\x1A\x0A", map[string]string{"Content-Type": "image/png"}},
		{"type of its own", func(x *Exchange) {
			x.SetHeader("content-type", "a/b")
			x.WriteString("<html>")
		}, 200, "<html>", map[string]string{"Content-Type": "a/b"}},
		{"status", func(x *Exchange) {
			x.SetStatus(418)
			x.SetStatus(201)
			x.WriteString("made")
		}, 201, "made", nil},
		{"unregistered status", func(x *Exchange) { x.SetStatus(799) }, 799, "", nil},
		{"error", func(x *Exchange) {
			x.SetHeader("Content-Type", "a/b")
			x.WriteString("dropped")
			x.Error(404, "not here")
		}, 404, "not here\n", map[string]string{"Content-Type": "text/plain; charset=utf-8"}},
		{"fields", func(x *Exchange) {
			x.AddHeader("X-A", "1")
			x.AddHeader("x-a", "2")
			x.SetHeader("X-B", "3")
			x.SetHeader("X-B", "4")
			x.SetHeader("X-C", "")
		}, 200, "", map[string]string{"X-A": "1, 2", "X-B": "4", "X-C": ""}},
		{"replaced fields", func(x *Exchange) {
			x.AddHeader("X-AB", "0")
			x.AddHeader("X-A", "1")
			x.AddHeader("X-A", "2")
			x.AddHeader("X-ABC", "3")
			x.SetHeader("x-a", "4")
		}, 200, "", map[string]string{"X-A": "4", "X-AB": "0", "X-ABC": "3"}},
		{"lengths of its own", func(x *Exchange) {
			x.SetHeader("Content-Length", "1000")
			x.SetHeader("transfer-encoding", "gzip")
			x.WriteString("hello")
		}, 200, "hello", map[string]string{"Content-Length": "5"}},
		{"status below 200", func(x *Exchange) { x.SetStatus(101) }, 500, "", nil},
		{"status beyond 999", func(x *Exchange) { x.SetStatus(1000) }, 500, "", nil},
		{"204", func(x *Exchange) {
			x.SetStatus(204)
			x.WriteString("dropped")
		}, 204, "", map[string]string{"Content-Length": ""}},
		{"205", func(x *Exchange) {
			x.SetStatus(205)
			x.WriteString("dropped")
		}, 205, "", map[string]string{"Content-Length": "0"}},
		{"304", func(x *Exchange) {
			x.SetStatus(304)
			x.SetHeader("Etag", "a")
			x.WriteString("dropped")
		}, 304, "", map[string]string{"Etag": "a"}},
		{"1 MiB", func(x *Exchange) { x.WriteString(big) }, 200, big, map[string]string{"Content-Length": fmt.Sprint(len(big))}},
		{"64 KiB", func(x *Exchange) { x.WriteString(big[:64<<10]) }, 200, big[:64<<10], nil},
		{"big header", func(x *Exchange) {
			for i := range 50 {
				x.AddHeader(fmt.Sprintf("X-%d", i), big[:1000])
			}
			x.WriteString(big[:20_000])
		}, 200, big[:20_000], map[string]string{"X-49": strings.ReplaceAll(big[:1000], "\n", " ")}},
	}
	eachPlace(t, func(t *testing.T, pl place) {
		var handler atomic.Pointer[HandlerFunc]
		p := pl.dial(t, func(x *Exchange) { (*handler.Load())(x) })
		for _, c := range cases {
			handler.Store(&c.handler)
			for _, method := range []string{"GET", "HEAD", "GET"} {
				p.send(method + " / HTTP/1.1\r\nHost: test\r\n\r\n")
				a := p.answer(method)
				body := c.body
				if method == "HEAD" {
					body = ""
				}
				if a.status != c.status || a.body != body {
					t.Errorf("%s, %s: %d %q, want %d %q", c.name, method, a.status, short(a.body), c.status, short(body))
				}
				for name, want := range c.fields {
					if got := a.get(name); got != strings.TrimSpace(want) && (method == "GET" || got != "") {
						t.Errorf("%s, %s: %s: %q, want %q", c.name, method, name, got, want)
					}
				}
			}
		}
	})
}

// A big answer to HTTP/1.0 has its length too, so that the connection can go on.
func TestExchangeWithHTTP10(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: HandlerFunc(func(x *Exchange) { x.WriteString(pattern(200_000)) })})
		p := s.dial()
		for range 2 {
			p.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
			if a := p.expectAnswer(200, pattern(200_000)); a.framing != http1.Length || a.get("Connection") != "keep-alive" {
				t.Errorf("%v, Connection %q", a.framing, a.get("Connection"))
			}
		}
	})
}

// Delegate leaves the request to a standard handler, with nothing of what the
// native one did before.
func TestDelegate(t *testing.T) {
	eachPlace(t, func(t *testing.T, pl place) {
		wrong := std(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "wrong") })
		right := std(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s %s %v %v %s", r.Method, r.URL, body, err, r.ContentLength, r.FormValue("a"))
		})
		p := pl.dial(t, func(x *Exchange) {
			if x.Path() == "/native" {
				fmt.Fprintf(x, "%s", x.Body())
				return
			}
			x.SetStatus(500)
			x.SetHeader("X-Native", "a")
			x.SetHeader("Connection", "close")
			x.WriteString("dropped")
			x.Body()
			x.Delegate(wrong)
			x.Delegate(right)
		})
		for range 3 {
			p.send("POST /std?a=b HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello")
			if a := p.expectAnswer(200, "POST /std?a=b hello <nil> 5 b"); a.has("X-Native") || a.get("Connection") != "" {
				t.Errorf("fields %q", a.fields)
			}
			p.send("POST /native HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello")
			p.expectAnswer(200, "hello")
		}
	})
}

// A native handler that does not return: the requests before it are answered, its
// own with an opaque 500 if it panicked, and other connections are not concerned.
func TestExchangePanic(t *testing.T) {
	ends := map[string]func(){
		"value":   func() { panic("secret") },
		"nil":     func() { panic(nil) },
		"runtime": func() { _ = []int{}[len(engines)] },
		"abort":   func() { panic(http.ErrAbortHandler) },
		"goexit":  runtime.Goexit,
	}
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Loops: 1, Handler: HandlerFunc(func(x *Exchange) {
			x.SetHeader("X-Secret", "a")
			x.WriteString("hello")
			if end := ends[x.Query("kind")]; end != nil {
				end()
			}
		})})
		other := s.dial()
		for kind := range ends {
			for _, way := range []string{"alone", "behind another", "with a body"} {
				t.Run(kind+" "+way, func(t *testing.T) {
					p := s.in(t).dial()
					request := "GET /?kind=" + kind + " HTTP/1.1\r\nHost: test\r\n\r\n" + smallRequest
					switch way {
					case "behind another":
						request = smallRequest + request
					case "with a body":
						request = "POST /?kind=" + kind + " HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\n" + pattern(100_000) + smallRequest
					}
					p.sendAside(request)
					if way == "behind another" {
						p.expectAnswer(200, "hello")
					}
					if kind == "abort" {
						if a, err := readAnswer(p.r, "GET"); err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
							t.Errorf("%+v, %v; want nothing", a, err)
						}
					} else {
						a := p.answer("GET")
						if a.status != 500 || a.has("X-Secret") || strings.Contains(a.body, "secret") || a.body == "" {
							t.Errorf("answer %+v, want an opaque 500", a)
						}
						p.expectEnd()
					}
					other.send(smallRequest)
					other.expectAnswer(200, "hello")
				})
			}
		}
		if text := s.log.String(); !strings.Contains(text, "secret") || !strings.Contains(text, "native_test.go") {
			t.Errorf("the log lacks the value or the stack: %s", short(text))
		}
	})
}

// Wherever it is mounted, a native handler's panic is its server's to handle.
func TestMountedExchangePanic(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		mux := http.NewServeMux()
		mux.Handle("/panic", HandlerFunc(func(x *Exchange) { panic("secret") }))
		mux.Handle("/", HandlerFunc(helloNative))
		s := serve(t, e, &Server{Handler: mux})
		p := s.dial()
		if a := p.get("/panic"); a.status != 500 || strings.Contains(a.body, "secret") {
			t.Errorf("answer %+v, want an opaque 500", a)
		}
		s.dial().get("/")
	})
}

// A mounted handler has the same limit for the body as a server of its own.
func TestMountedBodyLimit(t *testing.T) {
	s := httptest.NewServer(HandlerFunc(func(x *Exchange) { fmt.Fprint(x, len(x.Body())) }))
	defer s.Close()
	for _, c := range []struct{ size, status int }{{DefaultMaxBodyBytes, 200}, {DefaultMaxBodyBytes + 1, 413}} {
		// Without a length, so that it has to be read.
		resp, err := s.Client().Post(s.URL, "", io.LimitReader(zeros{}, int64(c.size)))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.status {
			t.Errorf("%d bytes: %d, want %d", c.size, resp.StatusCode, c.status)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// Answers of native handlers are many and small; none gets lost or mixed up among
// connections that ask at the same time.
func TestExchangesAtTheSameTime(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		e.notSecure(t, "the clients speak without TLS")
		s := serve(t, e, &Server{Handler: HandlerFunc(func(x *Exchange) {
			fmt.Fprintf(x, "%s %s", x.Path(), x.Body())
		})})
		const clients, rounds = 20, 50
		errs := make(chan error, clients)
		for c := range clients {
			go func() {
				errs <- func() error {
					conn, err := net.Dial("tcp", s.addr)
					if err != nil {
						return err
					}
					defer conn.Close()
					r := bufio.NewReader(conn)
					for i := range rounds {
						body := strings.Repeat(fmt.Sprintf("<%d-%d>", c, i), 1+i*20%300)
						fmt.Fprintf(conn, "PUT /%d/%d HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n%s", c, i, len(body), body)
						a, err := readAnswer(r, "PUT")
						if err != nil {
							return err
						}
						if want := fmt.Sprintf("/%d/%d %s", c, i, body); a.body != want {
							return fmt.Errorf("answer %q, want %q", short(a.body), short(want))
						}
					}
					return nil
				}()
			}()
		}
		for range clients {
			if err := expect(t, "clients", errs); err != nil {
				t.Error(err)
			}
		}
	})
}
