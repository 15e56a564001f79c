package ringkit

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// hollow makes a file of n zero bytes that takes no space, be it on disk or in memory.
func hollow(t testing.TB, n int64) string {
	t.Helper()
	fd, err := unix.MemfdCreate("hollow", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Ftruncate(fd, n); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("/proc/self/fd/%d", fd)
}

// sends is a handler that serves a file, but for /fast.
func sends(name string) http.Handler {
	return std(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/fast" {
			io.WriteString(w, "fast")
			return
		}
		http.ServeFile(w, r, name)
	})
}

// discardFile reads an answer with a file of n bytes, with no memory for it. Each
// time so many bytes have been read it calls each.
func (p *peer) discardFile(n, step int64, each func()) {
	p.Helper()
	for length := int64(-1); ; {
		line, err := readLine(p.r)
		if err != nil {
			p.Fatal(err)
		}
		if line == "" {
			if length != n {
				p.Fatalf("Content-Length %d, want %d", length, n)
			}
			break
		}
		fmt.Sscanf(line, "Content-Length: %d", &length)
	}
	for n > 0 {
		m, err := p.r.Discard(int(min(n, step)))
		if n -= int64(m); err != nil {
			p.Fatalf("%d bytes before the end of the file: %v", n, err)
		}
		p.SetDeadline(time.Now().Add(patience))
		each()
	}
}

// none reports whether no handler runs any more.
func (s *site) none() bool { return s.Stats().Running == 0 }

// unread is a file that counts what is read of it.
type unread struct {
	*os.File
	n *atomic.Int64
}

func (u unread) Read(p []byte) (int, error) {
	n, err := u.File.Read(p)
	u.n.Add(int64(n))
	return n, err
}

// The content of a file whose length is declared does not pass through the process.
func TestFileIsNotRead(t *testing.T) {
	content := pattern(3_000_000)
	name := sourceFile(t, content)
	var read atomic.Int64
	for _, mode := range []Mode{Auto, Inline, Goroutine} {
		eachKind(t, func(t *testing.T, e engine) {
			s := serve(t, e, &Server{Mode: mode, Handler: std(func(w http.ResponseWriter, r *http.Request) {
				f, err := os.Open(name)
				if err != nil {
					t.Error(err)
					return
				}
				defer f.Close()
				w.Header().Set("Content-Type", "text/plain")
				w.Header().Set("Content-Length", fmt.Sprint(len(content)))
				if n, err := io.CopyN(w, unread{f, &read}, int64(len(content))); n != int64(len(content)) || err != nil {
					t.Errorf("CopyN = %d, %v", n, err)
				}
				if at, err := f.Seek(0, io.SeekCurrent); at != int64(len(content)) || err != nil {
					t.Errorf("the file is read from %d next, %v", at, err)
				}
			})})
			p := connectPeer(t, s.network, s.addr, 64<<10)
			for range 3 {
				p.send(smallRequest)
				p.expectAnswer(200, content)
			}
			if n := read.Swap(0); n != 0 {
				t.Errorf("mode %v: %d bytes were read", mode, n)
			}
		})
	}
}

// More than was declared is not sent.
func TestFileLongerThanDeclared(t *testing.T) {
	content := pattern(300_000)
	name := sourceFile(t, content)
	const declared = 200_000
	eachKind(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: std(func(w http.ResponseWriter, r *http.Request) {
			f, err := os.Open(name)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			w.Header().Set("Content-Length", fmt.Sprint(declared))
			if n, err := io.Copy(w, f); n != declared || err != http.ErrContentLength {
				t.Errorf("Copy = %d, %v; want %d, %v", n, err, declared, http.ErrContentLength)
			}
		})})
		p := s.dial()
		for range 2 {
			p.send(smallRequest)
			p.expectAnswer(200, content[:declared])
		}
	})
}

// A file of any length takes no memory.
func TestFileTakesNoMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("it sends gigabytes")
	}
	const size, most = 1 << 30, 4 << 20
	name := hollow(t, size)
	for _, mode := range []Mode{Auto, Goroutine} {
		eachKind(t, func(t *testing.T, e engine) {
			s := serve(t, e, &Server{Mode: mode, Handler: sends(name)})
			p := s.dial()
			p.get("/fast")
			p.send(ask("GET", "/", "Range: bytes=0-9999999"))
			p.discardFile(10_000_000, 1<<20, func() {})
			before := resident(t)
			p.send(ask("GET", "/"))
			peak := 0
			p.discardFile(size, 32<<20, func() { peak = max(peak, memoryOf(t)) })
			if !checksEnabled && peak > before+most {
				t.Errorf("mode %v: %d KiB resident before, up to %d KiB while the file was sent", mode, before>>10, peak>>10)
			}
			if !eventually(s.none) {
				t.Errorf("%d handlers are left", s.Stats().Running)
			}
		})
	}
}

// Clients that are slow to take a file, in any number, hold up nobody.
func TestSlowReadersOfFiles(t *testing.T) {
	const slow, size = 20, 32 << 20
	name := hollow(t, size)
	eachKind(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Loops: 1, Handler: sends(name)})
		peers := make([]*peer, slow)
		for i := range peers {
			peers[i] = connectPeer(t, s.network, s.addr, 64<<10)
			peers[i].send(ask("GET", "/"))
		}
		if !eventually(func() bool { return s.Stats().Running == slow }) {
			t.Fatalf("%d handlers wait for their clients, want %d", s.Stats().Running, slow)
		}
		fast := s.dial()
		start := time.Now()
		for range 100 {
			if a := fast.get("/fast"); a.body != "fast" {
				t.Fatalf("%d %q", a.status, a.body)
			}
		}
		if took := time.Since(start); took > 100*tick {
			t.Errorf("100 answers took %v beside slow readers", took)
		}
		if n := s.Stats().Running; n != slow {
			t.Errorf("%d handlers wait for their clients, want %d", n, slow)
		}
		for i, p := range peers {
			if i%2 == 0 {
				p.discardFile(size, 1<<20, func() {})
				if a := p.get("/fast"); a.body != "fast" {
					t.Errorf("after the file: %d %q", a.status, a.body)
				}
			} else {
				p.reset()
			}
		}
		if !eventually(s.none) {
			t.Errorf("%d handlers are left", s.Stats().Running)
		}
	})
}

// A client that takes none of a file for WriteTimeout is dropped. One that takes a
// little now and then is not.
func TestFileWriteTimeout(t *testing.T) {
	const size = 32 << 20
	name := hollow(t, size)
	eachKind(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Loops: 1, Handler: sends(name), WriteTimeout: 2 * tick})
		slow := connectPeer(t, s.network, s.addr, 64<<10)
		slow.send(ask("GET", "/"))
		dropped := connectPeer(t, s.network, s.addr, 64<<10)
		dropped.send(ask("GET", "/"))
		if !eventually(func() bool { return s.Stats().Running == 2 }) {
			t.Fatalf("%d handlers wait for their clients, want 2", s.Stats().Running)
		}
		slow.discardFile(size, size/8, func() { time.Sleep(tick / 2) })
		if !eventually(func() bool { return s.conns() == 1 && s.none() }) {
			t.Errorf("%d connections, %d handlers", s.conns(), s.Stats().Running)
		}
		if a, err := readAnswer(dropped.r, "GET"); a == nil || err == nil {
			t.Errorf("%v; want the beginning of an answer", err)
		}
		slow.get("/fast")
	})
}

// Shutdown waits until a file has been sent, Close does not.
func TestStopWhileFileIsSent(t *testing.T) {
	const size = 32 << 20
	name := hollow(t, size)
	for _, mode := range []Mode{Auto, Inline, Goroutine} {
		eachKind(t, func(t *testing.T, e engine) {
			s := serve(t, e, &Server{Mode: mode, Handler: sends(name)})
			p := connectPeer(t, s.network, s.addr, 64<<10)
			p.send(ask("GET", "/"))
			p.r.Peek(1)
			done := make(chan error, 1)
			go func() { done <- s.Shutdown(context.Background()) }()
			if !eventually(s.stopping.Load) {
				t.Fatal("no Shutdown")
			}
			p.discardFile(size, 1<<20, func() {})
			p.expectEnd()
			p.Close()
			if err := expect(t, "Shutdown", done); err != nil {
				t.Errorf("Shutdown: %v", err)
			}

			s = serve(t, e, &Server{Mode: mode, Handler: sends(name)})
			p = connectPeer(t, s.network, s.addr, 64<<10)
			p.send(ask("GET", "/"))
			p.r.Peek(1)
			within(t, "Close", func() {
				if err := s.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
			if !eventually(s.none) {
				t.Errorf("%d handlers are left", s.Stats().Running)
			}
			if rest := p.rest(); len(rest) >= size {
				t.Error("Close waited for the file")
			}
		})
	}
}

// A client that has ended its side, which ends every wait for the socket, and is slow
// keeps nobody busy.
func TestFileForHalfClosedClient(t *testing.T) {
	const size, wait = 32 << 20, 400 * time.Millisecond
	name := hollow(t, size)
	eachKind(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Loops: 1, Handler: sends(name)})
		p := connectPeer(t, s.network, s.addr, 64<<10)
		p.send(ask("GET", "/"))
		p.halfClose()
		p.r.Peek(1)
		time.Sleep(wait / 4)
		before := processorTime(t)
		time.Sleep(wait)
		if used := processorTime(t) - before; used > wait/4 {
			t.Errorf("%v of processor time in %v", used, wait)
		}
		p.discardFile(size, 1<<20, func() {})
		p.expectEnd()
	})
}

// processorTime returns what the process has used so far.
func processorTime(t testing.TB) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A file may be asked for while an answer before waits to be sent, and while a body
// arrives.
func TestFileWhileBodyArrives(t *testing.T) {
	content := pattern(2_000_000)
	name := sourceFile(t, content)
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: std(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "POST" {
				go io.Copy(io.Discard, r.Body)
			}
			http.ServeFile(w, r, name)
		})})
		for range 5 {
			p := connectPeer(t, s.network, s.addr, 64<<10)
			p.sendAside(ask("GET", "/", "Range: bytes=0-9") + ask("POST", "/", withLength(longBody)) + strings.Repeat("x", longBody))
			p.expectAnswer(206, content[:10])
			p.expectAnswer(200, content)
		}
	})
}

// A file goes through a unix socket as well.
func TestFileThroughUnixSocket(t *testing.T) {
	content := pattern(3_000_000)
	name := sourceFile(t, content)
	eachKind(t, func(t *testing.T, e engine) {
		path := filepath.Join(t.TempDir(), "socket")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		s := serve(t, e, &Server{Handler: sends(name)})
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		p := connectPeer(t, "unix", path, 0)
		for range 3 {
			p.send(ask("GET", "/"))
			p.expectAnswer(200, content)
		}
		p.Close()
		s.Close()
		expect(t, "Serve returning", served)
	})
}

// Clients that take parts of a file at the same time, each at its pace, get what they ask
// for; some go away in the middle.
func TestFilesAtTheSameTime(t *testing.T) {
	const clients, requests = 12, 25
	content := pattern(4_000_000)
	name := sourceFile(t, content)
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Loops: 2, Handler: sends(name)})
		var all sync.WaitGroup
		for i := range clients {
			all.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(i), 1))
				p := connectPeer(t, s.network, s.addr, 32<<10)
				for range requests {
					from := rng.IntN(len(content))
					to := from + rng.IntN(min(len(content)-from, 1<<(6+rng.IntN(16))))
					p.send(ask("GET", "/", fmt.Sprintf("Range: bytes=%d-%d", from, to)))
					switch rng.IntN(20) {
					case 0:
						p.r.Discard(rng.IntN(to - from + 1))
						p.reset()
						p = connectPeer(t, s.network, s.addr, 32<<10)
						continue
					case 1:
						time.Sleep(time.Duration(rng.IntN(5)) * time.Millisecond)
					}
					a, err := readAnswer(p.r, "GET")
					if err != nil || a.status != 206 || a.body != content[from:to+1] {
						t.Errorf("%d to %d: %+v, %v", from, to, a != nil, err)
						return
					}
				}
				p.Close()
			})
		}
		within(t, "all clients", all.Wait)
		if !eventually(func() bool { return s.none() && s.conns() == 0 }) {
			t.Errorf("%d handlers, %d connections", s.Stats().Running, s.conns())
		}
	})
}
