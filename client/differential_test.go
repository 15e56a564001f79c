package client

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// sameServer answers in all the ways programs do.
func sameServer() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprintf(w, "%s %s %s\nhost %s\nlength %d %v\nclose %v\n", r.Method, r.RequestURI, r.Proto, r.Host, r.ContentLength, r.TransferEncoding, r.Close)
		for _, name := range names(r.Header) {
			if name != "User-Agent" && name != "Accept-Encoding" {
				fmt.Fprintf(w, "%s: %q\n", name, r.Header[name])
			}
		}
		fmt.Fprintf(w, "trailer %v\nbody %d %q %v\n", r.Trailer, len(body), body[:min(len(body), 50)], err)
	})
	mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		var code int
		fmt.Sscan(r.PathValue("code"), &code)
		w.WriteHeader(code)
	})
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		for range 10 {
			io.WriteString(w, strings.Repeat("stream", 1000))
			w.(http.Flusher).Flush()
		}
	})
	mux.HandleFunc("/trailer", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Announced")
		io.WriteString(w, "body")
		w.Header().Set("X-Announced", "yes")
		w.Header().Set(http.TrailerPrefix+"X-Other", "too")
	})
	mux.HandleFunc("/gzip", func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			io.WriteString(w, "plain")
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		io.WriteString(z, strings.Repeat("zipped ", 10000))
		z.Close()
	})
	mux.HandleFunc("/early", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusForbidden) })
	mux.HandleFunc("/hints", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>")
		w.WriteHeader(http.StatusEarlyHints)
		io.WriteString(w, "after hints")
	})
	mux.HandleFunc("/close", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		io.WriteString(w, "bye")
	})
	mux.HandleFunc("/abort", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "part")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/cookies", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "1"})
		http.SetCookie(w, &http.Cookie{Name: "b", Value: "2"})
	})
	mux.HandleFunc("/upgrade", func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		defer c.Close()
		io.WriteString(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nfirst ")
		rw.Flush()
		line, _ := rw.ReadString('\n')
		io.WriteString(rw, "you said "+line)
		rw.Flush()
	})
	return mux
}

// outcome is what a program sees of a response.
type outcome struct {
	Status, Proto    string
	Code             int
	Header, Trailer  http.Header
	Length           int64
	Coding           []string
	Close, Decoded   bool
	Body             string
	Failed, BodyFail bool
	URL              string
}

func outcomeOf(rt http.RoundTripper, req *http.Request) (o outcome) {
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return outcome{Failed: true}
	}
	defer resp.Body.Close()
	var body []byte
	if rw, ok := resp.Body.(io.ReadWriter); ok {
		io.WriteString(rw, "hello\n")
		body, err = io.ReadAll(rw)
	} else {
		body, err = io.ReadAll(resp.Body)
	}
	resp.Header.Del("Date")
	return outcome{resp.Status, resp.Proto, resp.StatusCode, resp.Header, resp.Trailer, resp.ContentLength, resp.TransferEncoding,
		resp.Close, resp.Uncompressed, string(body), false, err != nil, resp.Request.URL.String()}
}

// A Transport passes for net/http's.
func TestSameAsNetHTTP(t *testing.T) {
	plain := httptest.NewServer(sameServer())
	defer plain.Close()
	secure := httptest.NewTLSServer(sameServer())
	defer secure.Close()
	type change = func(*http.Request)
	header := func(name string, values ...string) change {
		return func(r *http.Request) { r.Header[name] = values }
	}
	length := func(n int64) change { return func(r *http.Request) { r.ContentLength = n } }
	onlyReader := func(s string) io.Reader { return io.MultiReader(strings.NewReader(s)) }
	for _, test := range []struct {
		method, path string
		body         func() io.Reader
		changes      []change
	}{
		{"GET", "/echo?q=a+b&c=%2F", nil, nil},
		{"", "/echo", nil, nil},
		{"GET", "/echo/../echo", nil, nil},
		{"GET", "/%65cho", nil, nil},
		{"HEAD", "/echo", nil, nil},
		{"OPTIONS", "/echo", nil, nil},
		{"DELETE", "/echo", nil, nil},
		{"STRANGE", "/echo", nil, nil},
		{"POST", "/echo", nil, nil},
		{"POST", "/echo", func() io.Reader { return strings.NewReader("") }, nil},
		{"POST", "/echo", func() io.Reader { return strings.NewReader("body") }, nil},
		{"PUT", "/echo", func() io.Reader { return bytes.NewReader(make([]byte, 100_000)) }, nil},
		{"PATCH", "/echo", func() io.Reader { return onlyReader("unknown length") }, nil},
		{"POST", "/echo", func() io.Reader { return onlyReader("known length") }, []change{length(12)}},
		{"POST", "/echo", func() io.Reader { return onlyReader("too short") }, []change{length(100)}},
		{"POST", "/echo", func() io.Reader { return onlyReader("") }, nil},
		{"GET", "/echo", func() io.Reader { return strings.NewReader("a GET with a body") }, nil},
		{"POST", "/echo", func() io.Reader { return onlyReader("with trailers") }, []change{func(r *http.Request) { r.Trailer = http.Header{"X-T": {"v"}} }}},
		{"POST", "/echo", func() io.Reader { return strings.NewReader("expected") }, []change{header("Expect", "100-continue")}},
		{"POST", "/early", func() io.Reader { return onlyReader("refused") }, []change{header("Expect", "100-continue")}},
		{"GET", "/echo", nil, []change{header("X-Many", "a", "b", "c"), header("Accept", "*/*")}},
		{"GET", "/echo", nil, []change{header("Connection", "close")}},
		{"GET", "/echo", nil, []change{func(r *http.Request) { r.Close = true }}},
		{"GET", "/echo", nil, []change{func(r *http.Request) { r.Host = "other.example" }}},
		{"GET", "/echo", nil, []change{func(r *http.Request) { r.URL.User = url.UserPassword("u", "p") }}},
		{"GET", "/echo", nil, []change{header("X-Bad", "a\nb")}},
		{"GET", "/echo", nil, []change{header("X Bad", "a")}},
		{"BAD METHOD", "/echo", nil, nil},
		{"GET", "/status/200", nil, nil}, {"GET", "/status/204", nil, nil}, {"GET", "/status/304", nil, nil},
		{"GET", "/status/404", nil, nil}, {"GET", "/status/500", nil, nil}, {"GET", "/status/302", nil, nil}, {"GET", "/status/799", nil, nil},
		{"GET", "/stream", nil, nil}, {"HEAD", "/stream", nil, nil},
		{"GET", "/trailer", nil, nil},
		{"GET", "/gzip", nil, nil}, {"HEAD", "/gzip", nil, nil},
		{"GET", "/gzip", nil, []change{header("Accept-Encoding", "gzip")}},
		{"GET", "/gzip", nil, []change{header("Range", "bytes=0-9")}},
		{"GET", "/hints", nil, nil},
		{"GET", "/close", nil, nil},
		{"GET", "/abort", nil, nil},
		{"GET", "/cookies", nil, nil},
		{"GET", "/upgrade", nil, []change{header("Connection", "Upgrade"), header("Upgrade", "echo")}},
	} {
		for _, srv := range []*httptest.Server{plain, secure} {
			name := fmt.Sprintf("%s %s %d %s", test.method, test.path, len(test.changes), srv.URL[:5])
			t.Run(name, func(t *testing.T) {
				request := func() *http.Request {
					var body io.Reader
					if test.body != nil {
						body = test.body()
					}
					req, err := http.NewRequest("GET", srv.URL+test.path, body)
					if err != nil {
						t.Fatal(err)
					}
					req.Method = test.method
					for _, change := range test.changes {
						change(req)
					}
					return req
				}
				std := srv.Client().Transport.(*http.Transport).Clone()
				std.ForceAttemptHTTP2 = false
				std.ExpectContinueTimeout = time.Second
				defer std.CloseIdleConnections()
				want := outcomeOf(std, request())
				onEngines(t, func(t *testing.T, tr *Transport) {
					tr.TLSClientConfig = std.TLSClientConfig.Clone()
					for range 2 { // on a new connection, and on a used one
						if got := outcomeOf(tr, request()); !reflect.DeepEqual(got, want) {
							t.Errorf("got  %.1000q\nwant %.1000q", fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want))
						}
					}
				})
			})
		}
	}
}

// A body that is longer than was said is an error, whatever the server has made of it.
func TestBodyTooLong(t *testing.T) {
	srv := httptest.NewServer(sameServer())
	defer srv.Close()
	onEngines(t, func(t *testing.T, tr *Transport) {
		for _, body := range []io.Reader{strings.NewReader("too long"), io.MultiReader(strings.NewReader("too long"))} {
			req, _ := http.NewRequest("POST", srv.URL+"/echo", body)
			req.ContentLength = 3
			var e *Error
			if _, err := tr.RoundTrip(req); !errors.As(err, &e) || e.Op != "send request" {
				t.Errorf("%v", err)
			}
		}
	})
}

// The hooks of package httptrace are called as net/http calls them.
func TestTrace(t *testing.T) {
	srv := httptest.NewTLSServer(sameServer())
	defer srv.Close()
	events := func(rt http.RoundTripper, path string, body io.Reader) (all []string) {
		var mu sync.Mutex // net/http calls its hooks on two goroutines
		add := func(format string, args ...any) {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, fmt.Sprintf(format, args...))
		}
		ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
			GetConn:              func(addr string) { add("GetConn %s", addr) },
			GotConn:              func(i httptrace.GotConnInfo) { add("GotConn %v %v", i.Reused, i.Conn.RemoteAddr()) },
			PutIdleConn:          func(err error) { add("PutIdleConn %v", err) },
			GotFirstResponseByte: func() { add("GotFirstResponseByte") },
			Got100Continue:       func() { add("Got100Continue") },
			Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				add("Got1xxResponse %d %v", code, h)
				return nil
			},
			ConnectStart:      func(network, addr string) { add("ConnectStart %s %s", network, addr) },
			ConnectDone:       func(network, addr string, err error) { add("ConnectDone %s %s %v", network, addr, err) },
			TLSHandshakeStart: func() { add("TLSHandshakeStart") },
			TLSHandshakeDone:  func(_ tls.ConnectionState, err error) { add("TLSHandshakeDone %v", err) },
			WroteHeaders:      func() { add("WroteHeaders") },
			Wait100Continue:   func() { add("Wait100Continue") },
			WroteRequest:      func(i httptrace.WroteRequestInfo) { add("WroteRequest %v", i.Err) },
		})
		req, _ := http.NewRequestWithContext(ctx, "POST", srv.URL+path, body)
		if body != nil {
			req.Header.Set("Expect", "100-continue")
		}
		resp, err := rt.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		io.ReadAll(resp.Body)
		resp.Body.Close()
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
	std := srv.Client().Transport.(*http.Transport)
	std.ForceAttemptHTTP2 = false
	type want struct {
		path string
		body func() io.Reader
		all  []string
	}
	var wants []want
	none, some := func() io.Reader { return nil }, func() io.Reader { return strings.NewReader("body") }
	for _, w := range []want{{"/echo", none, nil}, {"/hints", none, nil}, {"/echo", some, nil}} {
		w.all = events(std, w.path, w.body())
		wants = append(wants, w)
	}
	onEngines(t, func(t *testing.T, tr *Transport) {
		tr.TLSClientConfig = std.TLSClientConfig.Clone()
		for _, w := range wants {
			got := events(tr, w.path, w.body())
			slices.Sort(got)
			slices.Sort(w.all) // reading and writing are two goroutines there
			if !slices.Equal(got, w.all) {
				t.Errorf("%s:\n got %q\nwant %q", w.path, got, w.all)
			}
		}
	})
}

// An http.Client with a Transport follows redirects, keeps cookies and has timeouts.
func TestUnderHTTPClient(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("/there", http.RedirectHandler("/here", http.StatusFound))
	mux.HandleFunc("/here", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "here") })
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	onEngines(t, func(t *testing.T, tr *Transport) {
		hc := &http.Client{Transport: tr}
		resp, err := hc.Get(srv.URL + "/there")
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(resp.Body); string(b) != "here" {
			t.Errorf("%q", b)
		}
		hc.Timeout = 100 * time.Millisecond
		resp, err = hc.Get(srv.URL + "/slow")
		if err == nil {
			_, err = io.ReadAll(resp.Body)
		}
		var timeout interface{ Timeout() bool }
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("%v", err)
		}
		hc.CloseIdleConnections()
		expectConns(t, tr, 0)
	})
}
