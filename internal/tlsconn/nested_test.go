package tlsconn

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// gathering is a connection whose writes wait for the next read, or for flush.
type gathering struct {
	net.Conn
	mu  sync.Mutex
	out []byte
}

// SetWriteDeadline does nothing: a tls.Conn sets one when it has ended its side.
func (g *gathering) SetWriteDeadline(time.Time) error { return nil }

func (g *gathering) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.out = append(g.out, p...)
	return len(p), nil
}

func (g *gathering) Read(p []byte) (int, error) {
	g.flush()
	return g.Conn.Read(p)
}

func (g *gathering) flush() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.Conn.Write(g.out)
	g.out = nil
}

// matryoshka is both ends of TLS within TLS: the client's has been attached.
type matryoshka struct {
	*Nested
	wire         net.Conn // of the client
	out          bytes.Buffer
	inner, outer *tls.Conn // the server's
	between      *gathering
}

// WriteWire implements Sink.
func (m *matryoshka) WriteWire(p []byte) { m.out.Write(p) }

// nest makes one. The server has said "hello" behind its handshake, within the same record
// of the outer connection if the version lets it.
func nest(t *testing.T, version uint16) *matryoshka {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	m := &matryoshka{Nested: &Nested{}}
	if m.wire, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{m.wire, s} {
		c.SetDeadline(time.Now().Add(20 * time.Second))
		t.Cleanup(func() { c.Close() })
	}
	server := &tls.Config{Certificates: []tls.Certificate{certificate()}, MaxVersion: version}
	m.outer = tls.Server(s, server)
	m.between = &gathering{Conn: m.outer}
	m.inner = tls.Server(m.between, server)
	ready := make(chan error, 1)
	go func() {
		err := m.inner.Handshake()
		if err == nil {
			_, err = m.inner.Write([]byte("hello"))
		}
		m.between.flush()
		ready <- err
	}()
	client := &tls.Config{InsecureSkipVerify: true}
	m.Outer = ClientOver(m.wire, client)
	if err := m.Outer.Handshake(); err != nil {
		t.Fatal(err)
	}
	m.Inner = ClientOver(m.Outer, client)
	if err := m.Inner.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	m.Attach(m)
	return m
}

// receive feeds what comes over the wire, in pieces, until want bytes were opened or
// there is an error.
func (m *matryoshka) receive(t *testing.T, piece, want int) (plain []byte, err error) {
	t.Helper()
	wire, buf := make([]byte, piece), make([]byte, 700)
	for len(plain) < want {
		n, readErr := m.wire.Read(wire)
		m.Feed(wire[:n])
		for {
			n, err := m.Read(buf)
			plain = append(plain, buf[:n]...)
			if err != nil {
				return plain, err
			}
			if n == 0 {
				break
			}
		}
		if readErr != nil {
			return plain, readErr
		}
	}
	return plain, nil
}

// However the bytes are split they come out as they went in, what was opened too early
// first, both ways, and up to either end.
func TestNested(t *testing.T) {
	eachVersion(t, func(t *testing.T, cfg *tls.Config) {
		for _, piece := range []int{1, 7, 1000, 100_000} {
			m := nest(t, cfg.MaxVersion)
			sent := make([]byte, min(100_000, 2000*piece))
			rand.Read(sent)
			go func() {
				m.inner.Write(sent)
				m.between.flush()
			}()
			got, err := m.receive(t, piece, len("hello")+len(sent))
			if err != nil || string(got[:5]) != "hello" || !bytes.Equal(got[5:], sent) {
				t.Fatalf("%d bytes, or others; %v", len(got), err)
			}
			if m.opened != nil {
				t.Error("keeps a buffer")
			}
			if _, err := m.Write(sent); err != nil {
				t.Fatal(err)
			}
			m.CloseWrite()
			go m.wire.Write(m.out.Bytes())
			if got, err := io.ReadAll(m.inner); err != nil || !bytes.Equal(got, sent) {
				t.Fatalf("the server read %d bytes, or others; %v", len(got), err)
			}
			if got, err := io.ReadAll(m.outer); err != nil || len(got) > 0 {
				t.Fatalf("behind it %d bytes, %v", len(got), err)
			}
			m.inner.CloseWrite()
			m.between.flush()
			if got, err := m.receive(t, piece, 1); err != io.EOF || len(got) > 0 || !m.CloseNotified() {
				t.Errorf("at the end %q, %v, notified %v", got, err, m.CloseNotified())
			}
		}
	})
}

// That the outer connection ends is no word of the inner one's, and what breaks it breaks
// both.
func TestNestedEnds(t *testing.T) {
	eachVersion(t, func(t *testing.T, cfg *tls.Config) {
		m := nest(t, cfg.MaxVersion)
		m.outer.CloseWrite()
		if got, err := m.receive(t, 1000, 100); err != io.EOF || string(got) != "hello" || m.CloseNotified() {
			t.Errorf("%q, %v, notified %v", got, err, m.CloseNotified())
		}
		m = nest(t, cfg.MaxVersion)
		m.outer.NetConn().Write([]byte("nonsense, and no record"))
		got, err := m.receive(t, 1000, 100)
		if err == nil || err == io.EOF || string(got) != "hello" {
			t.Errorf("%q, %v", got, err)
		}
		if _, err := m.Write([]byte("x")); err == nil {
			t.Error("writes on")
		}
	})
}

// Released, it goes on over its own socket, with what was opened and not read.
func TestNestedRelease(t *testing.T) {
	eachVersion(t, func(t *testing.T, cfg *tls.Config) {
		m := nest(t, cfg.MaxVersion)
		c := m.Release(m.wire)
		go func() {
			m.inner.Write([]byte(" again"))
			m.between.flush()
			io.Copy(m.inner, m.inner)
		}()
		got := make([]byte, len("hello again"))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello again" {
			t.Errorf("%q, %v", got, err)
		}
	})
}
