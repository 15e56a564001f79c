package clients

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	ringkit "github.com/ringkit/ringkit/client"
	"github.com/ringkit/ringkit/conn"

	"github.com/ringkit/ringkit/bench/internal/client"
)

// Names of the clients that send requests.
const (
	Call      = "call"      // client.Call: a function is called on the event loop
	Do        = "do"        // client.Do on goroutines
	Transport = "transport" // client.Transport below an http.Client
	NetHTTP   = "nethttp"   // http.Transport below an http.Client
	FastHTTP  = "fasthttp"  // fasthttp.Client
)

var names = slices.Concat([]string{Call, Do, Transport, NetHTTP, FastHTTP}, socketNames)

// New returns the client with a name. Each sends the same request again and again, once it
// has been answered, which all of them allow, and is told nothing but how many connections
// it may keep; or the same message, on WebSockets that are open when New returns. The
// engine is for this project's.
func New(name string, c Config, engine conn.Engine) (Client, error) {
	if err := c.check(); err != nil {
		return Client{}, err
	}
	t := &ringkit.Transport{Engine: engine, MaxIdleConns: c.InFlight, MaxIdleConnsPerHost: c.InFlight}
	end := func() { t.Close() }
	switch name {
	case Call:
		rc := &ringkit.Client{Transport: t}
		return Client{func(p *phase) { newChain(p, rc, c).begin() }, end}, nil
	case Do:
		return Client{blocking(standard(c, (&ringkit.Client{Transport: t}).Do)), end}, nil
	case Transport:
		return Client{blocking(standard(c, (&http.Client{Transport: t}).Do)), end}, nil
	case NetHTTP:
		t := &http.Transport{MaxIdleConns: c.InFlight, MaxIdleConnsPerHost: c.InFlight}
		return Client{blocking(standard(c, (&http.Client{Transport: t}).Do)), t.CloseIdleConnections}, nil
	case FastHTTP:
		fc := &fasthttp.Client{MaxConnsPerHost: c.InFlight}
		return Client{blocking(fast(c, fc)), fc.CloseIdleConnections}, nil
	case Dial:
		open, end := dialRingkit(engine)
		return newSockets(c, open, end)
	case Gorilla:
		return newSockets(c, dialGorilla, func() {})
	case Coder:
		return newSockets(c, dialCoder, func() {})
	case GWS:
		return newSockets(c, dialGWS, func() {})
	}
	return Client{}, fmt.Errorf("no client %q (there are: %s)", name, strings.Join(names, ", "))
}

// Describe returns the names of all clients.
func Describe() string { return strings.Join(names, ", ") }

// request returns the request that is sent.
func request(c Config) *http.Request {
	req, err := http.NewRequest(http.MethodGet, c.url(), nil)
	if err != nil {
		panic(err) // the URL is one
	}
	return req
}

// standard asks with the requests and responses of net/http.
func standard(c Config, do func(*http.Request) (*http.Response, error)) func() func() error {
	return func() func() error {
		req, scratch := request(c), make([]byte, 2*len(client.Body))
		return func() error {
			resp, err := do(req)
			if err != nil {
				return err
			}
			return check(resp, scratch)
		}
	}
}

// check reads a response.
func check(resp *http.Response, scratch []byte) error {
	defer resp.Body.Close()
	have := 0
	for {
		n, err := resp.Body.Read(scratch[have:])
		have += n
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if have == len(scratch) {
			return fmt.Errorf("a body of %q and more", scratch)
		}
	}
	return verify(resp.StatusCode, scratch[:have])
}

func verify(status int, body []byte) error {
	if status != http.StatusOK || string(body) != client.Body {
		return fmt.Errorf("status %d, body %q", status, bytes.Clone(body))
	}
	return nil
}

// chain is a request after the other, each sent by the callback of the one before.
type chain struct {
	p       *phase
	c       *ringkit.Client
	req     *http.Request
	scratch []byte
	next    func(*http.Response, error)
}

func newChain(p *phase, rc *ringkit.Client, c Config) *chain {
	k := &chain{p: p, c: rc, req: request(c), scratch: make([]byte, 2*len(client.Body))}
	k.next = k.answered
	return k
}

func (k *chain) begin() { k.c.Call(k.req, k.next) }

func (k *chain) answered(resp *http.Response, err error) {
	if err == nil {
		err = check(resp, k.scratch)
	}
	if !k.p.count(err) {
		k.p.kept.Done()
		return
	}
	k.begin()
}

// fast asks with the requests and responses of fasthttp.
func fast(c Config, fc *fasthttp.Client) func() func() error {
	return func() func() error {
		req, resp := new(fasthttp.Request), new(fasthttp.Response)
		req.SetRequestURI(c.url())
		return func() error {
			if err := fc.Do(req, resp); err != nil {
				return err
			}
			return verify(resp.StatusCode(), resp.Body())
		}
	}
}
