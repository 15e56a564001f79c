package ringkit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"
)

// identity is a certificate of a server or client under test, and who trusts it.
type identity struct {
	cert tls.Certificate
	pool *x509.CertPool
}

// testIdentity returns one for 127.0.0.1 and example.com, which the default client
// trusts from then on.
var testIdentity = sync.OnceValue(func() identity {
	id := newIdentity("example.com", elliptic.P256())
	http.DefaultTransport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: id.pool}
	return id
})

func newIdentity(name string, curve elliptic.Curve) identity {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames:     []string{name},
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	id := identity{tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, x509.NewCertPool()}
	id.pool.AddCert(leaf)
	return id
}

// writeIdentity writes certificate and key to files, in PEM.
func writeIdentity(t testing.TB, id identity, cert, key string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(id.cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: id.cert.Certificate[0]},
		key:  {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// serverConfig is what servers under test use.
func serverConfig() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{testIdentity().cert}}
}

// secured makes a TLS connection of one to a server under test.
func secured(t testing.TB, c net.Conn) net.Conn {
	t.Helper()
	tc := tls.Client(c, &tls.Config{RootCAs: testIdentity().pool, ServerName: "example.com"})
	if err := tc.Handshake(); err != nil {
		c.Close()
		t.Fatalf("TLS handshake: %v", err)
	}
	return tc
}

// testTrust is what a client needs to trust servers under test.
func testTrust() *tls.Config { return &tls.Config{RootCAs: testIdentity().pool} }
