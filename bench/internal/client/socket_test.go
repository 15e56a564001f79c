package client

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestProbe(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", ContentType)
		if r.URL.Path == "/hello" {
			w.Write([]byte(Body))
		}
	}))
	defer server.Close()
	port := server.Listener.Addr().(*net.TCPAddr).Port

	if err := Probe(port, "/hello"); err != nil {
		t.Error(err)
	}
	if err := Probe(port, "/other"); err == nil {
		t.Error("an empty response: no error")
	}
	server.Close()
	if err := Probe(port, "/hello"); err == nil {
		t.Error("nobody listens: no error")
	}
}
