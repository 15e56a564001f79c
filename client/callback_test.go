package client

import (
	"net/http"
	"net/url"
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
