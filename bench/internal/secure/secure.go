// Package secure is the certificate of the servers in scenarios with TLS.
package secure

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/ringkit/ringkit/bench/internal/client"
)

// Files returns the names of the files with the certificate and its key in a directory.
func Files(dir string) (cert, key string) {
	return filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
}

// Write makes a certificate of the usual kind, ECDSA with P-256, in a directory. It is
// good for a day.
func Write(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("making a certificate: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return fmt.Errorf("making a certificate: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("making a certificate: %w", err)
	}
	certFile, keyFile := Files(dir)
	if err := os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600); err != nil {
		return fmt.Errorf("writing the certificate: %w", err)
	}
	if err := os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600); err != nil {
		return fmt.Errorf("writing the certificate's key: %w", err)
	}
	return nil
}

// Connection is a TLS connection to loopback with what a client needs, and no goroutine.
type Connection struct{ *tls.Conn }

const ioTimeout = 10 * time.Second

// Dial connects to a port of 127.0.0.1, whose certificate is not verified.
func Dial(port int) (Connection, error) {
	d := &net.Dialer{Timeout: ioTimeout}
	c, err := tls.DialWithDialer(d, "tcp", fmt.Sprintf("127.0.0.1:%d", port), &tls.Config{InsecureSkipVerify: true})
	return Connection{c}, err
}

// Exchange sends one request and reads its whole response, using scratch for it.
func (c Connection) Exchange(request, scratch []byte) error {
	c.SetDeadline(time.Now().Add(ioTimeout))
	if _, err := c.Write(request); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	for have := 0; ; {
		if have == len(scratch) {
			return fmt.Errorf("response of more than %d bytes", have)
		}
		n, err := c.Read(scratch[have:])
		have += n
		end, bad := client.ParseResponse(scratch[:have])
		switch {
		case bad != nil:
			return bad
		case end > 0 && end < have:
			return fmt.Errorf("%d bytes after the response", have-end)
		case end > 0:
			return nil
		case err == io.EOF:
			return io.ErrUnexpectedEOF
		case err != nil:
			return fmt.Errorf("read: %w", err)
		}
	}
}

// Probe does one exchange on a connection of its own.
func Probe(port int, route string) error {
	c, err := Dial(port)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Exchange(client.Request(route), make([]byte, 16<<10))
}
