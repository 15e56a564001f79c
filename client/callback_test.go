package client

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// slowJar takes its time, longer than a loop waits.
type slowJar struct{}

func (slowJar) SetCookies(*url.URL, []*http.Cookie) { time.Sleep(10 * time.Millisecond) }
func (slowJar) Cookies(*url.URL) []*http.Cookie     { return nil }

// A loop whose lead was taken away while a jar was slow is touched no more by who comes
// back from it: the race detector would tell.
func TestGoWithASlowJar(t *testing.T) {
	srv, _ := origin(t, "http", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
	}))
	onEngines(t, func(t *testing.T, tr *Transport) {
		c := &Client{Transport: tr, Jar: slowJar{}}
		var all []*Future
		for range 20 {
			req, _ := http.NewRequest("GET", srv.URL, nil)
			all = append(all, c.Go(req))
		}
		for _, f := range all {
			if _, err := f.Wait(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}

// told is a body that tells when it is closed.
type told struct {
	io.Reader
	closed chan bool
}

func (c told) Close() error { close(c.closed); return nil }

// Credentials in a URL that cannot be sent are an error whichever way one asks, and end
// the body of the request like any other.
func TestBadUserInURL(t *testing.T) {
	onEngines(t, func(t *testing.T, tr *Transport) {
		c := &Client{Transport: tr}
		for name, ask := range map[string]func(*http.Request) error{
			"Do": func(req *http.Request) error { _, err := c.Do(req); return err },
			"Go": func(req *http.Request) error { _, err := c.Go(req).Wait(t.Context()); return err },
			"Call": func(req *http.Request) error {
				got := make(chan error)
				c.Call(req, func(_ *http.Response, err error) { got <- err })
				return <-got
			},
		} {
			body := told{strings.NewReader("body"), make(chan bool)}
			req, _ := http.NewRequest("POST", "http://us%3Aer:secret@127.0.0.1:1/", body)
			err := ask(req)
			var e *Error
			if !errors.As(err, &e) || e.Op != "request" || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: %v", name, err)
			}
			select {
			case <-body.closed:
			case <-time.After(patience):
				t.Errorf("%s: the body is open", name)
			}
		}
	})
}
