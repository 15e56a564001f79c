package ktls

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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

// watched is the server's transport.
type watched struct {
	net.Conn
	log     *KeyLog
	read    []byte
	watch   *Watch
	tamper  func(p []byte) []byte // what is told of what is written
	written []byte                // after the handshake
	over    bool
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if w.read = append(w.read, p[:n]...); w.watch == nil && len(w.read) > 100 {
		w.watch = w.log.Watch(w.read)
	}
	return n, err
}

func (w *watched) Write(p []byte) (int, error) {
	if w.over {
		w.written = append(w.written, p...)
	} else if w.watch != nil {
		w.watch.Wrote(w.tamper(slices.Clone(p)))
	}
	return w.Conn.Write(p)
}

// shake makes a handshake. What is sent afterwards is thrown away.
func shake(t *testing.T, server, client *tls.Config, tamper func([]byte) []byte) (*watched, *tls.Conn) {
	t.Helper()
	a, b, err := loopback()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	for _, c := range []net.Conn{a, b} {
		c.SetDeadline(time.Now().Add(30 * time.Second))
	}
	if tamper == nil {
		tamper = func(p []byte) []byte { return p }
	}
	w := &watched{Conn: a, log: server.KeyLogWriter.(*KeyLog), tamper: tamper}
	server.Certificates = []tls.Certificate{certificate()}
	client.InsecureSkipVerify, client.ServerName = true, "x"
	client.ClientSessionCache = tls.NewLRUClientSessionCache(1) // otherwise it gets no ticket
	go func() {
		c := tls.Client(b, client)
		defer b.Close()
		io.Copy(io.Discard, c)
	}()
	c := tls.Server(w, server)
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	w.over = true
	return w, c
}

// The keys and the number of the next record are found, with a ticket, with one sent late,
// and without.
func TestWatch(t *testing.T) {
	client := certificate()
	for _, c := range []struct {
		name   string
		server *tls.Config
		client *tls.Config
		seq    uint64
	}{
		{name: "ticket", seq: 1},
		{name: "no ticket", server: &tls.Config{SessionTicketsDisabled: true}},
		{name: "late ticket", server: &tls.Config{ClientAuth: tls.RequireAnyClientCert}, client: &tls.Config{Certificates: []tls.Certificate{client}}, seq: 1},
		{name: "HelloRetryRequest", server: &tls.Config{CurvePreferences: []tls.CurveID{tls.CurveP256}}, seq: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.server == nil {
				c.server = &tls.Config{}
			}
			if c.client == nil {
				c.client = &tls.Config{}
			}
			var log bytes.Buffer
			c.server.KeyLogWriter = NewKeyLog(&log)
			w, conn := shake(t, c.server, c.client, nil)
			s, err := w.watch.End(conn.ConnectionState())
			if err != nil {
				t.Fatal(err)
			}
			if s.keys.seq != c.seq {
				t.Errorf("next record is number %d, want %d", s.keys.seq, c.seq)
			}
			if strings.Count(log.String(), "\n") != 4 {
				t.Errorf("the user's log:\n%s", &log)
			}
			conn.Write([]byte("data"))
			conn.CloseWrite()
			rest := w.written
			for _, want := range []Record{{Kind: typeData, Content: []byte("data")}, {Kind: typeAlert, Content: []byte{1, 0}}} {
				var r Record
				if r, rest, err = s.Take(rest); err != nil || r.Kind != want.Kind || !bytes.Equal(r.Content, want.Content) {
					t.Errorf("%+v, %v, want %+v", r, err, want)
				}
			}
			if len(w.log.watches) != 0 {
				t.Error("the watch was not forgotten")
			}
		})
	}
}

// What is not as expected leaves a connection with crypto/tls.
func TestWatchRefuses(t *testing.T) {
	lastRecord := func(p []byte) (at int) {
		for rest := p; len(rest) > 0; {
			record, after, _ := splitRecord(rest)
			at = len(p) - len(rest)
			_, rest = record, after
		}
		return at
	}
	for _, c := range []struct {
		name   string
		max    uint16
		tamper func([]byte) []byte
		want   error
	}{
		{name: "TLS 1.2", max: tls.VersionTLS12, want: errSuite},
		{name: "a record more", tamper: func(p []byte) []byte { return append(p, p[lastRecord(p):]...) }, want: errRecord},
		{name: "another record", tamper: func(p []byte) []byte { p[len(p)-1] ^= 1; return p }, want: errRecord},
		{name: "half a record", tamper: func(p []byte) []byte { return p[:len(p)-1] }, want: errCut},
		{name: "none", tamper: func(p []byte) []byte { return nil }, want: errVersion},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, conn := shake(t, &tls.Config{KeyLogWriter: NewKeyLog(nil), MaxVersion: c.max}, &tls.Config{}, c.tamper)
			if _, err := w.watch.End(conn.ConnectionState()); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

// Secrets that belong to another connection are noticed, and two clients that say the
// same are not mixed up.
func TestWatchOfOthers(t *testing.T) {
	log := NewKeyLog(nil)
	hello := make([]byte, 100)
	hello[0], hello[header] = typeHandshake, 1
	w := log.Watch(hello)
	if w == nil || log.Watch(hello) != nil {
		t.Fatal("watched none, or both")
	}
	for _, line := range []string{"", "SERVER_TRAFFIC_SECRET_0 00 00\n", "SERVER_TRAFFIC_SECRET_0 " + strings.Repeat("0", 64) + " x\n"} {
		if n, err := log.Write([]byte(line)); n != len(line) || err != nil || w.trafficSecret != nil {
			t.Errorf("%q: %d, %v, %x", line, n, err, w.trafficSecret)
		}
	}
	log.Write([]byte("SERVER_TRAFFIC_SECRET_0 " + strings.Repeat("0", 64) + " " + strings.Repeat("ab", 32) + "\n"))
	if !bytes.Equal(w.trafficSecret, bytes.Repeat([]byte{0xab}, 32)) {
		t.Errorf("%x", w.trafficSecret)
	}
	w.Forget()
	if log.Watch(hello) == nil || log.Watch(hello[:40]) != nil {
		t.Error("forgotten, watched; or half a message was")
	}
}

// A socket that takes no ULP is left as it was.
func TestAttachFails(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fds[0]), "")
	defer f.Close()
	defer unix.Close(fds[1])
	k, _ := newKeys(suiteOf(tls.TLS_AES_128_GCM_SHA256), make([]byte, 32))
	if err := (&Sealer{keys: k}).Attach(fds[0]); err == nil {
		t.Fatal("a unix socket with kernel TLS")
	}
	f.WriteString("plain")
	got := make([]byte, 10)
	if n, err := unix.Read(fds[1], got); string(got[:max(n, 0)]) != "plain" {
		t.Errorf("%q, %v", got, err)
	}
}
