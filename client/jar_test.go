package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"testing"
)

// A jar's cookies are for the request it is asked for: on the way they change, and none is
// sent twice.
func TestJarOnTheWay(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/set":
			http.SetCookie(w, &http.Cookie{Name: "a", Value: "1", Path: "/"})
			http.SetCookie(w, &http.Cookie{Name: "b", Value: "2", Path: "/one"})
		case "/one":
			http.SetCookie(w, &http.Cookie{Name: "a", Value: "3", Path: "/"})
			http.Redirect(w, r, "/two", http.StatusFound)
		case "/two":
			fmt.Fprint(w, r.Header["Cookie"])
		}
	}))
	defer srv.Close()
	onEngines(t, func(t *testing.T, tr *Transport) {
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		c := &Client{Transport: tr, Jar: jar}
		for _, step := range []struct{ path, want string }{{"/set", ""}, {"/one", "[own=x; a=3]"}} {
			req, err := http.NewRequestWithContext(context.Background(), "GET", srv.URL+step.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Cookie", "own=x")
			resp, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			if err != nil || string(b) != step.want {
				t.Errorf("%s: cookies %s, %v; want %s", step.path, b, err, step.want)
			}
		}
	})
}
