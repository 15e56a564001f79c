package ringkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringkit/ringkit/http1"
)

// std is a standard handler as a function, shorter to write.
type std = http.HandlerFunc

func flush(w http.ResponseWriter) { w.(http.Flusher).Flush() }

// RFC 9112, section 6.3, and RFC 9110, sections 6.4.1 and 8.6: how the answer of
// a standard handler is delimited, and that the next one is found behind it.
func TestResponseFraming(t *testing.T) {
	big := pattern(300 << 10)
	cases := []struct {
		name    string
		handler std
		status  int
		framing http1.Framing
		body    string
	}{
		{"nothing", func(http.ResponseWriter, *http.Request) {}, 200, http1.Length, ""},
		{"status alone", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, 404, http1.Length, ""},
		{"empty write", func(w http.ResponseWriter, _ *http.Request) { w.Write(nil) }, 200, http1.Length, ""},
		{"small", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }, 200, http1.Length, "hello"},
		{"in pieces", func(w http.ResponseWriter, _ *http.Request) {
			for _, s := range []string{"he", "l", "", "lo"} {
				io.WriteString(w, s)
			}
		}, 200, http1.Length, "hello"},
		{"64 KiB", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, big[:64<<10]) }, 200, http1.Length, big[:64<<10]},
		{"more", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, big[:64<<10+1]) }, 200, http1.Chunked, big[:64<<10+1]},
		{"big", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, big) }, 200, http1.Chunked, big},
		{"big with length", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(big)))
			io.Copy(w, strings.NewReader(big))
		}, 200, http1.Length, big},
		{"big in small pieces", func(w http.ResponseWriter, _ *http.Request) {
			for at := 0; at < len(big); at += 1000 {
				io.WriteString(w, big[at:min(at+1000, len(big))])
			}
		}, 200, http1.Chunked, big},
		{"flushed", func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "he")
			flush(w)
			flush(w)
			io.WriteString(w, "llo")
		}, 200, http1.Chunked, "hello"},
		{"flushed with length", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5")
			io.WriteString(w, "he")
			flush(w)
			io.WriteString(w, "llo")
		}, 200, http1.Length, "hello"},
		{"flushed and nothing more", func(w http.ResponseWriter, _ *http.Request) { flush(w) }, 200, http1.Chunked, ""},
		{"invalid length", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5, 5")
			io.WriteString(w, "hello")
		}, 200, http1.Length, "hello"},
		{"coding of its own", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Transfer-Encoding", "gzip")
			io.WriteString(w, "hello")
		}, 200, http1.Length, "hello"},
		{"204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, 204, http1.NoBody, ""},
		{"204 with length", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5")
			w.WriteHeader(204)
		}, 204, http1.NoBody, ""},
		{"204 with body", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(204)
			if _, err := io.WriteString(w, "hello"); err != http.ErrBodyNotAllowed {
				w.Header().Set("Wrong", fmt.Sprint(err))
			}
			flush(w)
		}, 204, http1.NoBody, ""},
		{"205", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(205) }, 205, http1.Length, ""},
		{"205 flushed", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(205)
			flush(w)
		}, 205, http1.Length, ""},
		{"304", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(304) }, 304, http1.NoBody, ""},
		{"304 with length", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5")
			w.WriteHeader(304)
			flush(w)
		}, 304, http1.NoBody, ""},
		{"304 with body", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(304)
			io.WriteString(w, "hello")
		}, 304, http1.NoBody, ""},
		{"error", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "gone", http.StatusGone) }, 410, http1.Length, "gone\n"},
		{"unregistered status", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(799)
			io.WriteString(w, "hello")
		}, 799, http1.Length, "hello"},
	}
	eachEngine(t, func(t *testing.T, e engine) {
		mux := http.NewServeMux()
		for i, c := range cases {
			mux.Handle(fmt.Sprintf("/%d", i), c.handler)
		}
		s := serve(t, e, &Server{Handler: mux})
		for i, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				p := s.in(t).dial()
				get := fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: test\r\n\r\n", i)
				p.send(get + get + strings.Replace(get, "GET", "HEAD", 1) + get)
				for range 2 {
					a := p.expectAnswer(c.status, c.body)
					if a.framing != c.framing {
						t.Errorf("framing is %v, want %v", a.framing, c.framing)
					}
					if wrong := a.get("Wrong"); wrong != "" {
						t.Errorf("Write: %s", wrong)
					}
				}
				if a := p.answer("HEAD"); a.status != c.status {
					t.Errorf("answer to HEAD: %d, want %d", a.status, c.status)
				} else if n := a.get("Content-Length"); c.status == 200 && n != "" && n != fmt.Sprint(len(c.body)) {
					t.Errorf("answer to HEAD with Content-Length %s, want none or %d", n, len(c.body))
				}
				p.expectAnswer(c.status, c.body)

				// A client of HTTP/1.0 knows no chunks: what has no length ends
				// with the connection.
				p.send(fmt.Sprintf("GET /%d HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", i))
				a := p.expectAnswer(c.status, c.body)
				if c.framing != http1.Chunked {
					if a.framing != c.framing || a.get("Connection") != "keep-alive" {
						t.Errorf("HTTP/1.0: %v, Connection %q", a.framing, a.get("Connection"))
					}
					return
				}
				if a.framing != http1.UntilClose || a.get("Connection") != "close" {
					t.Errorf("HTTP/1.0: %v, Connection %q", a.framing, a.get("Connection"))
				}
				p.expectEnd()
			})
		}
	})
}

// The answer to HEAD has the Content-Length and Content-Type of that to GET.
func TestHead(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: std(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/declared" {
				w.Header().Set("Content-Length", "6")
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				return
			}
			io.WriteString(w, "<html>")
		})})
		p := s.dial()
		for _, path := range []string{"/written", "/declared"} {
			p.send("HEAD " + path + " HTTP/1.1\r\nHost: test\r\n\r\n")
			a := p.answer("HEAD")
			if a.status != 200 || a.get("Content-Length") != "6" || a.get("Content-Type") != "text/html; charset=utf-8" {
				t.Errorf("%s: %+v", path, a)
			}
		}
	})
}

// Every answer has one Date, which is now (RFC 9110, section 6.6.1), and one
// Server field if the server has a name. Handlers can have their own, or none.
func TestDateAndServer(t *testing.T) {
	native := HandlerFunc(func(x *Exchange) {
		if x.Path() == "/own" {
			x.SetHeader("date", "today")
			x.SetHeader("server", "own")
		}
	})
	standard := std(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/own":
			w.Header().Set("Date", "today")
			w.Header().Set("Server", "own")
		case "/none":
			w.Header()["Date"] = nil
			w.Header()["Server"] = nil
		}
	})
	eachEngine(t, func(t *testing.T, e engine) {
		for _, h := range []http.Handler{native, standard} {
			s := serve(t, e, &Server{Handler: h, Name: "test/1"})
			p := s.dial()
			for _, request := range []string{smallRequest, "GET / HTTP/1.9\r\n\r\n"} {
				p.send(request)
				a := p.answer("GET")
				date, err := time.Parse(http.TimeFormat, a.get("Date"))
				if since := time.Since(date); err != nil || since < -2*time.Second || since > patience {
					t.Errorf("Date: %q, %v", a.get("Date"), err)
				}
				if got := a.get("Server"); got != "test/1" {
					t.Errorf("Server: %q", got)
				}
			}
			p = s.dial()
			if a := p.get("/own"); a.get("Date") != "today" || a.get("Server") != "own" {
				t.Errorf("own fields: Date %q, Server %q", a.get("Date"), a.get("Server"))
			}
			if _, ok := h.(HandlerFunc); ok {
				continue
			}
			if a := p.get("/none"); a.has("Date") || a.has("Server") {
				t.Errorf("fields set to nil: %q", a.fields)
			}
		}
	})
}

// What is flushed arrives while the handler still runs, for both versions of the
// protocol.
func TestFlushArrivesBeforeTheEnd(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		next := make(chan bool)
		s := serve(t, e, &Server{Handler: std(func(w http.ResponseWriter, r *http.Request) {
			for i := range 3 {
				if err := http.NewResponseController(w).Flush(); err != nil {
					t.Errorf("Flush: %v", err)
				}
				expect(t, "the client", next)
				fmt.Fprintf(w, "piece %d;", i)
			}
			flush(w)
			expect(t, "the client", next)
		})})
		for _, version := range []string{"1.1", "1.0"} {
			p := s.dial()
			p.send("GET / HTTP/" + version + "\r\nHost: test\r\n\r\n")
			for _, want := range []string{"\r\n\r\n", "piece 0;", "piece 1;", "piece 2;"} {
				var got strings.Builder
				for !strings.Contains(got.String(), want) {
					b, err := p.r.ReadByte()
					if err != nil {
						t.Fatalf("waiting for %q: %v after %q", want, err, got.String())
					}
					got.WriteByte(b)
				}
				next <- true
			}
			if rest, err := io.ReadAll(io.LimitReader(p.r, 7)); version == "1.1" && string(rest) != "\r\n0\r\n\r\n" || err != nil {
				t.Errorf("HTTP/%s: the rest is %q, %v", version, rest, err)
			}
		}
	})
}

// RFC 9112, section 7.1.2: trailers that were announced, and those that were not.
func TestResponseTrailers(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		for _, c := range []struct {
			name string
			size int
			std
		}{
			{"small", 5, nil},
			{"flushed", 5, func(w http.ResponseWriter, _ *http.Request) { flush(w) }},
			{"big", 200 << 10, nil},
			{"empty", 0, nil},
		} {
			t.Run(c.name, func(t *testing.T) {
				s := serve(t, e, &Server{Handler: std(func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Trailer", "X-Announced, X-Unset")
					w.Header().Add("Trailer", "X-Second")
					io.WriteString(w, pattern(c.size))
					if c.std != nil {
						c.std(w, r)
					}
					w.Header().Set("X-Announced", "a")
					w.Header().Set("X-Second", "b")
					w.Header().Set("X-Other", "not sent")
					w.Header().Set(http.TrailerPrefix+"X-Late", "c")
				})})
				p := s.dial()
				p.send(smallRequest)
				a := p.expectAnswer(200, pattern(c.size))
				want := map[string]string{"X-Announced": "a", "X-Second": "b", "X-Late": "c"}
				for name, value := range want {
					if got := valueIn(a.trailer, name); got != value {
						t.Errorf("trailer %s: %q, want %q", name, got, value)
					}
				}
				if len(a.trailer) != len(want) {
					t.Errorf("trailers %q", a.trailer)
				}
				if a.has("X-Late") || a.has("X-Other") || a.has("X-Announced") {
					t.Errorf("header %q", a.fields)
				}
				p.send("GET / HTTP/1.0\r\n\r\n")
				p.expectAnswer(200, pattern(c.size))
			})
		}
	})
}

// A handler that writes other than the Content-Length it has set.
func TestWrongContentLength(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		result := make(chan error, 1)
		s := serve(t, e, &Server{Handler: std(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "5")
			if r.URL.Path == "/flushed" {
				io.WriteString(w, "hel")
				flush(w)
				return
			}
			if r.URL.Path == "/less" {
				io.WriteString(w, "hel")
				return
			}
			io.WriteString(w, "hello")
			_, err := io.WriteString(w, "more")
			result <- err
		})})
		p := s.dial()
		for range 2 {
			if a := p.get("/more"); a.body != "hello" {
				t.Errorf("too much was written: answer %q", a.body)
			}
			if err := expect(t, "the handler", result); !errors.Is(err, http.ErrContentLength) {
				t.Errorf("Write = %v, want %v", err, http.ErrContentLength)
			}
		}
		for _, path := range []string{"/less", "/flushed"} {
			p := s.dial()
			p.send("GET " + path + " HTTP/1.1\r\nHost: test\r\n\r\n" + smallRequest)
			if a, err := readAnswer(p.r, "GET"); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s: %+v, %v; want %v", path, a, err, io.ErrUnexpectedEOF)
			}
		}
	})
}

// The first WriteHeader counts, what is set after it does not, and a code that is
// none is the handler's fault.
func TestWriteHeader(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: std(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Before", "a")
			switch r.URL.Path {
			case "/twice":
				w.WriteHeader(201)
				w.WriteHeader(500)
			case "/after-write":
				io.WriteString(w, "hello")
				w.WriteHeader(500)
			case "/zero":
				w.WriteHeader(0)
			case "/four":
				w.WriteHeader(1000)
			}
			w.Header().Set("Before", "b")
			w.Header().Set("After", "c")
		})})
		p := s.dial()
		for path, status := range map[string]int{"/twice": 201, "/after-write": 200} {
			a := p.get(path)
			if a.status != status || a.get("Before") != "a" || a.has("After") {
				t.Errorf("%s: %d %q", path, a.status, a.fields)
			}
		}
		if text := s.log.String(); strings.Count(text, "superfluous WriteHeader(500)") != 2 {
			t.Errorf("log: %q", text)
		}
		for _, path := range []string{"/zero", "/four"} {
			p := s.dial()
			if a := p.get(path); a.status != 500 {
				t.Errorf("%s: %d, want 500", path, a.status)
			}
		}
	})
}

// RFC 9110, section 15.2, and RFC 8297.
func TestInterimResponses(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: std(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", "</a.css>; rel=preload")
			w.WriteHeader(103)
			w.Header().Add("Link", "</b.css>; rel=preload")
			w.WriteHeader(103)
			w.Header().Set("Content-Length", "5")
			w.WriteHeader(102)
			io.WriteString(w, "hello")
		})})
		p := s.dial()
		p.send(smallRequest + smallRequest)
		for range 2 {
			for _, c := range []struct{ status, links int }{{103, 1}, {103, 2}, {102, 2}} {
				a := p.expectAnswer(c.status, "")
				if n := strings.Count(a.get("Link"), "preload"); n != c.links {
					t.Errorf("%d with Link %q", a.status, a.get("Link"))
				}
			}
			p.expectAnswer(200, "hello")
		}
		p.send("GET / HTTP/1.0\r\n\r\n") // does not know them
		p.expectAnswer(200, "hello")
	})
}

// RFC 9110, section 5: a handler cannot end a field, or the header, with what it
// sets. readAnswer refuses whatever is not a field line.
func TestHeaderInjection(t *testing.T) {
	const evil = "a\r\nInjected: yes\r\n\r\nHTTP/1.1 200 OK\r\n\r\n\x00\x7f"
	eachEngine(t, func(t *testing.T, e engine) {
		for _, h := range []http.Handler{
			std(func(w http.ResponseWriter, r *http.Request) {
				w.Header()["Value"] = []string{evil}
				w.Header()["Latin"] = []string{"caf\xe9\r\n\tcr\xe8me"}
				w.Header()["Bad Name"] = []string{"a"}
				w.Header()["Bad\r\nInjected"] = []string{"a"}
				w.Header()[""] = []string{"a"}
				w.Header()["Trailer"] = []string{"T"}
				io.WriteString(w, "hello")
				flush(w)
				w.Header()["T"] = []string{evil}
				w.Header()[http.TrailerPrefix+"Bad\r\nInjected"] = []string{"a"}
			}),
			HandlerFunc(func(x *Exchange) {
				x.SetHeader("Value", evil)
				x.SetHeader("Latin", "caf\xe9\r\n\tcr\xe8me")
				x.SetHeader("Bad Name", "a")
				x.AddHeader("Bad\r\nInjected", "a")
				x.SetHeader("", "a")
				x.WriteString("hello")
			}),
		} {
			s := serve(t, e, &Server{Handler: h})
			p := s.dial()
			for range 2 {
				p.send(smallRequest)
				a := p.expectAnswer(200, "hello")
				if a.has("Injected") || valueIn(a.trailer, "Injected") != "" || a.has("Bad Name") || a.has("") {
					t.Errorf("fields %q, trailers %q", a.fields, a.trailer)
				}
				if got := a.get("Value"); !strings.HasPrefix(got, "a  Injected: yes") {
					t.Errorf("Value: %q", got)
				}
				if got := a.get("Latin"); got != "caf\xe9  \tcr\xe8me" {
					t.Errorf("Latin: %q", got)
				}
			}
		}
	})
}

// A handler that does not return leaves an opaque 500 when nothing was sent, and
// a broken connection when something was. What was asked before is answered.
func TestPanic(t *testing.T) {
	secret := errors.New("secret")
	ends := map[string]func(){
		"value":   func() { panic("secret") },
		"error":   func() { panic(secret) },
		"nil":     func() { panic(nil) },
		"runtime": func() { _ = []int{}[len(secret.Error())] },
		"goexit":  runtime.Goexit,
	}
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: std(func(w http.ResponseWriter, r *http.Request) {
			kind, when := r.FormValue("kind"), r.FormValue("when")
			w.Header().Set("X-Secret", "a")
			w.Header().Set("Content-Length", "1000")
			if when != "early" {
				io.WriteString(w, "begin")
			}
			if when == "late" {
				flush(w)
			}
			if end := ends[kind]; end != nil {
				end()
			}
			if kind == "abort" {
				panic(http.ErrAbortHandler)
			}
			w.Write(make([]byte, 995))
		})})
		for kind := range ends {
			for _, when := range []string{"early", "written", "late"} {
				t.Run(kind+" "+when, func(t *testing.T) {
					p := s.in(t).dial()
					p.get("/?kind=none")
					p.send("GET /?kind=none HTTP/1.1\r\nHost: test\r\n\r\nGET /?kind=" + kind + "&when=" + when + " HTTP/1.1\r\nHost: test\r\n\r\n" + smallRequest)
					if a := p.answer("GET"); a.status != 200 {
						t.Errorf("answer before: %d", a.status)
					}
					if when == "late" {
						if a, err := readAnswer(p.r, "GET"); !errors.Is(err, io.ErrUnexpectedEOF) || a.body != "begin" {
							t.Errorf("%+v, %v; want the beginning and %v", a, err, io.ErrUnexpectedEOF)
						}
						return
					}
					a := p.answer("GET")
					if a.status != 500 || a.has("X-Secret") || strings.Contains(a.body, "secret") || a.body == "" {
						t.Errorf("answer %+v, want an opaque 500", a)
					}
					if a.get("Connection") != "close" {
						t.Errorf("Connection: %q", a.get("Connection"))
					}
					p.expectEnd()
				})
			}
		}
		if text := s.log.String(); !strings.Contains(text, "secret") || !strings.Contains(text, "responses_test.go") {
			t.Errorf("the log lacks the value or the stack: %s", short(text))
		}
		before := s.log.String()
		for _, when := range []string{"early", "written", "late"} {
			t.Run("abort "+when, func(t *testing.T) {
				p := s.in(t).dial()
				p.send("GET /?kind=none HTTP/1.1\r\nHost: test\r\n\r\nGET /?kind=abort&when=" + when + " HTTP/1.1\r\nHost: test\r\n\r\n" + smallRequest)
				if a := p.answer("GET"); a.status != 200 {
					t.Errorf("answer before: %d", a.status)
				}
				a, err := readAnswer(p.r, "GET")
				switch {
				case when != "late" && err != io.EOF:
					t.Errorf("%+v, %v; want nothing and EOF", a, err)
				case when == "late" && (!errors.Is(err, io.ErrUnexpectedEOF) || a.body != "begin"):
					t.Errorf("%+v, %v; want the beginning and %v", a, err, io.ErrUnexpectedEOF)
				}
			})
		}
		if after := s.log.String(); after != before {
			t.Errorf("http.ErrAbortHandler was logged: %q", after[len(before):])
		}
		s.dial().get("/?kind=none")
	})
}

// What a handler does with its ResponseWriter after it has returned harms nobody.
func TestUseAfterReturn(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		if checksEnabled {
			// The kernel brings the answer before the header is touched again, which
			// the race detector knows only where both happen on the loop.
			e.notBlocking(t, "misuse of the header is a race on a goroutine")
		}
		late := make(chan func(http.ResponseWriter))
		done := make(chan error)
		var stray sync.WaitGroup
		s := serve(t, e, &Server{Handler: std(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/leak" {
				io.WriteString(w, "other")
				return
			}
			stray.Go(func() {
				<-r.Context().Done()
				f := <-late
				f(w)
				done <- http.NewResponseController(w).Flush()
			})
			io.WriteString(w, "leak")
			if r.URL.RawQuery == "flush" {
				flush(w)
			}
		})})
		for _, path := range []string{"/leak", "/leak?flush"} {
			for _, f := range []func(http.ResponseWriter){
				flush,
				func(w http.ResponseWriter) { io.WriteString(w, "stray") },
				func(w http.ResponseWriter) { io.WriteString(w, pattern(200<<10)) },
				func(w http.ResponseWriter) { w.WriteHeader(103) },
				func(w http.ResponseWriter) {
					// The answer, which came first, came through the kernel, where
					// the race detector does not see the order.
					if !checksEnabled {
						w.Header().Set("Stray", "a")
					}
				},
			} {
				p := s.dial()
				if a := p.get(path); a.body != "leak" {
					t.Fatalf("answer %q", short(a.body))
				}
				late <- f
				// A streamed answer may have nothing left that could not be sent.
				if err := expect(t, "the stray goroutine", done); err == nil && path == "/leak" {
					t.Error("Flush after the handler returned: no error")
				}
				p.expectSilence(5 * time.Millisecond)
				if a := p.get("/"); a.body != "other" || a.has("Stray") {
					t.Errorf("answer %q with %q", short(a.body), a.fields)
				}
			}
		}
		stray.Wait()
	})
}

// Goroutines that write to one answer at the same time may garble it, and nothing
// else.
func TestConcurrentFlush(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Loops: 1, Handler: std(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/race" {
				return
			}
			flush(w)
			var both sync.WaitGroup
			for range 4 {
				both.Go(func() {
					for range 100 {
						flush(w)
						io.WriteString(w, "x")
					}
				})
			}
			both.Wait()
		})})
		for range 10 {
			p := s.dial()
			p.send("GET /race HTTP/1.1\r\nHost: test\r\n\r\n")
			s.dial().get("/")
			p.Close()
		}
	})
}

// The context of a request is that of the listener; it has the server, and is
// cancelled when the handler returns or the client goes.
func TestRequestContext(t *testing.T) {
	type key struct{}
	eachEngine(t, func(t *testing.T, e engine) {
		contexts := make(chan context.Context, 1)
		errs := make(chan error, 1)
		srv := &Server{Handler: std(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/wait" {
				contexts <- r.Context()
				<-r.Context().Done()
				errs <- r.Context().Err()
				return
			}
			if err := r.Context().Err(); err != nil {
				t.Errorf("at the beginning: %v", err)
			}
			contexts <- r.Context()
		})}
		srv.BaseContext = func(net.Listener) context.Context { return context.WithValue(context.Background(), key{}, "base") }
		s := serve(t, e, srv)

		s.dial().get("/")
		ctx := expect(t, "the request", contexts)
		if ctx.Value(ServerContextKey) != srv || ctx.Value(key{}) != "base" {
			t.Errorf("values %v and %v", ctx.Value(ServerContextKey), ctx.Value(key{}))
		}
		expect(t, "the context being cancelled after the handler", ctx.Done())

		for _, end := range []struct {
			name string
			end  func(*peer)
		}{
			{"close", func(p *peer) { p.Close() }},
			{"reset", (*peer).reset},
			{"half-close", (*peer).halfClose},
			{"close behind another request", func(p *peer) {
				p.send("GET /wait HTTP/1.1\r\nHost: test\r\n\r\n")
				p.Close()
			}},
		} {
			p := s.dial()
			p.send("GET /wait HTTP/1.1\r\nHost: test\r\n\r\n")
			ctx := expect(t, "the request", contexts)
			if err := ctx.Err(); err != nil {
				t.Errorf("%s: cancelled before: %v", end.name, err)
			}
			end.end(p)
			if err := expect(t, "the context being cancelled on "+end.name, errs); err != context.Canceled {
				t.Errorf("%s: %v", end.name, err)
			}
			if end.name == "close behind another request" {
				expect(t, "the next request", contexts)
				if err := expect(t, "the context of the next request being cancelled", errs); err != context.Canceled {
					t.Errorf("%s: the next: %v", end.name, err)
				}
			}
		}
	})
}

// A handler that streams to a client which has gone is told so.
func TestWriteToGoneClient(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		began, result := make(chan bool, 1), make(chan error, 1)
		s := serve(t, e, &Server{Handler: std(func(w http.ResponseWriter, r *http.Request) {
			began <- true
			piece := []byte(pattern(64 << 10))
			for {
				if _, err := w.Write(piece); err != nil {
					result <- err
					return
				}
			}
		})})
		for _, end := range []func(*peer){func(p *peer) { p.Close() }, (*peer).reset} {
			p := s.dial()
			p.send(smallRequest)
			expect(t, "the handler", began)
			p.r.ReadByte()
			end(p)
			if err := expect(t, "Write failing", result); err == nil {
				t.Error("no error")
			}
		}
	})
}

// A slow client makes the handler that streams to it wait.
func TestStreamIsBounded(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		var written atomic.Int64
		const total = 24 << 20
		s := serve(t, e, &Server{Handler: std(func(w http.ResponseWriter, r *http.Request) {
			piece := []byte(pattern(64 << 10))
			for written.Load() < total {
				n, err := w.Write(piece)
				written.Add(int64(n))
				if err != nil {
					t.Errorf("Write: %v", err)
					return
				}
			}
		})})
		written.Store(0)
		p := connectPeer(t, s.network, s.addr, 16<<10)
		p.send(smallRequest)
		last := int64(-1)
		for now := written.Load(); now != last || now == 0; now = written.Load() {
			last = now
			time.Sleep(50 * time.Millisecond)
		}
		if last > total/2 {
			t.Errorf("%d bytes were written for a client that read none", last)
		}
		if a := p.answer("GET"); len(a.body) != total {
			t.Errorf("%d bytes arrived, want %d", len(a.body), total)
		}
	})
}
