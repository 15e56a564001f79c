package ringkit

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// recordClient speaks TLS 1.3 record by record, once crypto/tls has made its handshake:
// crypto/tls asks nobody for new keys.
type recordClient struct {
	testing.TB
	net.Conn
	got     bytes.Buffer // received and not read
	in, out recordKeys
}

// tee keeps what is received during a handshake.
type tee struct {
	net.Conn
	got *bytes.Buffer
}

func (c tee) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.got.Write(p[:n])
	return n, err
}

// recordKeys are those of TLS_AES_128_GCM_SHA256 for one direction.
type recordKeys struct {
	secret []byte
	aead   cipher.AEAD
	iv     []byte
	seq    uint64
}

func (k *recordKeys) expand(label string, n int) []byte {
	info := fmt.Sprintf("%c%c%ctls13 %s\x00", 0, n, 6+len(label), label)
	b, err := hkdf.Expand(sha256.New, k.secret, info, n)
	if err != nil {
		panic(err)
	}
	return b
}

func (k *recordKeys) set(secret []byte) {
	k.secret, k.seq = secret, 0
	block, err := aes.NewCipher(k.expand("key", 16))
	if err != nil {
		panic(err)
	}
	k.aead, _ = cipher.NewGCM(block)
	k.iv = k.expand("iv", 12)
}

func (k *recordKeys) update() { k.set(k.expand("traffic upd", 32)) }

func (k *recordKeys) nonce() []byte {
	n := bytes.Clone(k.iv)
	binary.BigEndian.PutUint64(n[4:], binary.BigEndian.Uint64(n[4:])^k.seq)
	return n
}

func (s *site) dialRecords() *recordClient {
	s.Helper()
	raw, err := net.DialTimeout("tcp", s.addr, patience)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { raw.Close() })
	raw.SetDeadline(time.Now().Add(patience))
	c := &recordClient{TB: s.TB, Conn: raw}
	var log logBook
	trust := testTrust()
	trust.ServerName, trust.KeyLogWriter = "example.com", &log
	tc := tls.Client(tee{raw, &c.got}, trust)
	if err := tc.Handshake(); err != nil {
		s.Fatal(err)
	}
	if suite := tc.ConnectionState().CipherSuite; suite != tls.TLS_AES_128_GCM_SHA256 {
		s.Skipf("the processor is one for %s", tls.CipherSuiteName(suite))
	}
	for line := range strings.Lines(log.String()) {
		f := strings.Fields(line)
		secret, err := hex.DecodeString(f[2])
		if err != nil {
			s.Fatal(err)
		}
		switch f[0] {
		case "CLIENT_TRAFFIC_SECRET_0":
			c.out.set(secret)
		case "SERVER_TRAFFIC_SECRET_0":
			c.in.set(secret)
		}
	}
	// Of what came in the handshake only records behind it are left; the first is a ticket
	// if there is one, and can be opened.
	for c.got.Len() > 0 {
		n := 5 + int(binary.BigEndian.Uint16(c.got.Bytes()[3:]))
		record := c.got.Bytes()[:n]
		if _, err := c.in.aead.Open(nil, c.in.nonce(), record[5:], record[:5]); err == nil {
			break
		}
		c.got.Next(n)
	}
	return c
}

func (c *recordClient) send(kind byte, content []byte) {
	c.Helper()
	record := []byte{23, 3, 3, 0, 0}
	binary.BigEndian.PutUint16(record[3:], uint16(len(content)+1+16))
	record = c.out.aead.Seal(record, c.out.nonce(), append(bytes.Clone(content), kind), record)
	c.out.seq++
	if _, err := c.Write(record); err != nil {
		c.Fatal(err)
	}
}

// receive returns the next record.
func (c *recordClient) receive() (kind byte, content []byte) {
	c.Helper()
	r := io.MultiReader(&c.got, c.Conn)
	header := make([]byte, 5)
	if _, err := io.ReadFull(r, header); err != nil {
		c.Fatalf("a record: %v", err)
	}
	body := make([]byte, binary.BigEndian.Uint16(header[3:]))
	if _, err := io.ReadFull(r, body); err != nil {
		c.Fatalf("a record: %v", err)
	}
	plain, err := c.in.aead.Open(nil, c.in.nonce(), body, header)
	if err != nil {
		c.Fatalf("record %d of %d bytes cannot be opened", c.in.seq, len(body))
	}
	c.in.seq++
	last := len(plain) - 1
	return plain[last], plain[:last]
}

// answer reads data up to the end of an answer, and the updates of keys in between.
func (c *recordClient) answer(end string) (data []byte, updates int) {
	c.Helper()
	for !bytes.HasSuffix(data, []byte(end)) {
		switch kind, content := c.receive(); kind {
		case 23:
			data = append(data, content...)
		case 22:
			if content[0] != 24 {
				continue // a ticket
			}
			if !bytes.Equal(content, []byte{24, 0, 0, 1, 0}) {
				c.Fatalf("message %x", content)
			}
			c.in.update()
			updates++
		default:
			c.Fatalf("record of type %d: %x", kind, content)
		}
	}
	return data, updates
}

// requestUpdate asks for new keys, and has new ones (RFC 8446 section 4.6.3).
func (c *recordClient) requestUpdate() {
	c.send(22, []byte{24, 0, 0, 1, 1})
	c.out.update()
}

// Keys are changed as often as the client asks for that, between answers and in the middle
// of them, and the end is told with the last of them.
func TestSecureKeyUpdate(t *testing.T) {
	content := append(noise(8<<20), "the end"...)
	eachSecure(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/large" {
				w.Header().Set("Content-Length", fmt.Sprint(len(content)))
				w.Write(content)
				return
			}
			io.WriteString(w, "small, the end")
		})})
		c := s.dialRecords()
		ask := func(path, fields string) {
			c.send(23, []byte("GET "+path+" HTTP/1.1\r\nHost: x\r\n"+fields+"\r\n"))
		}
		for i := range 3 {
			c.requestUpdate()
			ask("/", "")
			if _, updates := c.answer("the end"); updates != 1 {
				t.Errorf("%d: %d updates, want 1", i, updates)
			}
		}
		ask("/large", "")
		for range 5 {
			time.Sleep(10 * time.Millisecond)
			c.requestUpdate()
		}
		data, updates := c.answer("the end")
		if !bytes.HasSuffix(data, content) {
			t.Errorf("%d bytes, or others", len(data))
		}
		ask("/", "Connection: close\r\n")
		_, more := c.answer("the end")
		if updates += more; updates != 5 {
			t.Errorf("%d updates, want 5", updates)
		}
		if kind, alert := c.receive(); kind != 21 || !bytes.Equal(alert, []byte{1, 0}) {
			t.Errorf("at the end: %d %x, want close_notify", kind, alert)
		}
		if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("behind it: %d, %v", n, err)
		}
	})
}

// Who asks for keys again and again, and reads no answer, is cut off.
func TestSecureKeyUpdateFlood(t *testing.T) {
	content := noise(8 << 20)
	eachSecure(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for {
				if _, err := w.Write(content); err != nil {
					return
				}
			}
		})})
		c := s.dialRecords()
		c.send(23, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
		flooded := make(chan bool)
		go func() {
			defer close(flooded)
			for {
				record := []byte{23, 3, 3, 0, 5 + 1 + 16}
				record = c.out.aead.Seal(record, c.out.nonce(), []byte{24, 0, 0, 1, 1, 22}, record)
				c.out.update()
				if _, err := c.Write(record); err != nil {
					return
				}
			}
		}()
		if !eventually(func() bool { return s.conns() == 0 }) {
			t.Errorf("%d connections are left", s.conns())
		}
		<-flooded
	})
}

// What crypto/tls says of an error arrives sealed as it should be.
func TestSecureAlert(t *testing.T) {
	eachSecure(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: HandlerFunc(helloNative)})
		c := s.dialRecords()
		c.send(23, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
		c.answer("Hello, World!")
		c.out.seq++ // so that the next record cannot be opened
		c.send(23, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
		if kind, alert := c.receive(); kind != 21 || !bytes.Equal(alert, []byte{2, 20}) {
			t.Errorf("%d %x, want the alert bad_record_mac", kind, alert)
		}
	})
}
