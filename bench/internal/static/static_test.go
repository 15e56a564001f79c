package static

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

func TestServesWhatItWrites(t *testing.T) {
	dir := t.TempDir()
	if err := Write(dir); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(Handler(dir, http.NotFoundHandler()))
	defer server.Close()
	if err := Probe(server.URL + Path); err != nil {
		t.Error(err)
	}
	if err := Probe(server.URL + "/"); err == nil {
		t.Error("no file: no error")
	}
	if err := os.WriteFile(filepath.Join(dir, name), make([]byte, Size), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Probe(server.URL + Path); err == nil {
		t.Error("another file: no error")
	}
}
