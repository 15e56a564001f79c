package consumers

import (
	"encoding/json"
	"errors"
	"expvar"
	"fmt"
	"io"
	"net/http"
	"net/http/pprof"
	"strings"
	"testing"
	"time"
)

func TestTimeoutHandler(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/fast", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Fast", "yes")
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, pattern(100_000))
	})
	late := make(chan error, 1)
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		time.Sleep(20 * time.Millisecond) // the answer has been sent meanwhile
		_, err := io.WriteString(w, "too late")
		late <- err
	})
	mux.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) { panic("told to") })
	eachServer(t, func(t *testing.T, s server) {
		url := s.serve(t, http.TimeoutHandler(mux, 100*time.Millisecond, "out of time")).url
		c := newClient(t)
		for range 2 {
			fast := c.get(url + "/fast")
			fast.want(t, http.StatusTeapot, pattern(100_000))
			fast.wantField(t, "X-Fast", "yes")
			c.get(url+"/slow").want(t, 503, "out of time")
			if err := receive(t, late); !errors.Is(err, http.ErrHandlerTimeout) {
				t.Errorf("a late write: %v", err)
			}
		}
		// net/http's server cuts the connection; an answer is as good.
		if resp, err := c.http.Get(url + "/panic"); err == nil {
			resp.Body.Close()
			if resp.StatusCode != 500 {
				t.Errorf("panic: %s", resp.Status)
			}
		}
		c.get(url+"/fast").want(t, http.StatusTeapot, pattern(100_000))
	})
}

// count answers with the number of bytes in the body, or with the error in it.
func count(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		http.Error(w, fmt.Sprintf("more than %d", tooLarge.Limit), http.StatusRequestEntityTooLarge)
		return
	}
	fmt.Fprintf(w, "%d %v", n, err)
}

func TestMaxBytesHandler(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		url := s.serve(t, http.MaxBytesHandler(http.HandlerFunc(count), 200_000)).url
		c := newClient(t)
		for _, chunked := range []bool{false, true} {
			for n, want := range map[int]string{0: "0 <nil>", 1000: "1000 <nil>", 200_000: "200000 <nil>"} {
				c.do("POST", url, upload(pattern(n), chunked)).want(t, 200, want)
			}
			for _, n := range []int{200_001, 300_000} {
				c.do("POST", url, upload(pattern(n), chunked)).want(t, 413, "more than 200000\n")
			}
		}
	})
}

// upload is a body with or without a length that the client knows.
func upload(p string, chunked bool) io.Reader {
	if chunked {
		return struct{ io.Reader }{strings.NewReader(p)}
	}
	return strings.NewReader(p)
}

// Bodies of any size arrive, when the handler reads late, in part or not at all.
func TestUploads(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/count", count)
	mux.HandleFunc("/late", func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(50 * time.Millisecond)
		count(w, r)
	})
	mux.HandleFunc("/part", func(w http.ResponseWriter, r *http.Request) {
		p := make([]byte, 10)
		n, err := io.ReadFull(r.Body, p)
		fmt.Fprintf(w, "%s %v", p[:n], err)
	})
	mux.HandleFunc("/ignored", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ignored") })
	eachServer(t, func(t *testing.T, s server) {
		url := s.serve(t, mux).url
		c := newClient(t)
		for _, chunked := range []bool{false, true} {
			for _, n := range []int{10, 5000, 70_000, 200_000, 5 << 20} {
				c.do("POST", url+"/count", upload(pattern(n), chunked)).want(t, 200, fmt.Sprintf("%d <nil>", n))
				c.do("POST", url+"/late", upload(pattern(n), chunked)).want(t, 200, fmt.Sprintf("%d <nil>", n))
			}
			for _, n := range []int{10, 5000, 200_000} { // what net/http reads to its end itself
				c.do("POST", url+"/part", upload(pattern(n), chunked)).want(t, 200, pattern(10)+" <nil>")
				c.do("POST", url+"/ignored", upload(pattern(n), chunked)).want(t, 200, "ignored")
			}
			c.do("POST", url+"/count", upload(pattern(5000), chunked), "Expect", "100-continue").want(t, 200, "5000 <nil>")
			c.do("POST", url+"/ignored", upload(pattern(5000), chunked), "Expect", "100-continue").want(t, 200, "ignored")
		}
	})
}

// A handler gets the body as it comes, while the client is still sending.
func TestStreamedUpload(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		received := make(chan string, 3)
		srv := s.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p := make([]byte, 5)
			for range 3 {
				if _, err := io.ReadFull(r.Body, p); err != nil {
					t.Errorf("body: %v", err)
				}
				received <- string(p)
			}
			if n, err := r.Body.Read(p); n != 0 || err != io.EOF {
				t.Errorf("behind the body: %d, %v", n, err)
			}
			io.WriteString(w, "thanks")
		}))
		c := newClient(t)
		c.http.Timeout = 2 * patience
		for _, length := range []int64{15, -1} {
			pr, pw := io.Pipe()
			go sendParts(t, pw, received)
			req, err := http.NewRequest("POST", srv.url, pr)
			if err != nil {
				t.Fatal(err)
			}
			req.ContentLength = length
			c.send(req).want(t, 200, "thanks")
			if t.Failed() {
				return
			}
		}
	})
}

// sendParts sends each part of a body when the one before has been received.
func sendParts(t *testing.T, pw *io.PipeWriter, received <-chan string) {
	defer pw.Close()
	for _, part := range []string{"part1", "part2", "part3"} {
		io.WriteString(pw, part)
		if got := receive(t, received); got != part {
			t.Errorf("the handler has %q; want %q", got, part)
			return
		}
	}
}

// A client that gives up in the middle of its body is an error where the handler
// reads.
func TestUploadCutShort(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		read := make(chan error, 1)
		srv := s.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			if n != 100_000 {
				t.Errorf("%d bytes were read", n)
			}
			read <- err
		}))
		c := dialTCP(t, srv.addr)
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n"+pattern(100_000))
		c.CloseWrite()
		if err := receive(t, read); err != io.ErrUnexpectedEOF {
			t.Errorf("the handler's error: %v", err)
		}
		c.Close()
	})
}

// A handler that has asked for it answers while it reads.
func TestFullDuplex(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		srv := s.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rc := http.NewResponseController(w)
			if err := rc.EnableFullDuplex(); err != nil {
				t.Errorf("EnableFullDuplex: %v", err)
			}
			p := make([]byte, 4)
			for {
				n, err := io.ReadFull(r.Body, p)
				if err != nil {
					return
				}
				w.Write(p[:n])
				rc.Flush()
			}
		}))
		pr, pw := io.Pipe()
		defer pw.Close()
		// The client waits for the end of its body, also when its time is over.
		defer time.AfterFunc(patience, func() { pw.Close() }).Stop()
		started := make(chan struct{})
		go func() { io.WriteString(pw, "ping"); close(started) }()
		req, err := http.NewRequest("POST", srv.url, pr)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := newClient(t).http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		<-started
		p := make([]byte, 4)
		for i := range 10 {
			if _, err := io.ReadFull(resp.Body, p); err != nil {
				t.Fatalf("answer %d: %v", i, err)
			}
			io.WriteString(pw, "ping")
		}
	})
}

func TestDebugHandlers(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("/debug/vars", expvar.Handler())
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	eachServer(t, func(t *testing.T, s server) {
		url := s.serve(t, mux).url
		c := newClient(t)
		vars := c.get(url + "/debug/vars")
		if !json.Valid([]byte(vars.body)) || !strings.Contains(vars.body, `"memstats"`) {
			t.Errorf("expvar: %.100q", vars.body)
		}
		for target, want := range map[string]string{
			"":                              "Types of profiles available",
			"goroutine?debug=2":             "goroutine ",
			"cmdline":                       "consumers",
			"heap":                          "\x1f\x8b", // gzip
			"allocs":                        "\x1f\x8b",
			"profile?seconds=1":             "\x1f\x8b",
			"trace?seconds=0.1":             "go 1.",
			"nothing-of-the-kind?seconds=1": "Unknown profile",
		} {
			if a := c.get(url + "/debug/pprof/" + target); !strings.Contains(a.body, want) {
				t.Errorf("%s: %s %.100q; want %q", target, a.Status, a.body, want)
			}
		}
		if a := c.do("POST", url+"/debug/pprof/symbol", strings.NewReader("0x1")); a.StatusCode != 200 || !strings.HasPrefix(a.body, "num_symbols: 1") {
			t.Errorf("symbol: %s %q", a.Status, a.body)
		}
	})
}

// The interfaces that programs ask a ResponseWriter for.
func TestResponseWriterInterfaces(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		srv := s.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, ok := w.(http.Flusher); !ok {
				t.Error("no http.Flusher")
			}
			if _, ok := w.(http.Hijacker); !ok {
				t.Error("no http.Hijacker")
			}
			if _, ok := w.(io.ReaderFrom); !ok {
				t.Error("no io.ReaderFrom")
			}
			if _, ok := w.(io.StringWriter); !ok {
				t.Error("no io.StringWriter")
			}
		}))
		newClient(t).get(srv.url).want(t, 200, "")
	})
}

// What a handler does to its header behind WriteHeader changes nothing.
func TestHeaderBehindWriteHeader(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		srv := s.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Value", "before")
			w.WriteHeader(http.StatusOK)
			w.Header()["X-Value"][0] = "behind"
			w.Header().Set("X-Other", "behind")
		}))
		a := newClient(t).get(srv.url)
		a.wantField(t, "X-Value", "before")
		a.wantField(t, "X-Other", "")
	})
}

// The options in Connection are the handler's (RFC 9110, section 7.6.1).
func TestConnectionOptions(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		srv := s.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "X-Hop")
			w.Header().Set("X-Hop", "1")
		}))
		newClient(t).get(srv.url).wantField(t, "Connection", "X-Hop")
	})
}

// A goroutine that outlives its handler has no body to read any more.
func TestBodyBehindHandler(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		read := make(chan error, 1)
		srv := s.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			go func() {
				<-r.Context().Done()
				_, err := r.Body.Read(make([]byte, 1))
				read <- err
			}()
		}))
		newClient(t).do("POST", srv.url, strings.NewReader("body")).want(t, 200, "")
		if err := receive(t, read); !errors.Is(err, http.ErrBodyReadAfterClose) {
			t.Errorf("read behind the handler: %v", err)
		}
	})
}
