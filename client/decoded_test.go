package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"testing"
)

// coded starts a server that answers with text in the format its path names, in two
// pieces: the second one when there has been a request for /go, if the query asks so.
func coded(t *testing.T, text []byte) *httptest.Server {
	t.Helper()
	ready := make(chan bool)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, e := range encoders {
			if r.URL.Path != "/"+e.format {
				continue
			}
			w.Header().Set("Content-Encoding", e.coding)
			z := e.make(w)
			z.Write(text[:len(text)/2])
			if r.URL.RawQuery == "waits" {
				z.Flush()
				w.(http.Flusher).Flush()
				select {
				case <-ready:
				case <-r.Context().Done():
					return
				}
			}
			z.Write(text[len(text)/2:])
			z.Close()
			return
		}
		ready <- true
	}))
	t.Cleanup(srv.Close)
	return srv
}

func TestDecodedResponses(t *testing.T) {
	for _, n := range []int{100, 400_000} {
		text := prose(n)
		srv := coded(t, text)
		onEngines(t, func(t *testing.T, tr *Transport) {
			c := &Client{Transport: tr}
			for _, e := range encoders {
				resp, err := c.Do(newRequest(t, "GET", srv.URL+"/"+e.format, ""))
				if err != nil {
					t.Fatalf("%s: %v", e.format, err)
				}
				b, err := io.ReadAll(resp.Body)
				if err != nil || !bytes.Equal(b, text) {
					t.Errorf("%s: %d bytes, %v", e.format, len(b), err)
				}
				if !resp.Uncompressed || resp.Header.Get("Content-Encoding") != "" || resp.ContentLength != -1 {
					t.Errorf("%s: %v", e.format, resp)
				}
			}
		})
	}
}

// What the server has flushed is there before it sends more; so it is in a callback, and
// what that waits for is on its own loop. A callback wants 64 KiB before, so the text is
// one that does not compress.
func TestDecodedWhileItComes(t *testing.T) {
	text := make([]byte, 400_000)
	random := rand.NewChaCha8([32]byte{})
	random.Read(text) // does not fail
	srv := coded(t, text)
	onEngines(t, func(t *testing.T, tr *Transport) {
		c := &Client{Transport: tr}
		read := func(format string, resp *http.Response) {
			defer resp.Body.Close()
			if _, err := io.ReadFull(resp.Body, make([]byte, len(text)/2)); err != nil {
				t.Errorf("%s: the first half: %v", format, err)
				return
			}
			other, err := c.Get(context.Background(), srv.URL+"/go")
			if err != nil {
				t.Errorf("%s: %v", format, err)
				return
			}
			other.Body.Close()
			if b, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(b, text[len(text)/2:]) {
				t.Errorf("%s: the second half: %d bytes, %v", format, len(b), err)
			}
		}
		for _, e := range encoders {
			resp, err := c.Do(newRequest(t, "GET", srv.URL+"/"+e.format+"?waits", ""))
			if err != nil {
				t.Fatal(err)
			}
			read(e.format, resp)
			done := make(chan bool)
			c.Call(newRequest(t, "GET", srv.URL+"/"+e.format+"?waits", ""), func(resp *http.Response, err error) {
				defer close(done)
				if err != nil {
					t.Error(err)
					return
				}
				read(e.format, resp)
			})
			<-done
		}
	})
}

func TestDecodedLimit(t *testing.T) {
	srv := coded(t, make([]byte, 2<<20))
	onEngines(t, func(t *testing.T, tr *Transport) {
		tr.MaxBodyBytes = 1 << 20
		c := &Client{Transport: tr}
		for _, e := range encoders {
			resp, err := c.Do(newRequest(t, "GET", srv.URL+"/"+e.format, ""))
			if err != nil {
				t.Fatal(err)
			}
			n, err := io.Copy(io.Discard, resp.Body)
			if _, ok := errors.AsType[*BodyTooLargeError](err); !ok || n != 1<<20 {
				t.Errorf("%s: %d bytes, %v", e.format, n, err)
			}
			resp.Body.Close()
		}
	})
}
