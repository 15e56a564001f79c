package consumers

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

func shop() http.Handler {
	mux := http.NewServeMux()
	says := func(pattern string, names ...string) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "[%s]", r.Pattern)
			for _, n := range names {
				fmt.Fprintf(w, " %s=%q", n, r.PathValue(n))
			}
		})
	}
	says("GET /{$}")
	says("GET /items/{id}", "id")
	says("GET /items/latest")
	says("POST /items/{id}", "id")
	says("DELETE /items/{id}", "id")
	says("/items/{id}/parts/{part}", "id", "part")
	says("GET /files/{path...}", "path")
	says("/tree/")
	says("admin.test/")
	mux.Handle("/api/", http.StripPrefix("/api", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "api %s %s", r.URL.Path, r.URL.RawQuery)
	})))
	mux.Handle("/old", http.RedirectHandler("/items/1?x=y", http.StatusFound))
	return mux
}

func TestServeMux(t *testing.T) {
	requests := []struct {
		method, target string
		status         int
		want           string // the body, or the Location or Allow that stands for it
	}{
		{"GET", "/", 200, "[GET /{$}]"},
		{"GET", "/items/7", 200, `[GET /items/{id}] id="7"`},
		{"GET", "/items/latest", 200, "[GET /items/latest]"},
		{"POST", "/items/7", 200, `[POST /items/{id}] id="7"`},
		{"DELETE", "/items/7", 200, `[DELETE /items/{id}] id="7"`},
		{"PUT", "/items/7", 405, "DELETE, GET, HEAD, POST"},
		{"BREW", "/items/7/parts/8", 200, `[/items/{id}/parts/{part}] id="7" part="8"`},
		{"GET", "/items/a%2Fb", 200, `[GET /items/{id}] id="a/b"`},
		{"GET", "/items/%C3%A4%20?q=1", 200, `[GET /items/{id}] id="ä "`},
		{"GET", "/files/a/b/c.txt", 200, `[GET /files/{path...}] path="a/b/c.txt"`},
		{"GET", "/files/", 200, `[GET /files/{path...}] path=""`},
		{"GET", "/tree", 307, "/tree/"},
		{"GET", "/tree/../items/3", 307, "/items/3"},
		{"GET", "//items///4", 307, "/items/4"},
		{"GET", "/tree/deep/er", 200, "[/tree/]"},
		{"GET", "/api/v1/x?a=b&c=%20", 200, "api /v1/x a=b&c=%20"},
		{"GET", "/old", 302, "/items/1?x=y"},
		{"GET", "/nothing", 404, "404 page not found\n"},
	}
	eachServer(t, func(t *testing.T, s server) {
		url := s.serve(t, shop()).url
		c := newClient(t)
		for _, r := range requests {
			a := c.do(r.method, url+r.target, nil)
			got := a.body
			if a.StatusCode/100 == 3 {
				got = a.Header.Get("Location")
			} else if a.StatusCode == http.StatusMethodNotAllowed {
				got = a.Header.Get("Allow")
			}
			if a.StatusCode != r.status || got != r.want {
				t.Errorf("%s %s: %d %q; want %d %q", r.method, r.target, a.StatusCode, got, r.status, r.want)
			}
		}
		c.get(url+"/anything", "Host", "admin.test").want(t, 200, "[admin.test/]")
		head := c.do("HEAD", url+"/items/7", nil)
		head.want(t, 200, "")
		if head.ContentLength != int64(len(`[GET /items/{id}] id="7"`)) {
			t.Errorf("HEAD: length %d", head.ContentLength)
		}
	})
}

// The forms of a target that only few handlers meet (RFC 9112, section 3.2).
func TestTargets(t *testing.T) {
	requests := []struct{ head, want string }{
		{"OPTIONS * HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n", ""}, // the server answers
		{"GET http://b.test/x?y HTTP/1.1\r\nHost: a.test\r\n", "GET [/x] b.test"},
		{"GET /x%2fy HTTP/1.1\r\nHost: a.test:81\r\n", "GET [/x/y] a.test:81"},
		{"CONNECT c.test:443 HTTP/1.1\r\nHost: c.test:443\r\n", "CONNECT [] c.test:443"},
	}
	eachServer(t, func(t *testing.T, s server) {
		srv := s.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "close")
			if r.Method == "CONNECT" {
				w.WriteHeader(http.StatusForbidden) // behind a 200 there would be a tunnel
			}
			fmt.Fprintf(w, "%s [%s] %s", r.Method, r.URL.Path, r.Host)
		}))
		for _, r := range requests {
			c := dialTCP(t, srv.addr)
			io.WriteString(c, r.head+"\r\n")
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatalf("%q: %v", r.head, err)
			}
			if p, err := io.ReadAll(resp.Body); err != nil || string(p) != r.want || !resp.Close {
				t.Errorf("%q: %s %q, %v, close %v; want %q", r.head, resp.Status, p, err, resp.Close, r.want)
			}
		}
	})
}

// What handlers find in a request beside its path.
func TestRequestContract(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		locals, ended := make(chan net.Addr, 1), make(chan struct{})
		srv := s.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
			locals <- local
			// Without it httputil.ReverseProxy lets an answer that broke off look complete.
			if server, ok := r.Context().Value(http.ServerContextKey).(*http.Server); !ok || server == nil {
				t.Errorf("http.ServerContextKey: %v", r.Context().Value(http.ServerContextKey))
			}
			if host, _, err := net.SplitHostPort(r.RemoteAddr); err != nil || host != "127.0.0.1" {
				t.Errorf("RemoteAddr %q: %v", r.RemoteAddr, err)
			}
			if cookie, err := r.Cookie("a"); err != nil || cookie.Value != "b" {
				t.Errorf("cookie %v, %v", cookie, err)
			}
			if user, password, ok := r.BasicAuth(); user != "me" || password != "secret" || !ok {
				t.Errorf("BasicAuth %q %q %v", user, password, ok)
			}
			if r.FormValue("q") != "1 2" || r.PostFormValue("p") != "3&4" {
				t.Errorf("form %v", r.Form)
			}
			if r.TLS != nil || r.Body == nil || r.ProtoMajor != 1 || r.ProtoMinor != 1 {
				t.Errorf("TLS %v, body %v, %s", r.TLS, r.Body, r.Proto)
			}
			http.SetCookie(w, &http.Cookie{Name: "one", Value: "1"})
			http.SetCookie(w, &http.Cookie{Name: "two", Value: "2"})
			go func() {
				<-r.Context().Done() // also when the handler has returned
				close(ended)
			}()
		}))
		a := newClient(t).do("POST", srv.url+"/?q=1+2", strings.NewReader("p=3%264"),
			"Content-Type", "application/x-www-form-urlencoded", "Cookie", "a=b", "Authorization", "Basic bWU6c2VjcmV0")
		a.want(t, 200, "")
		if cookies := a.Cookies(); len(cookies) != 2 || cookies[1].Value != "2" {
			t.Errorf("cookies %v", cookies)
		}
		if local := receive(t, locals); local == nil || local.String() != srv.addr {
			t.Errorf("http.LocalAddrContextKey: %v; want %s", local, srv.addr)
		}
		receive(t, ended)
	})
}
