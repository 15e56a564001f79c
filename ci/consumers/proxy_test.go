package consumers

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"strings"
	"testing"
	"time"
)

// backend is what the proxies of these tests stand before.
type backend struct {
	*http.ServeMux
	events *events
	left   chan struct{} // a handler's client is gone
}

func newBackend(t *testing.T) *backend {
	b := &backend{http.NewServeMux(), newEvents(t), make(chan struct{}, 10)}
	b.HandleFunc("/who", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s", r.Method, r.URL, r.Header.Get("X-Forwarded-For"))
	})
	b.HandleFunc("/echo", echoBody)
	b.HandleFunc("/large", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, pattern(3<<20)) })
	b.Handle("/events", b.events)
	b.HandleFunc("/unchanged", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		w.WriteHeader(http.StatusNotModified)
	})
	b.HandleFunc("/hints", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		io.WriteString(w, "hinted")
	})
	b.HandleFunc("/trailers", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		io.WriteString(w, "with trailers")
		w.Header().Set("X-Sum", "13")
		w.Header().Set(http.TrailerPrefix+"X-Late", "yes")
	})
	b.HandleFunc("/abort", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "half of ")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	b.HandleFunc("/wait", func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
		case <-time.After(2 * patience):
		}
		b.left <- struct{}{}
	})
	b.Handle("/gorilla", gorillaEcho(make(chan int, 100)))
	b.Handle("/coder", coderEcho(make(chan int, 100)))
	b.Handle("/wsock", wsockEcho(make(chan int, 100)))
	return b
}

// proxyTo is a reverse proxy as its documentation shows it.
func proxyTo(t *testing.T, to string) http.Handler {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.SetXForwarded()
		},
		Transport: transport,
		ErrorLog:  log.New(io.Discard, "", 0),
	}
}

// eachProxy runs a test with each server before net/http's, behind it, and both.
func eachProxy(t *testing.T, test func(t *testing.T, b *backend, proxy *running)) {
	eachServer(t, func(t *testing.T, s server) {
		places := []struct {
			name          string
			front, behind server
		}{{"in front", s, standard}, {"behind", standard, s}, {"both", s, s}}
		for _, p := range places {
			t.Run(p.name, func(t *testing.T) {
				b := newBackend(t)
				test(t, b, p.front.serve(t, proxyTo(t, p.behind.serve(t, b).url)))
			})
		}
	})
}

func TestReverseProxy(t *testing.T) {
	eachProxy(t, func(t *testing.T, _ *backend, proxy *running) {
		c := newClient(t)
		c.get(proxy.url+"/who?a=b%20c").want(t, 200, "GET /who?a=b%20c 127.0.0.1")
		c.do("DELETE", proxy.url+"/who", nil).want(t, 200, "DELETE /who 127.0.0.1")
		c.do("HEAD", proxy.url+"/who", nil).want(t, 200, "")
		c.get(proxy.url+"/large").want(t, 200, pattern(3<<20))
		c.get(proxy.url+"/none").want(t, 404, "404 page not found\n")
		unchanged := c.get(proxy.url + "/unchanged")
		unchanged.want(t, 304, "")
		unchanged.wantField(t, "ETag", `"1"`)
		for _, chunked := range []bool{false, true} {
			for _, n := range []int{0, 10, 70_000, 2 << 20} {
				c.do("POST", proxy.url+"/echo", upload(pattern(n), chunked), "Content-Type", "text/plain").want(t, 201, pattern(n))
			}
		}
		trailers := c.get(proxy.url + "/trailers")
		trailers.want(t, 200, "with trailers")
		if sum, late := trailers.Trailer.Get("X-Sum"), trailers.Trailer.Get("X-Late"); sum != "13" || late != "yes" {
			t.Errorf("trailers %v", trailers.Trailer)
		}
	})
}

func TestReverseProxyEarlyHints(t *testing.T) {
	eachProxy(t, func(t *testing.T, _ *backend, proxy *running) {
		var hints []string
		ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
				hints = append(hints, fmt.Sprint(code, " ", header.Get("Link")))
				return nil
			},
		})
		req, err := http.NewRequestWithContext(ctx, "GET", proxy.url+"/hints", nil)
		if err != nil {
			t.Fatal(err)
		}
		newClient(t).send(req).want(t, 200, "hinted")
		if got := strings.Join(hints, ","); got != "103 </style.css>; rel=preload" {
			t.Errorf("hints %q", got)
		}
	})
}

func TestReverseProxyEvents(t *testing.T) {
	eachProxy(t, func(t *testing.T, b *backend, proxy *running) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		br := bufio.NewReader(newClient(t).open(ctx, "GET", proxy.url+"/events", nil).Body)
		wantEvent(t, br, `: after ""`)
		for i := range 10 {
			b.events.send(fmt.Sprint("event ", i))
			wantEvent(t, br, fmt.Sprint("data: event ", i))
		}
		cancel()
		receive(t, b.events.ended)
	})
}

// An answer that the backend breaks off must not look complete behind the proxy.
func TestReverseProxyAbort(t *testing.T) {
	eachProxy(t, func(t *testing.T, _ *backend, proxy *running) {
		c := newClient(t)
		resp := c.open(context.Background(), "GET", proxy.url+"/abort", nil)
		if p, err := io.ReadAll(resp.Body); string(p) != "half of " || err == nil {
			t.Errorf("%q, %v; want half of the answer and an error", p, err)
		}
		c.get(proxy.url+"/who").want(t, 200, "GET /who 127.0.0.1")
	})
}

// The backend learns through the proxy that the client has left.
func TestReverseProxyClientLeaves(t *testing.T) {
	eachProxy(t, func(t *testing.T, b *backend, proxy *running) {
		c := newClient(t)
		for range 3 {
			ctx, cancel := context.WithCancel(context.Background())
			resp := c.open(ctx, "GET", proxy.url+"/wait", nil)
			cancel()
			resp.Body.Close()
			receive(t, b.left)
		}
		c.get(proxy.url+"/who").want(t, 200, "GET /who 127.0.0.1")
	})
}

func TestReverseProxyBadGateway(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		l := listen(t)
		l.Close() // nobody is there
		proxy := s.serve(t, proxyTo(t, "http://"+l.Addr().String()))
		c := newClient(t)
		for range 2 {
			c.get(proxy.url).want(t, http.StatusBadGateway, "")
			c.do("POST", proxy.url, strings.NewReader("body")).want(t, http.StatusBadGateway, "")
		}
	})
}

func TestReverseProxyWebSocket(t *testing.T) {
	eachProxy(t, func(t *testing.T, _ *backend, proxy *running) {
		for _, l := range libraries {
			for range 3 {
				c := dial(t, dialer, proxy.ws+"/"+l.name)
				for _, n := range []int{1, 126, 70_000, 1 << 20} {
					p := pattern(n)
					say(t, c, 2, p)
					hear(t, c, 2, p)
				}
				say(t, c, 1, askPing)
				hear(t, c, 1, "ponged")
				say(t, c, 1, askClose)
				wantClose(t, c, farewell)
			}
		}
	})
}
