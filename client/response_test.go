package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringkit/ringkit/http1"
)

// get sends a request without a body through a transport and reads its response.
func get(tr http.RoundTripper, method, url string) (*http.Response, string, error) {
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		return nil, "", err
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

// Responses as RFC 9112 has them: what is sent before the connection is closed, and what
// the client makes of it.
func TestResponses(t *testing.T) {
	long := strings.Repeat("x", 300_000)
	for _, test := range []struct {
		name, method, answer string
		status               int
		body                 string
	}{
		{"length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello"},
		{"no body", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, ""},
		{"until close", "GET", "HTTP/1.1 200 OK\r\n\r\nhello", 200, "hello"},
		{"long until close", "GET", "HTTP/1.0 200 OK\r\n\r\n" + long, 200, long},
		{"chunked", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n", 200, "hello"},
		{"no reason", "GET", "HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok", 200, "ok"},
		{"unknown status", "GET", "HTTP/1.1 299 Strange\r\nContent-Length: 2\r\n\r\nok", 299, "ok"},
		{"HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", 200, ""},
		{"204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, ""},
		{"304", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", 304, ""},
		{"after 100 and 103", "GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </s>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok"},
	} {
		for _, cut := range []string{"whole", "in bytes"} {
			if cut == "in bytes" && len(test.answer) > 1000 {
				continue
			}
			t.Run(test.name+"/"+cut, func(t *testing.T) {
				s := scripted(t, func(s *scene) {
					s.request()
					if cut == "whole" {
						s.say(test.answer)
						return
					}
					for i := range len(test.answer) {
						s.say(test.answer[i : i+1])
						time.Sleep(time.Millisecond / 4)
					}
				})
				onEngines(t, func(t *testing.T, tr *Transport) {
					resp, body, err := get(tr, test.method, s.url)
					if err != nil || resp.StatusCode != test.status || body != test.body {
						t.Errorf("%v, %.100q, %v; want %d, %.100q", resp, body, err, test.status, test.body)
					}
				})
			})
		}
	}
}

// Broken responses: each is an error that says what is wrong, and costs the connection.
func TestBrokenResponses(t *testing.T) {
	var (
		syntax     = func(err error) bool { var e *http1.Error; return errors.As(err, &e) }
		incomplete = func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }
		closed     = func(err error) bool { return errors.Is(err, ErrServerClosed) }
		tooLarge   = func(err error) bool { var e *BodyTooLargeError; return errors.As(err, &e) }
		coding     = func(err error) bool { var e *CodingError; return errors.As(err, &e) }
	)
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, test := range []struct {
		name, answer string
		is           func(error) bool
	}{
		{"nothing", "", closed},
		{"half a status line", "HTTP/1.", incomplete},
		{"half a head", ok + "Content-Length: 5\r\n", incomplete},
		{"half a body", ok + "Content-Length: 5\r\n\r\nhel", incomplete},
		{"half a chunk", ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhel", incomplete},
		{"no last chunk", ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", incomplete},
		{"half a trailer", ok + "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n", incomplete},
		{"only an interim response", "HTTP/1.1 103 Early Hints\r\n\r\n", incomplete},
		{"not HTTP", "SSH-2.0-OpenSSH_9.2p1\r\n", syntax},
		{"HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", syntax},
		{"two-digit status", "HTTP/1.1 20 OK\r\n\r\n", syntax},
		{"bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", syntax},
		{"folded field", ok + "A: b\r\n c\r\nContent-Length: 0\r\n\r\n", syntax},
		{"space before colon", ok + "Content-Length : 0\r\n\r\n", syntax},
		{"NUL in a value", ok + "A: \x00\r\n\r\n", syntax},
		{"both framings", ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", syntax},
		{"repeated length", ok + "Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", syntax},
		{"differing lengths", ok + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", syntax},
		{"signed length", ok + "Content-Length: +5\r\n\r\nhello", syntax},
		{"endless length", ok + "Content-Length: 99999999999999999999999\r\n\r\n", syntax},
		{"unknown transfer coding", ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", syntax},
		{"bad chunk size", ok + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", syntax},
		{"bad chunk end", ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nokXX", syntax},
		{"endless head", ok + "A: " + strings.Repeat("x", 70<<10), syntax},
		{"endless fields", ok + strings.Repeat("A: b\r\n", 10000), syntax},
		{"endless interim responses", strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 1000), syntax},
		{"unasked 101", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", func(err error) bool { return err != nil }},
		{"body beyond the limit", ok + "Content-Length: 1000001\r\n\r\n", tooLarge},
		{"chunks beyond the limit", ok + "Transfer-Encoding: chunked\r\n\r\nF4240\r\n" + strings.Repeat("x", 1000000) + "\r\n1\r\nx\r\n0\r\n\r\n", tooLarge},
		{"until close beyond the limit", ok + "\r\n" + strings.Repeat("x", 1000001), tooLarge},
		{"unknown content coding", ok + "Content-Encoding: compress\r\nContent-Length: 2\r\n\r\nok", coding},
		{"no gzip", ok + "Content-Encoding: gzip\r\nContent-Length: 12\r\n\r\nhello, world", coding},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := answers(t, test.answer)
			onEngines(t, func(t *testing.T, tr *Transport) {
				tr.MaxBodyBytes = 1_000_000
				_, _, err := get(tr, "POST", s.url+"/x")
				if err == nil || !test.is(err) {
					t.Errorf("%v", err)
				}
				var e *Error
				if !errors.As(err, &e) && !strings.Contains(err.Error(), "client: ") {
					t.Errorf("%T: %v", err, err)
				}
				if !strings.Contains(test.answer, "Encoding: compress") {
					expectConns(t, tr, 0)
				}
			})
		})
	}
}

// expectConns waits until a transport has so many connections.
func expectConns(t *testing.T, tr *Transport, n int) {
	t.Helper()
	end := time.Now().Add(5 * time.Second)
	for tr.Stats().Conns != n {
		if time.Now().After(end) {
			t.Fatalf("%+v, want %d connections", tr.Stats(), n)
		}
		time.Sleep(time.Millisecond)
	}
}

// expectQuiet waits until a transport has no request under way.
func expectQuiet(t *testing.T, tr *Transport) {
	t.Helper()
	end := time.Now().Add(5 * time.Second)
	for s := tr.Stats(); s.Conns != s.Idle || s.Queued != 0; s = tr.Stats() {
		if time.Now().After(end) {
			t.Fatalf("%+v", s)
		}
		time.Sleep(time.Millisecond)
	}
}

// What a server sends that was not asked for, at once or later, costs the connection and
// is nobody's response.
func TestUnaskedResponses(t *testing.T) {
	const good = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprint("late=", late), func(t *testing.T) {
			evil := strings.ReplaceAll(good, "good", "evil")
			s := scripted(t, func(s *scene) {
				s.request()
				if late {
					s.say(good)
					time.Sleep(20 * time.Millisecond)
					s.say(evil)
				} else {
					s.say(good + evil)
				}
				s.request()
			})
			onEngines(t, func(t *testing.T, tr *Transport) {
				for range 3 {
					_, body, err := get(tr, "GET", s.url)
					if body != "good" || err != nil {
						t.Errorf("%q, %v", body, err)
					}
					expectConns(t, tr, 0)
				}
			})
		})
	}
}

// A connection that does not persist is closed (RFC 9112, section 9.3), also if the server
// leaves it open; any other is used again.
func TestPersistence(t *testing.T) {
	for answer, keeps := range map[string]bool{
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n":                           true,
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n":      false,
		"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n":                           false,
		"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n": true,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n": true,
	} {
		s := scripted(t, func(s *scene) {
			for s.request() != nil {
				s.say(answer)
			}
		})
		onEngines(t, func(t *testing.T, tr *Transport) {
			for range 3 {
				if _, _, err := get(tr, "GET", s.url); err != nil {
					t.Fatal(err)
				}
			}
			expectQuiet(t, tr)
			st := tr.Stats()
			if keeps && (st.Dials != 1 || st.Idle != 1) || !keeps && (st.Dials != 3 || st.Conns != 0) {
				t.Errorf("%q: %+v", answer, st)
			}
		})
	}
}

// A server that closes an idle connection: the client notices at once.
func TestIdleConnectionIsWatched(t *testing.T) {
	s := answers(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	onEngines(t, func(t *testing.T, tr *Transport) {
		if _, _, err := get(tr, "POST", s.url); err != nil {
			t.Fatal(err)
		}
		expectConns(t, tr, 0)
	})
}

// A request on a connection that the server ends meanwhile is repeated once, if it may be
// (RFC 9110, section 9.2.2).
func TestRepeats(t *testing.T) {
	const good = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
	for _, test := range []struct {
		method, body string
		repeated     bool
	}{
		{"GET", "", true}, {"HEAD", "", true}, {"OPTIONS", "", true}, {"TRACE", "", true},
		{"PUT", "content", true}, {"DELETE", "", true},
		{"POST", "", false}, {"POST", "content", false}, {"PATCH", "content", false}, {"STRANGE", "", false},
	} {
		for _, how := range []string{"end", "reset", "part"} {
			t.Run(fmt.Sprintf("%s %q/%s", test.method, test.body, how), func(t *testing.T) {
				onEngines(t, func(t *testing.T, tr *Transport) {
					s := scripted(t, func(s *scene) {
						for s.request() != nil {
							if s.num == 0 && len(strings.Split(s.requests(), ",")) > 1 {
								switch how {
								case "reset":
									s.reset()
								case "part":
									s.say("H")
								}
								return
							}
							if strings.Contains(s.requests(), "HEAD") {
								s.say("HTTP/1.1 200 OK\r\n\r\n")
								continue
							}
							s.say(good)
						}
					})
					if _, _, err := get(tr, test.method, s.url+"/0"); err != nil {
						t.Fatal(err)
					}
					req, _ := http.NewRequest(test.method, s.url+"/1", strings.NewReader(test.body))
					resp, err := tr.RoundTrip(req)
					if err == nil {
						resp.Body.Close()
					}
					n := strings.Count(s.requests(), "/1")
					if want := test.repeated && how != "part"; want != (err == nil) || want != (n == 2) || n > 2 {
						t.Errorf("%v; requests: %s", err, s.requests())
					}
					if err != nil && how != "part" && !errors.Is(err, ErrServerClosed) {
						t.Errorf("%v does not match ErrServerClosed", err)
					}
				})
			})
		}
	}
}

// A server that ends every connection: a GET is sent twice, never more.
func TestRepeatsOnce(t *testing.T) {
	onEngines(t, func(t *testing.T, tr *Transport) {
		s := scripted(t, func(s *scene) {
			if s.request() == nil || s.num > 0 {
				return
			}
			s.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			s.request()
		})
		if _, _, err := get(tr, "GET", s.url+"/0"); err != nil {
			t.Fatal(err)
		}
		_, _, err := get(tr, "GET", s.url+"/1")
		var e *Error
		if !errors.Is(err, ErrServerClosed) || !errors.As(err, &e) || !e.Sent {
			t.Errorf("%v", err)
		}
		if n := strings.Count(s.requests(), "/1"); n != 2 {
			t.Errorf("sent %d times", n)
		}
	})
}

// Every wait has a limit.
func TestTimeouts(t *testing.T) {
	const limit = 100 * time.Millisecond
	silent := func(after string) func(*scene) {
		return func(s *scene) {
			s.request()
			s.say(after)
			s.r.ReadByte()
		}
	}
	for _, test := range []struct {
		name, answer string
		set          func(*Transport)
	}{
		{"head", "", func(tr *Transport) { tr.ResponseHeaderTimeout = limit }},
		{"part of a head", "HTTP/1.1 200", func(tr *Transport) { tr.ResponseHeaderTimeout = limit }},
		{"after 103", "HTTP/1.1 103 Early Hints\r\n\r\n", func(tr *Transport) { tr.ResponseHeaderTimeout = limit }},
		{"body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", func(tr *Transport) { tr.ReadTimeout = limit }},
		{"chunked body", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", func(tr *Transport) { tr.ReadTimeout = limit }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := scripted(t, silent(test.answer))
			onEngines(t, func(t *testing.T, tr *Transport) {
				test.set(tr)
				_, _, err := get(tr, "GET", s.url)
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%v", err)
				}
				expectConns(t, tr, 0)
			})
		})
	}
	t.Run("whole", func(t *testing.T) {
		for _, answer := range []string{"", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"} {
			s := scripted(t, silent(answer))
			onEngines(t, func(t *testing.T, tr *Transport) {
				c := &Client{Transport: tr, Timeout: limit}
				resp, err := c.Get(context.Background(), s.url)
				if err == nil {
					_, err = io.ReadAll(resp.Body)
				}
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%v", err)
				}
				expectConns(t, tr, 0)
			})
		}
	})
	t.Run("queue", func(t *testing.T) {
		s := scripted(t, silent(""))
		onEngines(t, func(t *testing.T, tr *Transport) {
			tr.MaxConnsPerHost, tr.QueueTimeout = 1, limit
			ctx, cancel := context.WithCancel(context.Background())
			req, _ := http.NewRequestWithContext(ctx, "GET", s.url, nil)
			first := (&Client{Transport: tr}).Go(req)
			expectConns(t, tr, 1)
			if _, _, err := get(tr, "GET", s.url); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%v", err)
			}
			cancel()
			if _, err := first.Wait(context.Background()); !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
		})
	})
}

// The context of a request ends it at any time.
func TestContext(t *testing.T) {
	for _, answer := range []string{"", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"} {
		s := scripted(t, func(s *scene) {
			s.request()
			s.say(answer)
			s.r.ReadByte()
		})
		onEngines(t, func(t *testing.T, tr *Transport) {
			cause := errors.New("enough")
			ctx, cancel := context.WithCancelCause(context.Background())
			time.AfterFunc(30*time.Millisecond, func() { cancel(cause) })
			req, _ := http.NewRequestWithContext(ctx, "GET", s.url, nil)
			resp, err := tr.RoundTrip(req)
			if err == nil {
				_, err = io.ReadAll(resp.Body)
			}
			if !errors.Is(err, cause) {
				t.Errorf("%v", err)
			}
			expectQuiet(t, tr)
			if _, err = tr.RoundTrip(req); !errors.Is(err, cause) {
				t.Errorf("%v", err)
			}
		})
	}
}

// A server that nobody listens for.
func TestRefused(t *testing.T) {
	s := answers(t)
	s.l.Close()
	onEngines(t, func(t *testing.T, tr *Transport) {
		_, _, err := get(tr, "GET", s.url)
		var e *Error
		if !errors.Is(err, syscall.ECONNREFUSED) || !errors.As(err, &e) || e.Op != "dial" || e.Sent {
			t.Errorf("%#v", err)
		}
	})
}

// A body that nobody reads stops the server, and not the client.
func TestSlowReader(t *testing.T) {
	piece := bytes.Repeat([]byte("x"), 64<<10)
	const pieces = 1000
	s := scripted(t, func(s *scene) {
		s.request()
		s.say(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", pieces*len(piece)))
		for range pieces {
			if _, err := s.Write(piece); err != nil {
				return
			}
		}
	})
	onEngines(t, func(t *testing.T, tr *Transport) {
		req, _ := http.NewRequest("GET", s.url, nil)
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
		b := resp.Body.(*body)
		b.mu.Lock()
		if n := len(b.buf) - b.at; n > 1<<20 {
			t.Errorf("%d bytes wait to be read", n)
		}
		b.mu.Unlock()
		n, err := io.Copy(io.Discard, resp.Body)
		if n != int64(pieces*len(piece)) || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	})
}

// Closing a body ends what is left of it: a short rest is read, a long one costs the
// connection.
func TestCloseOfABody(t *testing.T) {
	for _, test := range []struct{ length, conns int }{{10_000, 1}, {10_000_000, 0}} {
		s := scripted(t, func(s *scene) {
			for s.request() != nil {
				s.say(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nx", test.length))
				time.Sleep(10 * time.Millisecond)
				s.say(strings.Repeat("x", test.length-1))
			}
		})
		onEngines(t, func(t *testing.T, tr *Transport) {
			req, _ := http.NewRequest("GET", s.url, nil)
			resp, err := tr.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if _, err := resp.Body.Read(make([]byte, 1)); err != http.ErrBodyReadAfterClose {
				t.Errorf("%v", err)
			}
			expectConns(t, tr, test.conns)
			expectQuiet(t, tr)
		})
	}
}

// With Pipeline, requests are sent behind others that are idempotent, in order; a POST waits
// until the connection is its own.
func TestPipeline(t *testing.T) {
	for _, later := range []bool{false, true} { // than the connection is there
		t.Run(fmt.Sprint("later=", later), func(t *testing.T) { onEngines(t, func(t *testing.T, tr *Transport) { pipeline(t, tr, later) }) })
	}
}

func pipeline(t *testing.T, tr *Transport, later bool) {
	tr.Pipeline, tr.MaxConnsPerHost = 4, 1
	all := make(chan struct{})
	s := scripted(t, func(s *scene) {
		var paths []string
		for range 4 {
			paths = append(paths, s.request().URL.Path)
		}
		close(all) // four were sent before one was answered
		for {
			for _, path := range paths {
				s.say(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(path), path))
			}
			req := s.request()
			if req == nil {
				return
			}
			paths = []string{req.URL.Path}
		}
	})
	c := &Client{Transport: tr}
	var futures []*Future
	for i := range 6 {
		req, _ := http.NewRequest([]string{"GET", "POST"}[i/5], fmt.Sprint(s.url, "/", i), nil)
		futures = append(futures, c.Go(req))
		if i == 0 && later {
			for end := time.Now().Add(5 * time.Second); s.requests() == "" && time.Now().Before(end); {
				time.Sleep(time.Millisecond)
			}
		}
	}
	<-all
	for i, f := range futures {
		resp, err := f.Wait(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(resp.Body); string(b) != fmt.Sprint("/", i) {
			t.Errorf("%d: %q", i, b)
		}
	}
	if st := tr.Stats(); st.Dials != 1 || st.Requests != 6 {
		t.Errorf("%+v", st)
	}
}
