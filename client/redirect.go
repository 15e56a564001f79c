package client

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// RedirectError is the error of a redirect that is not followed. The response that
// redirects has been received.
type RedirectError struct {
	// Location is where it leads, without a password.
	Location string

	// Err is [ErrTooManyRedirects], [ErrRedirectLoop], or says what is wrong with Location.
	Err error
}

// Error implements the error interface.
func (e *RedirectError) Error() string {
	return fmt.Sprintf("client: redirect to %q: %v", e.Location, e.Err)
}

// Unwrap returns e.Err.
func (e *RedirectError) Unwrap() error { return e.Err }

// Reasons of a [RedirectError].
var (
	// ErrTooManyRedirects says that as many redirects were followed as may be.
	ErrTooManyRedirects = errors.New("too many redirects")

	// ErrRedirectLoop says that the same request has been sent before, and no response
	// since has set a cookie, which could make a difference.
	ErrRedirectLoop = errors.New("redirects go in circles")

	errLocations      = errors.New("more than one Location")
	errLocationScheme = errors.New("neither http nor https")
	errLocationHost   = errors.New("no host")
)

// nextRequest returns the request to which resp redirects (RFC 9110, section 15.4). via
// are the requests sent so far, the first one first; resp answers the last. The redirect
// that would be number max+1 is an error. Errors are a *[RedirectError].
//
// It returns nil and no error where resp is what there is to have: it does not redirect,
// says not where to, or wants the content once more and that cannot be had again.
//
// 303 (See Other) makes the method GET, unless it is HEAD; so do 301 and 302 with POST, as
// in browsers. Then the content is gone, and the fields that describe it. Otherwise method
// and content stay as they are; the content comes from GetBody.
//
// To another origin go neither credentials nor a Host that is not the URL's. Credentials
// that were left out do not come back. A Referer does not leave https.
func nextRequest(resp *http.Response, via []*http.Request, max int) (*http.Request, error) {
	last := via[len(via)-1]
	location := resp.Header.Values("Location")
	if !isRedirect(resp.StatusCode) || len(location) == 0 || location[0] == "" {
		return nil, nil
	}
	method, content := redirectMethod(resp.StatusCode, last)
	if content && last.GetBody == nil {
		return nil, nil
	}
	u, err := resolveLocation(last.URL, location)
	if err != nil {
		return nil, &RedirectError{location[0], err}
	}
	next := redirected(last, method, u, content)
	next.Response = resp
	switch {
	case len(via) > max:
		err = ErrTooManyRedirects
	case goesInCircles(next, via):
		err = ErrRedirectLoop
	case content:
		next.Body, err = last.GetBody()
	}
	if err != nil {
		return nil, &RedirectError{u.Redacted(), err}
	}
	return next, nil
}

// isRedirect reports whether a response with the given status says where to ask instead.
// 300 (Multiple Choices) leaves the choice to the user.
func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// redirectMethod returns the method to go on with, and whether there is content to send
// once more.
func redirectMethod(status int, last *http.Request) (method string, content bool) {
	method = last.Method
	if method == "" {
		method = http.MethodGet
	}
	content = last.Body != nil && last.Body != http.NoBody
	switch {
	case status == http.StatusSeeOther && method == http.MethodHead:
		return method, false
	case status == http.StatusSeeOther,
		method == http.MethodPost && (status == http.StatusMovedPermanently || status == http.StatusFound):
		return http.MethodGet, false
	}
	return method, content
}

// resolveLocation returns where the values of Location lead from base (RFC 9110, section
// 10.2.2).
func resolveLocation(base *url.URL, location []string) (*url.URL, error) {
	for _, other := range location[1:] {
		if other != location[0] {
			return nil, errLocations
		}
	}
	u, err := base.Parse(location[0])
	if err != nil {
		if why, ok := errors.AsType[*url.Error](err); ok {
			err = why.Err // the rest repeats the Location
		}
		return nil, err
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errLocationScheme
	case u.Hostname() == "":
		return nil, errLocationHost
	}
	if !strings.Contains(location[0], "#") {
		u.Fragment, u.RawFragment = base.Fragment, base.RawFragment
	}
	return u, nil
}

// credentials are the fields for one origin only.
var credentials = []string{
	"Authorization", "Proxy-Authorization", "Cookie", "Cookie2", "Www-Authenticate", "Proxy-Authenticate",
}

// aboutContent are the fields that go with the content (RFC 9110, section 15.4, number 5),
// or are for sending it.
var aboutContent = []string{
	"Content-Encoding", "Content-Language", "Content-Length", "Content-Location", "Content-Range", "Content-Type",
	"Digest", "Content-Digest", "Repr-Digest", "Last-Modified", "Expect", "Trailer", "Transfer-Encoding",
}

// redirected returns what last becomes when it goes to u. Its Body is still to be set.
func redirected(last *http.Request, method string, u *url.URL, content bool) *http.Request {
	next := &http.Request{
		Method: method, URL: u, Header: last.Header.Clone(), Close: last.Close,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if next.Header == nil {
		next.Header = http.Header{}
	}
	if content {
		next.GetBody, next.ContentLength = last.GetBody, last.ContentLength
		next.TransferEncoding, next.Trailer = slices.Clone(last.TransferEncoding), last.Trailer.Clone()
	} else {
		remove(next.Header, aboutContent)
	}
	if !sameOrigin(last.URL, u) {
		remove(next.Header, credentials)
	}
	if last.URL.Scheme == "https" && u.Scheme == "http" {
		remove(next.Header, []string{"Referer"}) // RFC 9110, section 10.1.3
	}
	if strings.EqualFold(u.Host, last.URL.Host) {
		next.Host = last.Host
	}
	return next.WithContext(last.Context())
}

// remove removes fields, however the user has spelt their names.
func remove(h http.Header, names []string) {
	maps.DeleteFunc(h, func(name string, _ []string) bool {
		return slices.Contains(names, http.CanonicalHeaderKey(name))
	})
}

// sameOrigin reports whether a and b have the same origin (RFC 9110, section 4.3.1): the
// scheme, the host and the port.
func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && portOf(a) == portOf(b)
}

// portOf returns the port of a URL of http or https.
func portOf(u *url.URL) string {
	switch port := u.Port(); {
	case port != "":
		return port
	case u.Scheme == "https":
		return "443"
	default:
		return "80"
	}
}

// goesInCircles reports whether next is one of via, and nothing has changed since.
func goesInCircles(next *http.Request, via []*http.Request) bool {
	where := withoutFragment(next.URL)
	for resp := next.Response; len(via) > 0; via = via[:len(via)-1] {
		if resp != nil && len(resp.Header.Values("Set-Cookie")) > 0 {
			return false
		}
		r := via[len(via)-1]
		method := r.Method
		if method == "" {
			method = http.MethodGet
		}
		if method == next.Method && withoutFragment(r.URL) == where {
			return true
		}
		resp = r.Response
	}
	return false
}

func withoutFragment(u *url.URL) string {
	v := *u
	v.Fragment, v.RawFragment = "", ""
	return v.String()
}

// Visited returns the URLs that were asked until resp came, the first one first and that
// of resp itself last. So it has one URL if nothing redirected. It works with responses of
// [http.Client] too.
func Visited(resp *http.Response) []*url.URL {
	var urls []*url.URL
	for resp != nil && resp.Request != nil {
		urls = append(urls, resp.Request.URL)
		resp = resp.Request.Response
	}
	slices.Reverse(urls)
	return urls
}
