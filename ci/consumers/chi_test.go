package consumers

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
)

// formatter is chi's own, but for panics: those it writes to the standard error.
type formatter struct{ *log.Logger }

type entry struct {
	middleware.LogEntry
	log *log.Logger
}

func (f formatter) NewLogEntry(r *http.Request) middleware.LogEntry {
	own := &middleware.DefaultLogFormatter{Logger: f.Logger, NoColor: true}
	return entry{own.NewLogEntry(r), f.Logger}
}

func (e entry) Panic(v any, stack []byte) { e.log.Printf("panic: %v", v) }

// chiApp is what the chi manual's first page shows, and more.
func chiApp(logs io.Writer) http.Handler {
	r := chi.NewRouter()
	r.Use(middleware.RequestID, middleware.RealIP)
	r.Use(middleware.RequestLogger(formatter{log.New(logs, "", 0)}))
	r.Use(middleware.Recoverer, middleware.Compress(5), middleware.GetHead, middleware.Heartbeat("/health"))
	r.Get("/", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "root from "+r.RemoteAddr) })
	r.Get("/panic", func(http.ResponseWriter, *http.Request) { panic("chi was told to panic") })
	r.Get("/text", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, pattern(100_000))
	})
	r.Get("/steps", steps)
	r.Get("/socket", gorillaEcho(make(chan int, 8)).ServeHTTP)
	r.With(middleware.Timeout(50*time.Millisecond)).Get("/slow", func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
	})
	r.Route("/users", func(r chi.Router) {
		r.With(middleware.AllowContentType("application/json")).Post("/", echoBody)
		r.Get("/{id:[0-9]+}", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "user %s %s", chi.URLParam(r, "id"), chi.RouteContext(r.Context()).RoutePattern())
		})
		r.Get("/{id:[0-9]+}/*", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, chi.URLParam(r, "*")) })
	})
	r.Mount("/debug", middleware.Profiler())
	r.NotFound(func(w http.ResponseWriter, r *http.Request) { http.Error(w, "nothing here", http.StatusNotFound) })
	return r
}

// echoBody reads everything before it writes: net/http's server does not promise more.
func echoBody(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
	w.WriteHeader(http.StatusCreated)
	w.Write(body)
}

// steps flushes each of three lines.
func steps(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	for i := range 3 {
		fmt.Fprintf(w, "step %d\n", i)
		w.(http.Flusher).Flush()
	}
}

func TestChi(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		var logs syncBuffer
		url := s.serve(t, chiApp(&logs)).url
		c := newClient(t)
		c.get(url+"/", "X-Real-IP", "192.0.2.7").want(t, 200, "root from 192.0.2.7")
		c.get(url+"/health").want(t, 200, ".")
		c.get(url+"/users/12").want(t, 200, "user 12 /users/{id:[0-9]+}")
		c.get(url+"/users/12/a/b").want(t, 200, "a/b")
		c.get(url+"/users/me").want(t, 404, "nothing here\n")
		c.do("DELETE", url+"/users/12", nil).want(t, 405, "")
		c.do("HEAD", url+"/users/12", nil).want(t, 200, "")
		c.get(url+"/slow").want(t, 504, "")
		c.get(url+"/panic").want(t, 500, "")
		c.get(url+"/debug/vars").wantField(t, "Content-Type", "application/json; charset=utf-8")

		created := c.do("POST", url+"/users/", strings.NewReader(`{"name":"x"}`), "Content-Type", "application/json")
		created.want(t, 201, `{"name":"x"}`)
		refused := c.do("POST", url+"/users/", strings.NewReader("x"), "Content-Type", "text/plain")
		refused.want(t, 415, "")
		for _, line := range []string{
			`"GET ` + url + `/ HTTP/1.1" from 192.0.2.7 - 200 `,
			"panic: chi was told to panic",
			`/panic HTTP/1.1" from 127.0.0.1:`,
			`"POST ` + url + `/users/ HTTP/1.1" from `,
		} {
			if !strings.Contains(logs.String(), line) {
				t.Errorf("no %q in the log:\n%s", line, logs.String())
			}
		}
	})
}

func TestChiCompress(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		url := s.serve(t, chiApp(io.Discard)).url
		c := newClient(t)
		for target, want := range map[string]string{"/text": pattern(100_000), "/steps": "step 0\nstep 1\nstep 2\n"} {
			plain := c.get(url + target)
			plain.want(t, 200, want)
			plain.wantField(t, "Content-Encoding", "")
			a := c.get(url+target, "Accept-Encoding", "gzip")
			a.wantField(t, "Content-Encoding", "gzip")
			if body := gunzip(t, a.body); body != want {
				t.Errorf("%s: %d bytes %.40q; want %d", target, len(body), body, len(want))
			}
		}
	})
}

func gunzip(t testing.TB, p string) string {
	t.Helper()
	z, err := gzip.NewReader(strings.NewReader(p))
	if err != nil {
		t.Errorf("gunzip: %v", err)
		return ""
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		t.Errorf("gunzip: %v", err)
	}
	return string(plain)
}

// The wrapped ResponseWriter of chi's middleware still lets a WebSocket through.
func TestChiWebSocket(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		c := dial(t, dialer, s.serve(t, chiApp(io.Discard)).ws+"/socket")
		say(t, c, 1, "through the middleware")
		hear(t, c, 1, "through the middleware")
	})
}

// A panic with http.ErrAbortHandler passes through Recoverer and ends the
// connection; what else is served does not notice.
func TestChiAbort(t *testing.T) {
	eachServer(t, func(t *testing.T, s server) {
		r := chi.NewRouter()
		r.Use(middleware.Recoverer)
		r.Get("/abort", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "half of ")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		})
		r.Get("/", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "fine") })
		url := s.serve(t, r).url
		c := newClient(t)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		resp := c.open(ctx, "GET", url+"/abort", nil)
		if p, err := io.ReadAll(resp.Body); string(p) != "half of " || err == nil {
			t.Errorf("%q, %v; want half of the answer and an error", p, err)
		}
		c.get(url+"/").want(t, 200, "fine")
	})
}
