package consumers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

const (
	switchRequest = "GET /switch HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n"
	switched      = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n"
)

// taking is a handler that hijacks its connection and hands it over.
func taking(t *testing.T, take func(net.Conn, *bufio.ReadWriter)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/switch" {
			io.WriteString(w, "plain")
			return
		}
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("Hijack: %v", err)
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Errorf("SetDeadline: %v", err)
		}
		io.WriteString(rw, switched)
		if err := rw.Flush(); err != nil {
			t.Errorf("Flush: %v", err)
		}
		take(c, rw)
	})
}

// talk sends a request and reads the head of the answer that a hijacker writes.
func talk(t *testing.T, c net.Conn, request string) *bufio.Reader {
	t.Helper()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(c)
	head := make([]byte, len(switched))
	if n, err := io.ReadFull(br, head); err != nil || string(head) != switched {
		t.Fatalf("%q, %v; want %q", head[:n], err, switched)
	}
	return br
}

func wantLine(t *testing.T, br *bufio.Reader, want string) {
	t.Helper()
	if line, err := br.ReadString('\n'); err != nil || line != want+"\n" {
		t.Fatalf("%q, %v; want %q", line, err, want)
	}
}

// shout answers each line in capitals, and the end with "END".
func shout(c net.Conn, rw *bufio.ReadWriter) {
	for {
		line, err := rw.ReadString('\n')
		if err != nil {
			fmt.Fprintf(rw, "END %v\n", err)
			rw.Flush()
			return
		}
		io.WriteString(rw, strings.ToUpper(line))
		if rw.Flush() != nil {
			return
		}
	}
}

func TestHijackConversation(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		c := dialTCP(t, s.serve(t, taking(t, shout)).addr)
		br := talk(t, c, switchRequest)
		for i := range 100 {
			fmt.Fprintf(c, "line %d\n", i)
			wantLine(t, br, fmt.Sprintf("LINE %d", i))
		}
		c.CloseWrite()
		wantLine(t, br, "END EOF")
		if _, err := br.ReadByte(); err != io.EOF {
			t.Errorf("%v behind the end", err)
		}
	})
}

// What came together with the request is the new protocol's.
func TestHijackEarlyData(t *testing.T) {
	early := pattern(20_000)
	eachServer(t, func(t *testing.T, s server) {
		addr := s.serve(t, taking(t, shout)).addr
		for _, request := range []string{switchRequest, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"} {
			c := dialTCP(t, addr)
			var br *bufio.Reader
			if request == switchRequest {
				br = talk(t, c, switchRequest+"first\n"+early+"\nlast\n")
			} else { // behind a request on the same connection
				io.WriteString(c, request)
				answers := bufio.NewReader(c)
				resp, err := http.ReadResponse(answers, nil)
				if err != nil {
					t.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body)
				br = talk(t, c, switchRequest+"first\n"+early+"\nlast\n")
			}
			wantLine(t, br, "FIRST")
			wantLine(t, br, strings.ToUpper(early))
			wantLine(t, br, "LAST")
			c.Close()
		}
	})
}

// A hijacker may take the body first.
func TestHijackAfterBody(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		srv := s.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil || string(body) != "hello" {
				t.Errorf("body %q, %v", body, err)
			}
			taking(t, shout).ServeHTTP(w, r)
		}))
		c := dialTCP(t, srv.addr)
		br := talk(t, c, "POST /switch HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhellofirst\n")
		wantLine(t, br, "FIRST")
		c.Close()
	})
}

// The connection is a net.Conn with all that belongs to one.
func TestHijackConn(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		addrs := make(chan [2]string, 1)
		srv := s.serve(t, taking(t, func(c net.Conn, rw *bufio.ReadWriter) {
			addrs <- [2]string{c.LocalAddr().String(), c.RemoteAddr().String()}
			wantTimeout(t, c)
			// A deadline that is moved wakes who reads.
			c.SetReadDeadline(time.Time{})
			time.AfterFunc(20*time.Millisecond, func() { c.SetReadDeadline(time.Now()) })
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("read with a moved deadline: %v", err)
			}
			c.SetReadDeadline(time.Now().Add(patience))
			if line, err := rw.ReadString('\n'); err != nil || line != "still there\n" {
				t.Errorf("%q, %v", line, err)
			}
			io.WriteString(c, "so am I\n")
			// So does Close.
			c.SetReadDeadline(time.Time{})
			time.AfterFunc(20*time.Millisecond, func() { c.Close() })
			io.Copy(io.Discard, c)
			if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
				t.Errorf("write to a closed connection: %v", err)
			}
		}))
		c := dialTCP(t, srv.addr)
		br := talk(t, c, switchRequest)
		got := receive(t, addrs)
		if want := [2]string{c.RemoteAddr().String(), c.LocalAddr().String()}; got != want {
			t.Errorf("addresses %v; want %v", got, want)
		}
		time.Sleep(100 * time.Millisecond)
		fmt.Fprint(c, "still there\n")
		wantLine(t, br, "so am I")
		if _, err := br.ReadByte(); err != io.EOF {
			t.Errorf("%v behind the end", err)
		}
	})
}

func wantTimeout(t *testing.T, c net.Conn) {
	c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	_, err := c.Read(make([]byte, 1))
	if timeout := net.Error(nil); !errors.As(err, &timeout) || !timeout.Timeout() || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read behind the deadline: %v", err)
	}
}

// Megabytes in both directions at once, from goroutines that outlive the handler.
func TestHijackOutlivesHandler(t *testing.T) {
	data := pattern(8 << 20)
	eachServer(t, func(t *testing.T, s server) {
		srv := s.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Errorf("Hijack: %v", err)
				return
			}
			c.SetDeadline(time.Now().Add(patience))
			go func() {
				defer c.Close()
				io.WriteString(c, switched)
				io.Copy(c, rw)
			}()
		}))
		c := dialTCP(t, srv.addr)
		br := talk(t, c, switchRequest)
		go func() {
			io.WriteString(c, data)
			c.CloseWrite()
		}()
		if got, err := io.ReadAll(br); err != nil || string(got) != data {
			t.Errorf("%d bytes came back, %v; want %d", len(got), err, len(data))
		}
	})
}

// Shutdown neither waits for hijacked connections nor ends them (net/http's
// documentation of Server.Shutdown).
func TestHijackShutdown(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		srv := s.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Errorf("Hijack: %v", err)
				return
			}
			c.SetDeadline(time.Now().Add(patience))
			go func() {
				defer c.Close()
				io.WriteString(c, switched)
				shout(c, rw)
			}()
		}))
		c := dialTCP(t, srv.addr)
		br := talk(t, c, switchRequest)
		ctx, cancel := context.WithTimeout(context.Background(), patience/2)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		fmt.Fprint(c, "hello\n")
		wantLine(t, br, "HELLO")
		c.Close()
	})
}

// Behind Hijack the ResponseWriter is of no use any more, and says so.
func TestHijackedResponseWriter(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		srv := s.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			hijacker, ok := w.(http.Hijacker)
			if !ok {
				t.Errorf("%T is no http.Hijacker", w)
				return
			}
			c, rw, err := hijacker.Hijack()
			if err != nil {
				t.Errorf("Hijack: %v", err)
				return
			}
			defer c.Close()
			if n, err := w.Write([]byte("x")); n != 0 || !errors.Is(err, http.ErrHijacked) {
				t.Errorf("Write behind Hijack: %d, %v", n, err)
			}
			if _, _, err := hijacker.Hijack(); !errors.Is(err, http.ErrHijacked) {
				t.Errorf("Hijack behind Hijack: %v", err)
			}
			w.WriteHeader(404)
			io.WriteString(rw, switched+"bye\n")
			rw.Flush()
		}))
		c := dialTCP(t, srv.addr)
		br := talk(t, c, switchRequest)
		wantLine(t, br, "bye")
		if _, err := br.ReadByte(); err != io.EOF {
			t.Errorf("%v behind the end", err)
		}
	})
}

// The old way to write an answer by hand: without an upgrade.
func TestHijackOwnAnswer(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		srv := s.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Errorf("Hijack: %v", err)
				return
			}
			defer c.Close()
			io.WriteString(rw, "HTTP/1.1 299 By Hand\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
			rw.Flush()
		}))
		newClient(t).get(srv.url).want(t, 299, "ok")
	})
}

// A proxy for tunnels answers CONNECT and passes on what comes, in both directions.
func TestHijackTunnel(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		behind := s.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "behind the tunnel: "+r.URL.Path)
		}))
		proxy := s.serve(t, http.HandlerFunc(tunnel))
		c := dialTCP(t, proxy.addr)
		br := bufio.NewReader(c)
		fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %[1]s\r\n\r\n", behind.addr)
		resp, err := http.ReadResponse(br, &http.Request{Method: "CONNECT"})
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("CONNECT: %+v, %v", resp, err)
		}
		for i := range 3 {
			fmt.Fprintf(c, "GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i)
			resp, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatal(err)
			}
			if p, err := io.ReadAll(resp.Body); err != nil || string(p) != fmt.Sprintf("behind the tunnel: /%d", i) {
				t.Fatalf("%q, %v", p, err)
			}
		}
		c.Close()
	})
}

func tunnel(w http.ResponseWriter, r *http.Request) {
	to, err := net.DialTimeout("tcp", r.Host, patience)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer to.Close()
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer c.Close()
	io.WriteString(c, "HTTP/1.1 200 Connection Established\r\n\r\n")
	go func() {
		io.Copy(to, rw)
		to.Close()
	}()
	io.Copy(c, to)
}
