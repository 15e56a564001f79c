package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ringkit/ringkit/client"
)

func serve(t *testing.T, most int64) (url string) {
	t.Helper()
	files, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { files.Close() })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := newServer(files, most)
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return "http://" + l.Addr().String()
}

func ask(t *testing.T, method, url string, body io.Reader, fields ...string) (*http.Response, []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, got
}

// watch returns what is told of files, once it is told of them at all.
func watch(t *testing.T, url string) <-chan state {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", url+"/progress", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req) // returns with the head, so the member has joined
	if err != nil {
		t.Fatal(err)
	}
	states := make(chan state, 1000)
	go func() {
		defer close(states)
		for event, err := range client.ReadEvents(resp) {
			var st state
			if err != nil || json.Unmarshal([]byte(event.Data), &st) != nil {
				return
			}
			states <- st
		}
	}()
	return states
}

// A file goes up slowly enough to be watched, and comes down whole and in parts.
func TestUpAndDown(t *testing.T) {
	url := serve(t, 10<<20)
	states := watch(t, url)
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	half := make(chan bool)
	body := io.MultiReader(bytes.NewReader(content[:len(content)/2]), &gate{half}, bytes.NewReader(content[len(content)/2:]))
	answered := make(chan int, 1)
	go func() {
		resp, _ := ask(t, "POST", url+"/files/a.bin", body)
		answered <- resp.StatusCode
	}()
	if st := <-states; st != (state{Name: "a.bin", Size: -1}) {
		t.Errorf("it begins with %+v", st)
	}
	close(half)
	var last state
	for st := range states {
		if st.Got < last.Got {
			t.Errorf("%d bytes after %d", st.Got, last.Got)
		}
		if last = st; st.Done || st.Lost {
			break
		}
	}
	if want := (state{Name: "a.bin", Got: int64(len(content)), Size: -1, Done: true}); last != want {
		t.Errorf("it ends with %+v", last)
	}
	if status := <-answered; status != http.StatusCreated {
		t.Errorf("status %d", status)
	}
	resp, got := ask(t, "GET", url+"/files/a.bin", nil)
	if resp.StatusCode != http.StatusOK || sha256.Sum256(got) != sha256.Sum256(content) {
		t.Errorf("%s with %d bytes", resp.Status, len(got))
	}
	resp, got = ask(t, "GET", url+"/files/a.bin", nil, "Range", "bytes=10-17")
	if resp.StatusCode != http.StatusPartialContent || string(got) != "abcdef01" {
		t.Errorf("%s: %q", resp.Status, got)
	}
}

// gate holds up who reads until it is opened.
type gate struct{ open <-chan bool }

func (g *gate) Read([]byte) (int, error) {
	<-g.open
	return 0, io.EOF
}

func TestRefused(t *testing.T) {
	url := serve(t, 1000)
	states := watch(t, url)
	for _, c := range []struct {
		method, path string
		body         io.Reader
		want         int
	}{
		{"POST", "/files/..%2Fa", strings.NewReader("x"), http.StatusBadRequest},
		{"POST", "/files/.part1", strings.NewReader("x"), http.StatusBadRequest},
		{"GET", "/files/none", nil, http.StatusNotFound},
		{"GET", "/files/..%2F..%2Fetc%2Fpasswd", nil, http.StatusNotFound},
		{"POST", "/files/long", strings.NewReader(strings.Repeat("x", 1001)), http.StatusRequestEntityTooLarge},
		{"POST", "/files/long", io.MultiReader(strings.NewReader(strings.Repeat("x", 100_000))), http.StatusRequestEntityTooLarge},
		{"GET", "/files/long", nil, http.StatusNotFound},
	} {
		if resp, got := ask(t, c.method, url+c.path, c.body); resp.StatusCode != c.want {
			t.Errorf("%s %s: %s %s", c.method, c.path, resp.Status, got)
		}
	}
	for st := range states {
		if st.Done {
			t.Errorf("%+v", st)
		}
		if st.Lost {
			break
		}
	}
}
