package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// answer returns a response to r.
func answer(r *http.Request, status int, location ...string) *http.Response {
	resp := &http.Response{StatusCode: status, Header: http.Header{}, Request: r, Body: http.NoBody}
	for _, l := range location {
		resp.Header.Add("Location", l)
	}
	return resp
}

// redirectOnce returns what a request becomes by one redirect.
func redirectOnce(r *http.Request, status int, location ...string) (*http.Request, error) {
	return nextRequest(answer(r, status, location...), []*http.Request{r}, 10)
}

func newRequest(t testing.TB, method, url, body string) *http.Request {
	t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	r, err := http.NewRequest(method, url, content)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func bodyOf(t testing.TB, r *http.Request) string {
	t.Helper()
	if r.Body == nil {
		return ""
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRedirectMethods(t *testing.T) {
	for _, test := range []struct {
		method, body         string
		status               int
		wantMethod, wantBody string // "" if it is not followed
	}{
		{"GET", "", 301, "GET", ""},
		{"", "", 302, "GET", ""},
		{"HEAD", "", 301, "HEAD", ""},
		{"HEAD", "", 302, "HEAD", ""},
		{"HEAD", "", 303, "HEAD", ""},
		{"HEAD", "", 307, "HEAD", ""},
		{"POST", "content", 301, "GET", ""},
		{"POST", "content", 302, "GET", ""},
		{"POST", "content", 303, "GET", ""},
		{"POST", "content", 307, "POST", "content"},
		{"POST", "content", 308, "POST", "content"},
		{"PUT", "content", 301, "PUT", "content"},
		{"PUT", "content", 302, "PUT", "content"},
		{"PUT", "content", 303, "GET", ""},
		{"PUT", "content", 308, "PUT", "content"},
		{"DELETE", "", 302, "DELETE", ""},
		{"DELETE", "", 303, "GET", ""},
		{"OPTIONS", "", 303, "GET", ""},
		{"GET", "content", 302, "GET", "content"},
		{"GET", "content", 303, "GET", ""},
		{"GET", "", 200, "", ""},
		{"GET", "", 201, "", ""},
		{"GET", "", 300, "", ""},
		{"GET", "", 304, "", ""},
		{"GET", "", 305, "", ""},
		{"GET", "", 306, "", ""},
		{"GET", "", 309, "", ""},
	} {
		name := fmt.Sprintf("%s %q, %d", test.method, test.body, test.status)
		r := newRequest(t, test.method, "http://a.example/", test.body)
		r.Method = test.method
		r.Header.Set("Content-Type", "text/plain")
		r.Header.Set("Accept", "*/*")
		lower := "digest"
		r.Header[lower] = []string{"not canonical"}
		next, err := redirectOnce(r, test.status, "/there")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if next == nil || test.wantMethod == "" {
			if next != nil || test.wantMethod != "" {
				t.Errorf("%s: got %v", name, next)
			}
			continue
		}
		if body := bodyOf(t, next); next.Method != test.wantMethod || body != test.wantBody {
			t.Errorf("%s: got %s %q", name, next.Method, body)
		}
		if next.ContentLength != int64(len(test.wantBody)) || (next.GetBody != nil) != (test.wantBody != "") {
			t.Errorf("%s: length %d", name, next.ContentLength)
		}
		_, digest := next.Header[lower]
		if described := next.Header.Get("Content-Type") != ""; described != (test.wantBody != "") || digest != described {
			t.Errorf("%s: fields %v", name, next.Header)
		}
		if next.Header.Get("Accept") == "" || len(r.Header) != 3 {
			t.Errorf("%s: fields %v of %v", name, next.Header, r.Header)
		}
	}
}

func TestRedirectLocations(t *testing.T) {
	for _, test := range []struct{ base, location, want string }{
		{"http://a.example/x/y?q=1", "z", "http://a.example/x/z"},
		{"http://a.example/x/y?q=1", "/z?r=2", "http://a.example/z?r=2"},
		{"http://a.example/x/y?q=1", "../../..", "http://a.example/"},
		{"http://a.example/x/y?q=1", "?r=2", "http://a.example/x/y?r=2"},
		{"http://a.example/x/y?q=1", "//b.example/z", "http://b.example/z"},
		{"https://a.example/x", "//b.example:81/z", "https://b.example:81/z"},
		{"http://a.example/x", "https://b.example", "https://b.example"},
		{"http://a.example/x", "HTTP://b.example", "http://b.example"},
		{"http://a.example/x", "/a b/\u00e9", "http://a.example/a%20b/%C3%A9"},
		{"http://[::1]:8080/x", "/y", "http://[::1]:8080/y"},
		{"http://user:word@a.example/x", "/y", "http://user:word@a.example/y"},
		{"http://user:word@a.example/x", "http://b.example/", "http://b.example/"},
		// RFC 9110, section 10.2.2: the fragment is inherited.
		{"http://a.example/x#top", "/y", "http://a.example/y#top"},
		{"http://a.example/x#to%2Fp", "http://b.example/y", "http://b.example/y#to%2Fp"},
		{"http://a.example/x#top", "/y#end", "http://a.example/y#end"},
		{"http://a.example/x#top", "/y#", "http://a.example/y"},
	} {
		next, err := redirectOnce(newRequest(t, "GET", test.base, ""), 302, test.location)
		if err != nil || next.URL.String() != test.want {
			t.Errorf("%s, %q: got %v, %v; want %s", test.base, test.location, next, err, test.want)
		}
	}
}

func TestRedirectRefused(t *testing.T) {
	for _, test := range []struct {
		location []string
		want     error // nil for any
	}{
		{[]string{"ftp://a.example/"}, errLocationScheme},
		{[]string{"javascript:alert(1)"}, errLocationScheme},
		{[]string{"file:///etc/passwd"}, errLocationScheme},
		{[]string{"http:///there"}, errLocationHost},
		{[]string{"http://:80/there"}, errLocationHost},
		{[]string{"http:there"}, errLocationHost},
		{[]string{"/a", "/b"}, errLocations},
		{[]string{"http://a.example:port/"}, nil},
		{[]string{"http://a b/"}, nil},
		{[]string{"/%zz"}, nil},
		{[]string{"http://[::1/"}, nil},
	} {
		next, err := redirectOnce(newRequest(t, "GET", "http://a.example/x", ""), 302, test.location...)
		why, ok := errors.AsType[*RedirectError](err)
		if !ok || next != nil || why.Location != test.location[0] || test.want != nil && why.Err != test.want {
			t.Errorf("%q: got %v, %v", test.location, next, err)
		}
	}
}

// What cannot be followed and is no mistake is the response to have.
func TestRedirectNotFollowed(t *testing.T) {
	for _, location := range [][]string{nil, {""}} {
		if next, err := redirectOnce(newRequest(t, "GET", "http://a.example/", ""), 302, location...); next != nil || err != nil {
			t.Errorf("Location %q: %v, %v", location, next, err)
		}
	}
	r := newRequest(t, "POST", "http://a.example/", "content")
	r.GetBody = nil
	if next, err := redirectOnce(r, 307, "/there"); next != nil || err != nil {
		t.Errorf("content that is gone: %v, %v", next, err)
	}
	if next, err := redirectOnce(r, 303, "/there"); next == nil || err != nil {
		t.Errorf("content that is gone and not needed: %v, %v", next, err)
	}
	twice := []string{"/there", "/there"}
	if next, err := redirectOnce(r, 303, twice...); next == nil || err != nil {
		t.Errorf("the same Location twice: %v, %v", next, err)
	}
	broken := errors.New("no content today")
	r.GetBody = func() (io.ReadCloser, error) { return nil, broken }
	if _, err := redirectOnce(r, 308, "/there"); !errors.Is(err, broken) {
		t.Errorf("content that fails: %v", err)
	}
}

func TestRedirectCredentials(t *testing.T) {
	secret := []string{"Authorization", "Cookie", "Cookie2", "Proxy-Authorization", "WWW-Authenticate", "cookie"}
	for _, test := range []struct {
		base, location string
		same           bool
	}{
		{"http://a.example/", "/there", true},
		{"http://a.example/", "http://a.example:80/there", true},
		{"https://a.example:443/", "https://A.Example/there", true},
		{"http://a.example/", "http://b.example/", false},
		{"http://a.example/", "http://sub.a.example/", false},
		{"http://sub.a.example/", "http://a.example/", false},
		{"http://a.example/", "http://a.example:81/", false},
		{"http://a.example/", "https://a.example/", false},
		{"https://a.example/", "http://a.example/", false},
		{"http://a.example:443/", "https://a.example/", false},
		{"http://a.example/", "http://a.example./", false},
		{"http://a.example/", "http://a.example@b.example/", false},
	} {
		r := newRequest(t, "GET", test.base, "")
		for _, name := range secret {
			r.Header[name] = []string{"secret"}
		}
		r.Header.Set("Accept", "*/*")
		next, err := redirectOnce(r, 302, test.location)
		if err != nil {
			t.Errorf("%s to %s: %v", test.base, test.location, err)
			continue
		}
		for _, name := range secret {
			if _, kept := next.Header[name]; kept != test.same {
				t.Errorf("%s to %s: %s kept: %t", test.base, test.location, name, kept)
			}
		}
		if next.Header.Get("Accept") == "" {
			t.Errorf("%s to %s: %v", test.base, test.location, next.Header)
		}
	}
}

// Credentials do not come back with a redirect to where they were for.
func TestRedirectThereAndBack(t *testing.T) {
	first := newRequest(t, "GET", "http://a.example/1", "")
	first.Header.Set("Authorization", "Bearer secret")
	second, err := redirectOnce(first, 302, "http://b.example/2")
	if err != nil {
		t.Fatal(err)
	}
	third, err := nextRequest(answer(second, 302, "http://a.example/3"), []*http.Request{first, second}, 10)
	if err != nil || third.Header.Get("Authorization") != "" {
		t.Errorf("%v, %v", third.Header, err)
	}
}

func TestRedirectHost(t *testing.T) {
	for location, want := range map[string]string{
		"/there":                    "virtual.example",
		"http://127.0.0.1:8080/2":   "virtual.example",
		"http://127.0.0.1/":         "",
		"http://virtual.example/":   "",
		"http://elsewhere.example/": "",
	} {
		r := newRequest(t, "GET", "http://127.0.0.1:8080/", "")
		r.Host = "virtual.example"
		if next, err := redirectOnce(r, 302, location); err != nil || next.Host != want {
			t.Errorf("%s: %+v, %v; want Host %q", location, next, err, want)
		}
	}
}

func TestRedirectReferer(t *testing.T) {
	for _, test := range []struct {
		base, location string
		kept           bool
	}{
		{"http://a.example/", "/there", true},
		{"http://a.example/", "https://a.example/", true},
		{"https://a.example/", "https://b.example/", true},
		{"https://a.example/", "http://a.example/", false},
	} {
		r := newRequest(t, "GET", test.base, "")
		r.Header.Set("Referer", "https://a.example/page")
		next, err := redirectOnce(r, 302, test.location)
		if err != nil || (next.Header.Get("Referer") != "") != test.kept {
			t.Errorf("%s to %s: %q, %v", test.base, test.location, next.Header.Get("Referer"), err)
		}
	}
}

// follow asks a server that answers every path with the next of the list.
func follow(t testing.TB, max int, cookie string, locations ...string) (via []*http.Request, err error) {
	t.Helper()
	r := newRequest(t, "GET", "http://a.example/0", "")
	via = []*http.Request{r}
	for _, l := range locations {
		resp := answer(r, 302, l)
		if l == cookie {
			resp.Header.Set("Set-Cookie", "been=here")
		}
		if r, err = nextRequest(resp, via, max); err != nil {
			return via, err
		}
		via = append(via, r)
	}
	return via, nil
}

func TestRedirectLimit(t *testing.T) {
	steps := []string{"/1", "/2", "/3"}
	if via, err := follow(t, 3, "", steps...); err != nil || len(via) != 4 {
		t.Errorf("three of three: %d requests, %v", len(via), err)
	}
	via, err := follow(t, 2, "", steps...)
	why, ok := errors.AsType[*RedirectError](err)
	if !ok || len(via) != 3 || why.Location != "http://a.example/3" || !errors.Is(err, ErrTooManyRedirects) {
		t.Errorf("three of two: %d requests, %v", len(via), err)
	}
	if _, err := follow(t, 0, "", "/1"); !errors.Is(err, ErrTooManyRedirects) {
		t.Errorf("one of none: %v", err)
	}
	_, err = follow(t, 0, "", "http://user:word@b.example/")
	if why, ok := errors.AsType[*RedirectError](err); !ok || strings.Contains(why.Error(), "word") {
		t.Errorf("with a password: %v", err)
	}
}

func TestRedirectCircles(t *testing.T) {
	for _, test := range []struct {
		name   string
		steps  []string
		cookie string // is set with this step
		circle bool
	}{
		{"itself", []string{"/0"}, "", true},
		{"itself, with another fragment", []string{"/0#there"}, "", true},
		{"a circle of two", []string{"/1", "/0"}, "", true},
		{"a circle further on", []string{"/1", "/2", "/3", "/2"}, "", true},
		{"no circle", []string{"/1", "/2", "/3"}, "", false},
		{"another query", []string{"/0?again", "/0?more"}, "", false},
		{"another host", []string{"http://b.example/0", "http://c.example/0"}, "", false},
		{"a cookie for the way back", []string{"/1", "/0"}, "/0", false},
		{"a cookie on the way", []string{"/1", "/0"}, "/1", false},
		{"a cookie before the circle", []string{"/1", "/2", "/3", "/2"}, "/1", true},
	} {
		if _, err := follow(t, 10, test.cookie, test.steps...); errors.Is(err, ErrRedirectLoop) != test.circle {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	post := newRequest(t, "POST", "http://a.example/form", "content")
	if next, err := redirectOnce(post, 303, "/form"); err != nil || next.Method != "GET" {
		t.Errorf("a form that shows itself: %v", err)
	}
	if _, err := redirectOnce(post, 307, "/form"); !errors.Is(err, ErrRedirectLoop) {
		t.Errorf("a form that is sent again and again: %v", err)
	}
}

func TestRedirectContext(t *testing.T) {
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, "value")
	r := newRequest(t, "GET", "http://a.example/", "").WithContext(ctx)
	r.Header = nil
	next, err := redirectOnce(r, 302, "/there")
	if err != nil || next.Context() != ctx || next.Header == nil {
		t.Errorf("%+v, %v", next, err)
	}
	if next.Response == nil || next.Response.Request != r {
		t.Errorf("answers %v", next.Response)
	}
}

func TestVisited(t *testing.T) {
	via, err := follow(t, 10, "", "/1", "http://b.example/2")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, u := range Visited(answer(via[2], 200)) {
		got = append(got, u.String())
	}
	if want := []string{"http://a.example/0", "http://a.example/1", "http://b.example/2"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if got := Visited(nil); got != nil {
		t.Errorf("of nothing: %v", got)
	}
}

func ExampleVisited() {
	server := httptest.NewServer(http.RedirectHandler("/", http.StatusFound))
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/old" {
			http.Redirect(w, r, "/new", http.StatusMovedPermanently)
		}
	})
	defer server.Close()
	resp, err := http.Get(server.URL + "/old")
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	for _, u := range Visited(resp) {
		fmt.Println(u.Path)
	}
	// Output:
	// /old
	// /new
}

// FuzzLocation checks that no Location leads out of http and https, or takes credentials
// to another origin.
func FuzzLocation(f *testing.F) {
	for _, l := range []string{"/x", "//b.example", "https://a.example/", "http:x", "#", "?", "http://a.example:80/\\@b"} {
		f.Add("http://a.example/y#z", l)
	}
	f.Fuzz(func(t *testing.T, base, location string) {
		u, err := url.Parse(base)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
			return
		}
		r := &http.Request{Method: "GET", URL: u, Header: http.Header{"Cookie": {"secret"}}}
		next, err := redirectOnce(r, 307, location)
		if err != nil || next == nil {
			if _, ok := errors.AsType[*RedirectError](err); err != nil && !ok {
				t.Fatalf("%q, %q: %v", base, location, err)
			}
			return
		}
		if next.URL.Scheme != "http" && next.URL.Scheme != "https" || next.URL.Host == "" {
			t.Fatalf("%q, %q: leads to %v", base, location, next.URL)
		}
		if next.Header.Get("Cookie") != "" && (next.URL.Scheme != u.Scheme || !strings.EqualFold(next.URL.Hostname(), u.Hostname())) {
			t.Fatalf("%q, %q: a cookie for %v", base, location, next.URL)
		}
	})
}
