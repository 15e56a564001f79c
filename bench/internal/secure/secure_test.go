package secure

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/ringkit/ringkit/bench/internal/client"
)

func TestProbe(t *testing.T) {
	dir := t.TempDir()
	if err := Write(dir); err != nil {
		t.Fatal(err)
	}
	cert, key := Files(dir)
	if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", client.ContentType)
		if r.URL.Path == "/" {
			io.WriteString(w, "Hello, World!")
		} else {
			io.WriteString(w, "Goodbye, World!")
		}
	})}
	defer srv.Close()
	go srv.ServeTLS(l, cert, key)
	port := l.Addr().(*net.TCPAddr).Port
	if err := Probe(port, "/"); err != nil {
		t.Error(err)
	}
	if Probe(port, "/other") == nil {
		t.Error("another answer passes")
	}
}
