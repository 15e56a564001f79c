package ringkit

import (
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// everything is a handler that uses most of what net/http offers.
func everything(backend *url.URL) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/request/", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		r.Header.Del("Connection") // hop by hop
		json.NewEncoder(w).Encode(map[string]any{
			"method": r.Method, "url": r.URL.String(), "path": r.URL.Path, "rawpath": r.URL.RawPath, "query": r.URL.RawQuery,
			"proto": r.Proto, "major": r.ProtoMajor, "minor": r.ProtoMinor, "header": r.Header, "host": r.Host, "uri": r.RequestURI,
			"length": r.ContentLength, "coding": r.TransferEncoding, "trailer": r.Trailer, "close": r.Close,
			"body": string(body), "error": err, "form": r.FormValue("a"), "pattern": r.Pattern, "tls": r.TLS != nil,
		})
	})
	mux.HandleFunc("/empty", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/text", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })
	mux.HandleFunc("/html", func(w http.ResponseWriter, _ *http.Request) {
		template.Must(template.New("").Parse("<html>{{.}}</html>")).Execute(w, "<&>")
	})
	mux.HandleFunc("/encoded", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "br")
		io.WriteString(w, "<html>")
	})
	mux.HandleFunc("/untyped", func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		io.WriteString(w, "<html>")
	})
	mux.HandleFunc("/flush", func(w http.ResponseWriter, _ *http.Request) {
		for i := range 3 {
			fmt.Fprintf(w, "piece %d\n", i)
			flush(w)
		}
	})
	mux.HandleFunc("/trailer", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		io.WriteString(w, "hello")
		w.Header().Set("X-Sum", "1")
	})
	mux.HandleFunc("/early", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a.css>")
		w.WriteHeader(103)
		w.Header().Del("Link")
		io.WriteString(w, "hello")
	})
	mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		var code int
		fmt.Sscan(r.PathValue("code"), &code)
		w.WriteHeader(code)
	})
	mux.HandleFunc("/fields", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("X-A", "1")
		w.Header().Add("x-a", "2")
		w.Header().Set("Cache-Control", "no-store")
		w.Header()["lower"] = []string{"a", "b"}
		w.Header().Set("Bad Name", "a")
		w.Header().Set("X-Line", "a\r\nb")
		w.Header().Set("X-Space", "  a  ")
	})
	mux.HandleFunc("/cookie", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b c", Path: "/", HttpOnly: true})
		if c, err := r.Cookie("session"); err == nil {
			http.SetCookie(w, &http.Cookie{Name: "was", Value: c.Value})
		}
	})
	mux.HandleFunc("/auth", func(w http.ResponseWriter, r *http.Request) {
		user, password, ok := r.BasicAuth()
		fmt.Fprint(w, user, password, ok, r.UserAgent(), r.Referer())
	})
	mux.HandleFunc("/declared", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5")
		io.WriteString(w, "hello")
	})
	mux.HandleFunc("/error", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "wrong", 400) })
	mux.HandleFunc("/close", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		io.WriteString(w, "bye")
	})
	mux.HandleFunc("/content", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "a.txt", time.Unix(1e9, 0), strings.NewReader(pattern(2000)))
	})
	mux.Handle("/redirect", http.RedirectHandler("/text?a=b", http.StatusFound))
	mux.Handle("/limited", http.MaxBytesHandler(std(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		fmt.Fprint(w, err)
	}), 3))
	mux.Handle("/timeout", http.TimeoutHandler(std(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "in time") }), patience, "late"))
	mux.Handle("/gone", http.TimeoutHandler(std(func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		time.Sleep(tick / 3) // or it might return before the TimeoutHandler has seen it
	}), time.Millisecond, "late"))
	mux.Handle("/native/", http.StripPrefix("/native", HandlerFunc(func(x *Exchange) {
		x.SetStatus(202)
		x.SetHeader("X-Path", x.Path())
		fmt.Fprintf(x, "%s %s %s %s %s", x.Method(), x.Query("a"), x.Form("a"), x.Cookie("session"), x.Body())
	})))
	mux.Handle("/proxy/", &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(backend)
		r.Out.Host = r.In.Host
	}})
	return mux
}

// sameRequests are well-formed requests without connection options.
var sameRequests = slices.Concat(
	onEach([]string{"GET", "HEAD", "POST", "OPTIONS"}, "/empty", "/text", "/html", "/encoded", "/untyped", "/flush", "/trailer", "/early",
		"/status/200", "/status/204", "/status/304", "/status/404", "/status/500", "/status/799", "/fields", "/cookie", "/auth", "/declared",
		"/error", "/close", "/content", "/redirect", "/limited", "/timeout", "/gone", "/native/a%20b?a=c", "/request/", "/request/a%2Fb%20c?a=1&b=%zz&c",
		"/request/../text", "/request//double", "/nowhere", "/proxy/request/x?a=b", "/proxy/text"),
	[]string{
		"BREW /request/ HTTP/1.1\r\nHost: test\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n",
		"GET http://other/request/a?b HTTP/1.1\r\nHost: test\r\n\r\n",
		"GET /request/ HTTP/1.1\r\nHost: [::1]:80\r\nX-A: 1\r\nx-a:2\r\nX-B:\r\nAccept:  a , b \r\n\r\n",
		"POST /request/ HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello",
		"POST /request/ HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n",
		"POST /request/ HTTP/1.1\r\nHost: test\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 5\r\n\r\na=1%2",
		"POST /request/ HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"POST /request/ HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
		"PUT /proxy/request/ HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"POST /limited HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc",
		"POST /native/a HTTP/1.1\r\nHost: test\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n\r\na=1",
		"GET /cookie HTTP/1.1\r\nHost: test\r\nCookie: session=s; other=o\r\n\r\n",
		"GET /auth HTTP/1.1\r\nHost: test\r\nAuthorization: Basic YTpi\r\nUser-Agent: u\r\nReferer: r\r\n\r\n",
		"GET /content HTTP/1.1\r\nHost: test\r\nRange: bytes=10-19\r\n\r\n",
		"GET /content HTTP/1.1\r\nHost: test\r\nRange: bytes=9999-\r\n\r\n",
		"GET /content HTTP/1.1\r\nHost: test\r\nIf-Modified-Since: Sun, 09 Sep 2001 01:46:40 GMT\r\n\r\n",
		"GET /content HTTP/1.1\r\nHost: test\r\nIf-Unmodified-Since: Sun, 09 Sep 2000 01:46:40 GMT\r\n\r\n",
	},
)

func onEach(methods []string, paths ...string) (requests []string) {
	for _, path := range paths {
		for _, method := range methods {
			requests = append(requests, method+" "+path+" HTTP/1.1\r\nHost: test\r\n\r\n")
		}
	}
	return requests
}

// The same handlers give the same answers to the same requests on net/http's
// server and on this one.
func TestSameAsNetHTTP(t *testing.T) {
	backend := httptest.NewServer(http.StripPrefix("/proxy", everything(&url.URL{})))
	defer backend.Close()
	target, err := url.Parse(backend.URL)
	if err != nil {
		t.Fatal(err)
	}
	theirs := httptest.NewServer(everything(target))
	defer theirs.Close()
	want := map[string]string{}
	for _, request := range sameRequests {
		want[request] = transcript(connectPeer(t, "tcp", theirs.Listener.Addr().String(), 0), request)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	eachEngine(t, func(t *testing.T, e engine) {
		e.notSecure(t, "the clients speak without TLS")
		s := serve(t, e, &Server{Handler: everything(target)})
		for _, request := range sameRequests {
			p := s.dial()
			if got := transcript(p, request); got != want[request] {
				t.Errorf("%q\nis answered\n%s\nwant\n%s", request, got, want[request])
			}
			p.Close()
		}
	})
}

// transcript is the answer to a request, without what differs with the time, and
// without how its body was delimited.
func transcript(p *peer, request string) string {
	p.Helper()
	p.send(request)
	method, _, _ := strings.Cut(request, " ")
	var text strings.Builder
	for {
		a := p.answer(method)
		var fields []string
		for _, f := range a.fields {
			switch f[0] {
			case "Date", "Content-Length", "Transfer-Encoding":
			default:
				fields = append(fields, fmt.Sprintf("%s: %q", f[0], f[1]))
			}
		}
		slices.Sort(fields)
		fmt.Fprintf(&text, "%d %s\n%q\n%q\n", a.status, strings.Join(fields, "\n"), a.body, a.trailer)
		if a.status >= 200 {
			return text.String()
		}
	}
}
