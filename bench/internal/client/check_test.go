package client

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/right":
			w.Header().Set("Content-Type", ContentType)
			io.WriteString(w, r.Method+" "+string(body))
		case "/type":
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, r.Method+" "+string(body))
		case "/status":
			w.WriteHeader(http.StatusAccepted)
		case "/more":
			io.WriteString(w, "POST xxx and more")
		}
	}))
	defer srv.Close()
	want := []byte("POST xxx")
	if err := Check("POST", srv.URL+"/right", 3, ContentType, want); err != nil {
		t.Error(err)
	}
	if err := Check("POST", srv.URL+"/type", 3, "", want); err != nil {
		t.Errorf("any type: %v", err)
	}
	for path, complaint := range map[string]string{"/type": "text/html", "/status": "202", "/more": "a body of 9 bytes", "/none": "a body of 0 bytes"} {
		if err := Check("POST", srv.URL+path, 3, "", want); path != "/type" && (err == nil || !strings.Contains(err.Error(), complaint)) {
			t.Errorf("%s: %v", path, err)
		}
		if err := Check("POST", srv.URL+path, 3, ContentType, want); err == nil {
			t.Errorf("%s: no error", path)
		}
	}
}
