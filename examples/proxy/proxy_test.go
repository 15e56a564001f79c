package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringkit/ringkit"
	"github.com/ringkit/ringkit/uring"
)

const patience = 30 * time.Second

// front is a proxy under test.
type front struct {
	*testing.T
	*proxy
	srv  *ringkit.Server
	addr string
}

// eachEngine runs a test with a proxy in front of a server made by back, on each engine.
// What it has opened has to be closed in the end.
func eachEngine(t *testing.T, back func(t *testing.T) string, test func(f *front)) {
	for _, e := range []ringkit.Engine{ringkit.IOUring, ringkit.Epoll} {
		t.Run(e.String(), func(t *testing.T) {
			if err := uring.Probe().Err; e == ringkit.IOUring && err != nil {
				t.Skip(err)
			}
			expectNoLeaks(t)
			servers, err := parseServers(back(t))
			if err != nil {
				t.Fatal(err)
			}
			p := &proxy{servers: servers, timeout: patience, log: log.New(io.Discard, "", 0)}
			test(start(t, p, e))
		})
	}
}

// start runs a proxy until the test ends.
func start(t *testing.T, p *proxy, e ringkit.Engine) *front {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &front{T: t, proxy: p, srv: &ringkit.Server{Engine: e, Loops: 2, ErrorLog: log.New(testLog{t}, "", 0)}, addr: l.Addr().String()}
	p.serveOn(f.srv)
	served := make(chan error, 1)
	go func() { served <- f.srv.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := f.srv.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
			f.srv.Close()
		}
		if err := <-served; err != http.ErrServerClosed {
			t.Error(err)
		}
		p.close()
	})
	return f
}

// other returns another proxy in front of the same server.
func (f *front) other(change func(*proxy)) *front {
	p := &proxy{servers: f.servers, timeout: f.timeout, log: f.log}
	change(p)
	return start(f.T, p, f.srv.Engine)
}

// testLog has what the server complains of in the log of the test.
type testLog struct{ t *testing.T }

func (l testLog) Write(b []byte) (int, error) {
	if !strings.Contains(string(b), "engine ") {
		l.t.Errorf("the server says: %s", b)
	}
	return len(b), nil
}

// expectNoLeaks fails the test if goroutines or descriptors are left in the end.
func expectNoLeaks(t *testing.T) {
	count := func() (int, int) {
		fds, _ := filepath.Glob("/proc/self/fd/*")
		return runtime.NumGoroutine(), len(fds)
	}
	uring.Probe()
	listening, err := net.Listen("tcp", "127.0.0.1:0") // the runtime's own descriptors come with the first
	if err != nil {
		t.Fatal(err)
	}
	listening.Close()
	goroutines, fds := count()
	t.Cleanup(func() {
		for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			g, d := count()
			if g <= goroutines && d <= fds {
				return
			}
			runtime.GC() // the net package keeps pipes until then
			if time.Now().After(end) {
				buf := make([]byte, 1<<20)
				t.Errorf("%d goroutines and %d descriptors, %d and %d before\n%s", g, d, goroutines, fds, buf[:runtime.Stack(buf, true)])
				return
			}
		}
	})
}

// handled returns a server with a handler of net/http.
func handled(h http.HandlerFunc) func(*testing.T) string {
	return func(t *testing.T) string {
		s := httptest.NewUnstartedServer(h)
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.Start()
		t.Cleanup(s.Close)
		return s.URL
	}
}

// scripted returns a server that has play for each of its connections.
func scripted(play func(c net.Conn, r *bufio.Reader)) func(*testing.T) string {
	return func(t *testing.T) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		t.Cleanup(func() { l.Close(); wg.Wait() })
		wg.Go(func() {
			for c, err := l.Accept(); err == nil; c, err = l.Accept() {
				wg.Go(func() {
					defer c.Close()
					c.SetDeadline(time.Now().Add(patience))
					play(c, bufio.NewReader(c))
				})
			}
		})
		return "http://" + l.Addr().String()
	}
}

// says answers requests of all its connections with the same.
func says(answer string) func(*testing.T) string {
	return scripted(func(c net.Conn, r *bufio.Reader) {
		for _, err := http.ReadRequest(r); err == nil; _, err = http.ReadRequest(r) {
			io.WriteString(c, answer)
		}
	})
}

// peer is a client of the proxy.
type peer struct {
	*front
	net.Conn
	r *bufio.Reader
}

func (f *front) dial() *peer {
	f.Helper()
	c, err := net.Dial("tcp", f.addr)
	if err != nil {
		f.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	f.Cleanup(func() { c.Close() })
	return &peer{f, c, bufio.NewReader(c)}
}

func (p *peer) send(s string) {
	p.Helper()
	if _, err := io.WriteString(p.Conn, s); err != nil {
		p.Fatal(err)
	}
}

// response reads the head of a response.
func (p *peer) response(method string) *http.Response {
	p.Helper()
	resp, err := http.ReadResponse(p.r, &http.Request{Method: method})
	if err != nil {
		p.Fatalf("%v; the server: %+v; the transport: %+v", err, p.srv.Stats(), p.transport().Stats())
	}
	return resp
}

// expect reads a response with a body.
func (p *peer) expect(status int, body string) *http.Response {
	p.Helper()
	resp := p.response("GET")
	b, err := io.ReadAll(resp.Body)
	if resp.StatusCode != status || string(b) != body || err != nil {
		p.Fatalf("%d %q, %v; want %d %q", resp.StatusCode, b, err, status, body)
	}
	return resp
}

func wait(t *testing.T, what string, c <-chan bool) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("waited in vain for: %s", what)
	}
}

const get = "GET / HTTP/1.1\r\nHost: test\r\n\r\n"

// What a server gets to see of a request, and a client of a response: by the way of small
// bodies, and by that of streamed ones.
func TestFields(t *testing.T) {
	fields := "Host: test:81\r\nX-Some: a\r\nx-some: b\r\nX-Hop: c\r\nConnection: keep-alive, x-hop\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\n" +
		"Proxy-Authorization: Basic eDp5\r\nProxy-Connection: keep-alive\r\nVia: 1.0 other\r\nX-Forwarded-For: 9.9.9.9\r\nForwarded: for=9.9.9.9\r\nX-Forwarded-Proto: https\r\n"
	show := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Connection", "X-Reply-Hop")
		w.Header().Set("X-Reply-Hop", "1")
		w.Header().Set("Keep-Alive", "timeout=77")
		w.Header().Set("Via", "1.1 server")
		w.Header()["X-Twice"] = []string{"1", "2"}
		w.Header().Set("Content-Type", "text/x-test")
		w.WriteHeader(222)
		for _, name := range []string{"Connection", "Keep-Alive", "X-Hop", "Te", "Proxy-Authorization", "Proxy-Connection", "User-Agent", "Accept-Encoding"} {
			if v, ok := r.Header[name]; ok {
				fmt.Fprintf(w, "%s %q! ", name, v)
			}
		}
		fmt.Fprintf(w, "%s %s %s %q via %q for %q %q proto %q of %q, %d", r.Method, r.RequestURI, r.Host, r.Header["X-Some"], r.Header["Via"],
			r.Header["X-Forwarded-For"], r.Header["Forwarded"], r.Header["X-Forwarded-Proto"], r.Header["X-Forwarded-Host"], len(body))
	}
	eachEngine(t, handled(show), func(f *front) {
		want := `%s /a%%2Fb//c?d=e;f&%%zz test:81 ["a" "b"] via ["1.0 other, 1.1 ringkit-proxy"] for ["127.0.0.1"] ["for=127.0.0.1;host=\"test:81\";proto=http"] proto ["http"] of ["test:81"], %d`
		p := f.dial()
		for _, c := range []struct {
			method, more string
			body         int
		}{{"GET", "", 0}, {"POST", "Content-Length: 10\r\n", 10}, {"PUT", "Content-Length: 100000\r\n", 100000}} {
			p.send(c.method + " /a%2Fb//c?d=e;f&%zz HTTP/1.1\r\n" + fields + c.more + "\r\n" + strings.Repeat("x", c.body))
			resp := p.expect(222, fmt.Sprintf(want, c.method, c.body))
			h := resp.Header
			if h.Get("X-Reply-Hop") != "" || h.Get("Keep-Alive") != "" || fmt.Sprint(h["X-Twice"], h["Via"], h["Content-Type"]) != "[1 2] [1.1 server, 1.1 ringkit-proxy] [text/x-test]" {
				f.Errorf("%s: %v", c.method, h)
			}
		}
		p = f.other(func(p *proxy) { p.trusts, p.ownHost = true, true }).dial()
		p.send("GET // HTTP/1.1\r\n" + fields + "\r\n")
		p.expect(222, fmt.Sprintf(`GET // %s ["a" "b"] via ["1.0 other, 1.1 ringkit-proxy"] for ["9.9.9.9, 127.0.0.1"] ["for=9.9.9.9, for=127.0.0.1;host=\"test:81\";proto=http"] proto ["https"] of ["test:81"], 0`, f.servers[0].Host))
	})
}

// Answers of all shapes arrive as they are.
func TestShapes(t *testing.T) {
	head := "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
	for _, c := range []struct{ name, method, answer, want string }{
		{"length", "GET", head + "Content-Length: 2\r\n\r\nok", "200 2 [] ok map[]"},
		{"empty", "GET", head + "Content-Length: 0\r\n\r\n", "200 0 []  map[]"},
		{"no type", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", "200 6 [] <html> map[]"},
		{"chunks", "GET", head + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "200 2 [] ok map[]"},
		{"trailer", "GET", head + "Trailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n", "200 -1 [chunked] ok map[X-T:[1]]"},
		{"undeclared trailer", "GET", head + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n", "200 -1 [chunked] ok map[X-T:[1]]"},
		{"HEAD", "HEAD", head + "Content-Length: 77\r\n\r\n", "200 77 []  map[]"},
		{"304", "GET", "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n", "304 0 []  map[]"},
		{"204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", "204 0 []  map[]"},
		{"redirect", "GET", "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", "302 0 []  map[]"},
		{"103", "GET", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\n" + head + "Content-Length: 2\r\n\r\nok", "103 </a> 103 </b> 200 2 [] ok map[]"},
		{"no answer", "POST", "", "502 87 [] 502 Bad Gateway: the server behind this proxy gave no valid answer\n map[]"},
		{"nonsense", "GET", "nonsense\r\n\r\n", "502 87 [] 502 Bad Gateway: the server behind this proxy gave no valid answer\n map[]"},
		{"large", "GET", head + "Content-Length: 300000\r\n\r\n" + strings.Repeat("x", 300000), "200 300000 [] " + strings.Repeat("x", 300000) + " map[]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			back := says(c.answer)
			if c.answer == "" {
				back = scripted(func(_ net.Conn, r *bufio.Reader) { http.ReadRequest(r) })
			}
			eachEngine(t, back, func(f *front) {
				p := f.dial()
				for range 2 {
					p.send(c.method + " / HTTP/1.1\r\nHost: test\r\n\r\n")
					got := ""
					resp := p.response(c.method)
					for ; resp.StatusCode < 200; resp = p.response(c.method) {
						got += fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("Link"), " ")
					}
					b, err := io.ReadAll(resp.Body)
					got += fmt.Sprint(resp.StatusCode, " ", resp.ContentLength, " ", resp.TransferEncoding, " ", string(b), " ", resp.Trailer)
					want := strings.Replace(c.want, "502 87 ", fmt.Sprintf("502 %d ", len(b)), 1)
					if got != want || err != nil {
						f.Errorf("%.200q, %v\nwant %.200q", got, err, want)
					}
					if kind := resp.Header.Get("Content-Type"); c.name == "no type" && kind != "" {
						f.Errorf("the type %q was made up", kind)
					}
				}
			})
		})
	}
}

// A server that is not there is a 502, one that is silent a 504; one that breaks off in its
// body has its answer broken off.
func TestErrors(t *testing.T) {
	eachEngine(t, func(t *testing.T) string {
		l, _ := net.Listen("tcp", "127.0.0.1:0")
		defer l.Close()
		return "http://" + l.Addr().String()
	}, func(f *front) {
		p := f.dial()
		for _, body := range []string{"\r\n", "Content-Length: 70000\r\n\r\n" + strings.Repeat("x", 70000)} {
			p.send("POST / HTTP/1.1\r\nHost: test\r\n" + body)
			p.expect(502, "502 Bad Gateway: the server behind this proxy cannot be reached\n")
		}
	})
	eachEngine(t, scripted(func(c net.Conn, r *bufio.Reader) { io.Copy(io.Discard, r) }), func(f *front) {
		p := f.other(func(p *proxy) { p.timeout = 50 * time.Millisecond }).dial()
		p.send(get)
		p.expect(504, "504 Gateway Timeout: the server behind this proxy took too long\n")
		p.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 70000\r\n\r\n" + strings.Repeat("x", 70000))
		p.expect(504, "504 Gateway Timeout: the server behind this proxy took too long\n")
	})
	for _, framing := range []string{"Content-Length: 200000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n30d40\r\n"} {
		eachEngine(t, scripted(func(c net.Conn, r *bufio.Reader) {
			http.ReadRequest(r)
			io.WriteString(c, "HTTP/1.1 200 OK\r\n"+framing+strings.Repeat("x", 100000))
		}), func(f *front) {
			p := f.dial()
			p.send(get)
			if n, err := io.Copy(io.Discard, p.response("GET").Body); err == nil {
				f.Errorf("%d bytes look like the whole", n)
			}
		})
	}
}

// Requests go to the servers in turn.
func TestTurns(t *testing.T) {
	eachEngine(t, func(t *testing.T) string {
		var all []string
		for i := range 3 {
			all = append(all, says(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 1\r\n\r\n%d", i))(t))
		}
		return strings.Join(all, ",")
	}, func(f *front) {
		p := f.dial()
		for i := range 9 {
			p.send(get)
			p.expect(200, fmt.Sprint(i%3))
		}
	})
}

// A client that leaves ends its request at the server: while that has said nothing, and
// while it streams; and while the client still sends.
func TestClientLeaves(t *testing.T) {
	began, ended := make(chan bool, 1), make(chan bool, 1)
	eachEngine(t, handled(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stream" {
			http.NewResponseController(w).Flush()
		}
		if r.URL.Path == "/body" {
			r.Body.Read(make([]byte, 1))
		}
		began <- true
		if r.URL.Path == "/body" {
			io.Copy(io.Discard, r.Body)
		} else {
			<-r.Context().Done()
		}
		ended <- true
	}), func(f *front) {
		for _, how := range []string{"close", "reset"} {
			for _, request := range []string{"GET /silent HTTP/1.1\r\nHost: test\r\n\r\n", "GET /stream HTTP/1.1\r\nHost: test\r\n\r\n",
				"POST /body HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\nx"} {
				p := f.dial()
				p.send(request)
				wait(f.T, "the server", began)
				if strings.Contains(request, "stream") {
					p.response("GET")
				}
				if how == "reset" {
					p.Conn.(*net.TCPConn).SetLinger(0)
				}
				p.Close()
				wait(f.T, how+" of "+request, ended)
			}
		}
	})
}

// Bodies are passed on as they arrive, in both directions at once, with a trailer.
func TestStreams(t *testing.T) {
	eachEngine(t, handled(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		rc.EnableFullDuplex()
		w.Header().Set("Trailer", "X-Sum")
		rc.Flush()
		n, buf := 0, make([]byte, 100)
		for {
			m, err := r.Body.Read(buf)
			n += m
			w.Write(buf[:m])
			rc.Flush()
			if err != nil {
				break
			}
		}
		w.Header().Set("X-Sum", fmt.Sprint(n, r.Trailer))
	}), func(f *front) {
		p := f.dial()
		p.send("POST / HTTP/1.1\r\nHost: test\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n")
		resp := p.response("POST")
		got := make([]byte, 5)
		for i := range 20 {
			p.send(fmt.Sprintf("5\r\npart%c\r\n", 'a'+i))
			if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != fmt.Sprintf("part%c", 'a'+i) {
				f.Fatalf("%q, %v", got, err)
			}
		}
		p.send("0\r\nX-T: t\r\n\r\n")
		if b, err := io.ReadAll(resp.Body); len(b) > 0 || err != nil {
			f.Errorf("%q, %v", b, err)
		}
		if s := resp.Trailer.Get("X-Sum"); s != "100 map[X-T:[t]]" {
			f.Errorf("%q, %v", s, resp.Trailer)
		}
	})
}

// A side that does not read stops the one that sends: what is between them is little.
func TestBackPressure(t *testing.T) {
	const bound = 32 << 20 // socket buffers, mostly
	// fill writes until nothing is taken for a while, and returns how much was.
	fill := func(c net.Conn) (n int) {
		piece := make([]byte, 64<<10)
		for n < 2*bound {
			c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
			m, err := c.Write(piece)
			n += m
			if os.IsTimeout(err) {
				break
			}
			if err != nil {
				return n
			}
		}
		c.SetWriteDeadline(time.Now().Add(patience))
		return n
	}
	filled := make(chan int, 1)
	eachEngine(t, scripted(func(c net.Conn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		if req.Method == "POST" {
			n, _ := io.CopyN(io.Discard, req.Body, <-hold)
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: %d\r\n\r\n%d", len(fmt.Sprint(n)), n)
			return
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", 1<<40)
		filled <- fill(c)
	}), func(f *front) {
		p := f.dial()
		p.send(get)
		if n := <-filled; n >= bound {
			f.Errorf("the server could send %d bytes that nobody reads", n)
		}
		p.Close()

		p = f.dial()
		p.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n", 1<<40))
		n := fill(p.Conn)
		if n >= bound {
			f.Errorf("the client could send %d bytes that nobody reads", n)
		}
		hold <- int64(n)
		p.expect(200, fmt.Sprint(n))
		p.Close()
	})
}

var hold = make(chan int64, 1)

// A client that waits to be asked for its body is asked when the server does, and not when
// that does not want it.
func TestExpect(t *testing.T) {
	eachEngine(t, handled(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %q", b, r.Header["Expect"])
	}), func(f *front) {
		p := f.dial()
		p.send("PUT /yes HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
		if resp := p.response("PUT"); resp.StatusCode != 100 {
			f.Fatal(resp.Status)
		}
		p.send("body")
		p.expect(200, `body ["100-continue"]`)
		p = f.dial()
		p.send("PUT /no HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
		p.expect(403, "no\n")
	})
}

// An upgrade is a tunnel, in both directions, that may be idle; the end of one side is the
// end of both. A server that does not want to upgrade answers.
func TestUpgrade(t *testing.T) {
	eachEngine(t, scripted(func(c net.Conn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		if req.URL.Path == "/no" {
			io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nContent-Type: a/b\r\nContent-Length: 2\r\n\r\nno")
			return
		}
		fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\nSec-WebSocket-Accept: x\r\n\r\nfirst", req.Header.Get("Upgrade"))
		io.Copy(c, r)
	}), func(f *front) {
		f = f.other(func(p *proxy) { p.timeout = 50 * time.Millisecond }) // which is not for tunnels
		upgrade := "GET %s HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n"
		p := f.dial()
		p.send(fmt.Sprintf(upgrade, "/no"))
		p.expect(400, "no")
		p.send(fmt.Sprintf(upgrade, "/yes"))
		resp := p.response("GET")
		if resp.StatusCode != 101 || resp.Header.Get("Upgrade") != "websocket" || resp.Header.Get("Sec-Websocket-Accept") != "x" {
			f.Fatal(resp)
		}
		expect := func(want string) {
			f.Helper()
			got := make([]byte, len(want))
			if _, err := io.ReadFull(p.r, got); string(got) != want || err != nil {
				f.Fatalf("%.50q, %v; want %.50q", got, err, want)
			}
		}
		expect("first")
		time.Sleep(4 * f.timeout) // idle
		large := strings.Repeat("0123456789", 100000)
		go io.WriteString(p.Conn, large)
		expect(large)
		p.Conn.(*net.TCPConn).CloseWrite()
		if b, err := io.ReadAll(p.r); len(b) > 0 || err != nil {
			f.Errorf("%q, %v", b, err)
		}
	})
}

// A stop lets requests end that are under way.
func TestStop(t *testing.T) {
	asked, answer := make(chan bool, 1), make(chan bool)
	eachEngine(t, handled(func(w http.ResponseWriter, r *http.Request) {
		asked <- true
		<-answer
		io.WriteString(w, "answered")
	}), func(f *front) {
		p := f.dial()
		p.send(get)
		wait(f.T, "the server", asked)
		stopped := make(chan error, 1)
		go func() { stopped <- f.srv.Shutdown(context.Background()) }()
		for {
			c, err := net.Dial("tcp", f.addr)
			if err != nil {
				break // it has begun
			}
			c.Close()
		}
		answer <- true
		p.expect(200, "answered")
		p.Close()
		if err := <-stopped; err != nil {
			f.Error(err)
		}
	})
}

// The standard library's ReverseProxy works with the transport on a net/http server, too,
// as does the proxy where it is mounted in one.
func TestMounted(t *testing.T) {
	eachEngine(t, handled(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %d", r.Method, len(b))
	}), func(f *front) {
		for _, h := range []http.Handler{f.streams, f.srv.Handler} {
			front := httptest.NewServer(h)
			for _, n := range []int{0, 10, 100000} {
				resp, err := front.Client().Post(front.URL, "a/b", strings.NewReader(strings.Repeat("x", n)))
				if err != nil {
					f.Fatal(err)
				}
				b, err := io.ReadAll(resp.Body)
				if string(b) != fmt.Sprint("POST ", n) || err != nil {
					f.Errorf("%q, %v", b, err)
				}
				resp.Body.Close()
			}
			front.Close()
		}
	})
}
