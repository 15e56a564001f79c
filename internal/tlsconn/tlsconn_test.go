package tlsconn

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/ringkit/ringkit/internal/check"
)

var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

// end is the server's side of a connection, and the socket whose bytes it is given.
type end struct {
	*Conn
	*testing.T
	net    net.Conn
	pieces chan []byte // what was received, nil at the end
	hungry chan bool
	out    bytes.Buffer // sealed
}

// WriteWire implements Sink.
func (e *end) WriteWire(p []byte) { e.out.Write(p) }

// connect returns a client, whose handshake has not begun, and a server that is given
// the bytes in pieces.
func connect(t *testing.T, piece int, client *tls.Config) (*tls.Conn, *end) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{c, s} {
		c.SetDeadline(time.Now().Add(20 * time.Second))
		t.Cleanup(func() { c.Close() })
	}
	e := &end{T: t, net: s, pieces: make(chan []byte), hungry: make(chan bool, 10)}
	cfg := &tls.Config{Certificates: []tls.Certificate{certificate()}, MaxVersion: client.MaxVersion, ClientAuth: tls.RequestClientCert}
	e.Conn = Server(cfg, Line{
		Local: s.LocalAddr(), Remote: s.RemoteAddr(),
		Send:   func(p []byte) { s.Write(p) },
		Hungry: func() { e.hungry <- true },
	})
	go e.receive(s, piece)
	client.InsecureSkipVerify = true
	return tls.Client(c, client), e
}

func (e *end) receive(s net.Conn, piece int) {
	defer close(e.pieces)
	for {
		p := make([]byte, piece)
		n, err := s.Read(p)
		if err != nil {
			return
		}
		e.pieces <- p[:n]
	}
}

// handshake runs the handshake, and returns what arrived behind it.
func (e *end) handshake() (rest []byte, err error) {
	over := make(chan error, 1)
	go func() { over <- e.Handshake() }()
	for {
		select {
		case err := <-over:
			if err != nil {
				return nil, err
			}
			return e.Attach(e), nil
		case p := <-e.pieces:
			if p == nil {
				e.Ended(io.EOF)
				return nil, <-over
			}
			e.Arrived(p)
		}
	}
}

// open opens what was received.
func (e *end) open(wire []byte, size int) (plain []byte, err error) {
	e.Feed(wire)
	buf := make([]byte, size)
	for {
		n, err := e.Read(buf)
		plain = append(plain, buf[:n]...)
		if n == 0 || err != nil {
			return plain, err
		}
	}
}

var versions = map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13}

func eachVersion(t *testing.T, test func(t *testing.T, cfg *tls.Config)) {
	for name, v := range versions {
		t.Run(name, func(t *testing.T) { test(t, &tls.Config{MaxVersion: v}) })
	}
}

// However the bytes are split, and whatever the size of the buffer they are opened
// into, they come out as they went in, up to the end.
func TestSplitAnywhere(t *testing.T) {
	eachVersion(t, func(t *testing.T, cfg *tls.Config) {
		for _, piece := range []int{1, 2, 3, 7, 100, 1000, 20_000, 100_000} {
			t.Run(fmt.Sprint(piece), func(t *testing.T) {
				sent := make([]byte, min(40_000, 300*piece))
				rand.Read(sent)
				client, e := connect(t, piece, cfg.Clone())
				failed := make(chan error, 1)
				go func() {
					for p := sent; len(p) > 0; {
						n := min(len(p), 1+len(p)/3)
						client.Write(p[:n])
						p = p[n:]
					}
					client.CloseWrite()
					got, err := io.ReadAll(client)
					if err == nil && !bytes.Equal(got, sent) {
						err = fmt.Errorf("%d of %d bytes came back, or others", len(got), len(sent))
					}
					failed <- err
				}()
				wire, err := e.handshake()
				if err != nil {
					t.Fatal(err)
				}
				var got []byte
				for err == nil {
					var plain []byte
					plain, err = e.open(wire, 1+piece%17*1000)
					if got = append(got, plain...); err == nil {
						wire = <-e.pieces
					}
				}
				if err != io.EOF || !bytes.Equal(got, sent) {
					t.Fatalf("%d of %d bytes, or others; %v", len(got), len(sent), err)
				}
				e.Write(got)
				e.CloseWrite()
				e.net.Write(e.out.Bytes())
				if err := <-failed; err != nil {
					t.Error(err)
				}
			})
		}
	})
}

// Opening one record makes the tls.Conn allocate once, which is crypto/tls's own
// business; sealing does not allocate.
func TestAllocations(t *testing.T) {
	if check.Enabled {
		t.Skip("pools are not kept")
	}
	client, e := connect(t, 100_000, &tls.Config{})
	go client.Write([]byte("x"))
	rest, err := e.handshake()
	if err != nil {
		t.Fatal(err)
	}
	buf, plain := make([]byte, 16<<10), make([]byte, 200)
	next := func(wire []byte) {
		e.Feed(wire)
		for {
			n, err := e.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				break
			}
		}
		e.out.Reset()
		if _, err := e.Write(plain); err != nil {
			t.Fatal(err)
		}
	}
	if next(rest); len(rest) == 0 {
		next(<-e.pieces)
	}
	const runs = 100
	var records [][]byte
	for range runs + 1 {
		client.Write(plain)
		records = append(records, <-e.pieces)
	}
	n := testing.AllocsPerRun(runs, func() {
		next(records[0])
		records = records[1:]
	})
	if n > 1 {
		t.Errorf("%v allocations for opening a record and sealing another, want 1", n)
	}
}

// A handshake that cannot succeed says why, to the peer as well.
func TestHandshakeFails(t *testing.T) {
	client, e := connect(t, 100, &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}})
	told := make(chan error, 1)
	go func() { told <- client.Handshake() }()
	if _, err := e.handshake(); err == nil {
		t.Error("they agreed")
	}
	if err := <-told; err == nil {
		t.Error("the client was told nothing")
	}

	client, e = connect(t, 100, &tls.Config{})
	go client.NetConn().Write([]byte("GET / HTTP/1.1\r\n"))
	var header tls.RecordHeaderError
	if _, err := e.handshake(); !errors.As(err, &header) || string(header.RecordHeader[:]) != "GET /" {
		t.Errorf("without TLS: %v", err)
	}

	client, e = connect(t, 100, &tls.Config{})
	go func() {
		client.NetConn().Write([]byte{22, 3, 1, 0, 100, 1})
		client.NetConn().Close()
	}()
	if _, err := e.handshake(); !errors.Is(err, io.ErrUnexpectedEOF) && err != io.EOF {
		t.Errorf("at an early end: %v", err)
	}
}

// A handshake that waits is ended by Ended and by Close.
func TestHandshakeEnds(t *testing.T) {
	_, e := connect(t, 100, &tls.Config{})
	over := make(chan error)
	go func() { over <- e.Handshake() }()
	e.Ended(errMore)
	e.Ended(io.EOF) // the first reason counts
	if err := <-over; err != errMore {
		t.Errorf("ended with %v", err)
	}
	_, e = connect(t, 100, &tls.Config{})
	go func() { over <- e.Handshake() }()
	e.transport.Close()
	if err := <-over; !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// A handshake says when it wants more after it had too much.
func TestHungry(t *testing.T) {
	_, e := connect(t, 100, &tls.Config{})
	if e.Arrived(make([]byte, InputLimit)) {
		t.Error("full with what may wait")
	}
	if !e.Arrived([]byte{0}) {
		t.Error("not full with more than may wait")
	}
	h := e.transport.Conn.(*handshake)
	h.in[0], h.in[1], h.in[3], h.in[4] = typeHandshake, 3, 255, 255 // a record that is not complete
	go func() {
		buf := make([]byte, 1000)
		for {
			if _, err := h.Read(buf); err != nil {
				return
			}
		}
	}()
	<-e.hungry
	e.Arrived([]byte("more"))
	e.Ended(io.EOF)
	if len(e.hungry) > 0 {
		t.Error("hungry after little")
	}
}

func TestHasRecord(t *testing.T) {
	hello := []byte{typeHandshake, 3, 1, 1, 2}
	hello = append(hello, make([]byte, 0x102)...)
	for n := 1; n <= len(hello); n++ {
		e := newConn(Line{})
		e.Arrived(hello[:n])
		if got := e.HasRecord(); got != (n == len(hello)) {
			t.Fatalf("%v after %d of %d bytes", got, n, len(hello))
		}
	}
	e := newConn(Line{})
	e.Arrived([]byte("GET /"))
	if !e.HasRecord() {
		t.Error("what is no handshake is not looked at")
	}
}

// A first record that is split is the same to the handshake; what is not large, not
// whole or something else stays as it is.
func TestSplitRecord(t *testing.T) {
	for _, c := range []struct {
		in   []byte
		want []int // lengths of records
	}{
		{record(typeHandshake, splitFrom), []int{splitFrom / 2, splitFrom / 2}},
		{append(record(typeHandshake, splitFrom+1), record(typeHandshake, 2000)...), []int{splitFrom/2 + 1, splitFrom / 2, 2000}},
		{record(typeHandshake, splitFrom-1), []int{splitFrom - 1}},
		{record(23, 2000), []int{2000}},
		{record(typeHandshake, 2000)[:2004], nil},
		{[]byte{typeHandshake, 3, 1, 255}, nil},
	} {
		e := newConn(Line{})
		e.Arrived(c.in)
		e.SplitRecord()
		in := e.transport.Conn.(*handshake).in
		if c.want == nil {
			if !bytes.Equal(in, c.in) {
				t.Errorf("%d bytes were changed", len(c.in))
			}
			continue
		}
		var payload []byte
		for _, n := range c.want {
			if len(in) < 5+n || int(in[3])<<8+int(in[4]) != n || !bytes.Equal(in[:3], c.in[:3]) {
				t.Fatalf("%d bytes: no record of %d bytes", len(c.in), n)
			}
			payload, in = append(payload, in[5:5+n]...), in[5+n:]
		}
		var want []byte
		for rest := c.in; len(rest) > 0; {
			n := int(rest[3])<<8 | int(rest[4])
			want, rest = append(want, rest[5:5+n]...), rest[5+n:]
		}
		if len(in) > 0 || !bytes.Equal(payload, want) {
			t.Errorf("%d bytes became others", len(c.in))
		}
	}
}

func record(kind byte, n int) []byte {
	p := make([]byte, 5+n)
	rand.Read(p)
	p[0], p[1], p[2], p[3], p[4] = kind, 3, 1, byte(n>>8), byte(n)
	return p
}

// Released in the middle of a record, the connection goes on over its own socket.
func TestRelease(t *testing.T) {
	eachVersion(t, func(t *testing.T, cfg *tls.Config) {
		client, e := connect(t, 10, cfg)
		sent := bytes.Repeat([]byte("0123456789"), 100)
		answer, attached := make(chan string, 1), make(chan bool)
		go func() {
			client.Handshake()
			<-attached
			client.Write(sent)
			buf := make([]byte, 6)
			io.ReadFull(client, buf)
			answer <- string(buf)
			client.Close()
		}()
		wire, err := e.handshake()
		if err != nil {
			t.Fatal(err)
		}
		if plain, err := e.open(wire, 100); err != nil || len(plain) > 0 {
			t.Fatalf("%q, %v", plain, err)
		}
		close(attached)
		if plain, err := e.open(<-e.pieces, 100); err != nil || len(plain) > 0 {
			t.Fatalf("%q, %v", plain, err)
		}
		c := e.Release(&rejoined{e.net, e.pieces, nil})
		got := make([]byte, len(sent))
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%d bytes, or others; %v", len(got), err)
		}
		c.SetDeadline(time.Now().Add(10 * time.Second))
		c.Write([]byte("answer"))
		if got := <-answer; got != "answer" {
			t.Errorf("the client read %q", got)
		}
		if n, err := c.Read(got); n != 0 || err != io.EOF {
			t.Errorf("at the end: %d, %v", n, err)
		}
		if c.RemoteAddr() != e.net.RemoteAddr() {
			t.Errorf("from %v", c.RemoteAddr())
		}
	})
}

// rejoined reads what receive has read.
type rejoined struct {
	net.Conn
	pieces chan []byte
	rest   []byte
}

func (r *rejoined) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		if r.rest = <-r.pieces; r.rest == nil {
			return 0, io.EOF
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
