package client

import (
	"context"
	"crypto/tls"
	"math"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/http1"
)

// Defaults of [Transport].
const (
	DefaultDialTimeout            = 10 * time.Second
	DefaultTLSHandshakeTimeout    = 10 * time.Second
	DefaultResponseHeaderTimeout  = 60 * time.Second
	DefaultExpectContinueTimeout  = time.Second
	DefaultReadTimeout            = 60 * time.Second
	DefaultWriteTimeout           = 60 * time.Second
	DefaultIdleConnTimeout        = 90 * time.Second
	DefaultQueueTimeout           = 60 * time.Second
	DefaultMaxIdleConns           = 1024
	DefaultMaxIdleConnsPerHost    = 256
	DefaultMaxQueued              = 16384
	DefaultMaxResponseHeaderBytes = 64 << 10
	DefaultMaxBodyBytes           = 1 << 30
)

// Transport keeps the connections of a client and makes single requests on them: it is
// an http.RoundTripper, for an http.Client, a httputil.ReverseProxy and whatever else
// has one. Its connections live on event loops, where an idle one costs no goroutine and
// is watched: one that its server ends is gone at once.
//
// Its fields have the names and meanings of http.Transport where they exist there. They
// must not be changed after first use; the zero value of each is a safe default. For
// every timeout 0 is the default and a negative value none; for numbers too, where
// nothing else is said. The methods may be called by any goroutine.
type Transport struct {
	// EventLoops are loops of somebody else to live on, such as those of a server:
	// see EventLoops of ringkit.Server. nil means loops of its own, which run until Close.
	EventLoops []*conn.Loop

	// Loops is how many loops of its own there are, each with a thread. Default one for
	// four CPUs that the process may use.
	Loops int

	// Engine is what they run on. The environment variable RINGKIT_ENGINE overrides it.
	Engine conn.Engine

	// Proxy returns the proxy of a request, nil for none. Its scheme is http, https,
	// socks5 or socks5h, which are the same: names are looked up by the proxy. A user and
	// password in it are sent to it. A request for an https URL goes through a tunnel
	// (CONNECT), never in plaintext; a [*ProxyError] says why there is none. An https
	// proxy has to satisfy TLSClientConfig, but for its ServerName. When Proxy is nil
	// there is none; [DefaultTransport] has http.ProxyFromEnvironment. See also
	// http.ProxyURL and golang.org/x/net/http/httpproxy.
	Proxy func(*http.Request) (*url.URL, error)

	// ProxyConnectHeader is sent with CONNECT. Its Proxy-Authorization, if there is one,
	// is sent instead of the user and password in the URL of the proxy.
	ProxyConnectHeader http.Header

	// DialContext makes connections. The default is that of a net.Dialer with Resolver
	// and LocalAddr, which tries the addresses of a name as RFC 8305 has it (Happy
	// Eyeballs). It is called on a goroutine. The connection must be one of the net
	// package for TCP or unix sockets.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)

	// Resolver finds addresses; nil means net.DefaultResolver.
	Resolver *net.Resolver

	// LocalAddr is the address to connect from; nil lets the system choose.
	LocalAddr net.Addr

	// UnixSocket, if it is not "", is where all connections go to, whatever the URL says:
	// the path of a socket, or "@name" for an abstract one.
	UnixSocket string

	// TLSClientConfig is for https; see [WithTLSConfig] for single requests. "http/1.1"
	// is what is offered by ALPN. Sessions are resumed, from a cache of 64 unless it has one.
	TLSClientConfig *tls.Config

	// DialTimeout bounds looking up a name, connecting, and a proxy's answer, all
	// together. Default 10 s.
	DialTimeout time.Duration

	// TLSHandshakeTimeout bounds each handshake. Default 10 s.
	TLSHandshakeTimeout time.Duration

	// ResponseHeaderTimeout is how long a server may take for the head of its response,
	// once it has been sent the request, or the next interim response. Default 60 s.
	ResponseHeaderTimeout time.Duration

	// ExpectContinueTimeout is how long a request with "Expect: 100-continue" waits for
	// a 100 before its body is sent nevertheless. Default 1 s.
	ExpectContinueTimeout time.Duration

	// ReadTimeout is how long the body of a response may make no progress while it is
	// being read. Default 60 s.
	ReadTimeout time.Duration

	// WriteTimeout is how long a server may take nothing of what is sent to it. Default
	// 60 s. Loops that are somebody else's have their own.
	WriteTimeout time.Duration

	// IdleConnTimeout is how long a connection is kept idle. Default 90 s.
	IdleConnTimeout time.Duration

	// QueueTimeout is how long a request waits for a connection, which includes that one
	// is made for it. Default 60 s.
	QueueTimeout time.Duration

	// MaxConns and MaxConnsPerHost bound the connections, with those that are being made.
	// Requests beyond that wait. Default none.
	MaxConns        int
	MaxConnsPerHost int

	// MaxIdleConns and MaxIdleConnsPerHost bound those that are kept idle. Defaults 1024
	// and 256.
	MaxIdleConns        int
	MaxIdleConnsPerHost int

	// MaxQueued bounds the requests that wait for a connection, of all hosts; the next
	// one fails with [ErrQueueFull]. Default 16384.
	MaxQueued int

	// Pipeline is how many requests may be on their way on one connection at a time.
	// Only such without a body and with an idempotent method are sent behind others.
	// Default 1: no pipelining, which is for servers that are known to do it well.
	Pipeline int

	// MaxResponseHeaderBytes bounds the head of a response. Default 64 KiB.
	MaxResponseHeaderBytes int64

	// MaxBodyBytes bounds the body of a response, as it is sent and also after it is
	// decoded: reading beyond fails with a [*BodyTooLargeError]. Default 1 GiB.
	MaxBodyBytes int64

	// DisableKeepAlives has each connection used for one request only.
	DisableKeepAlives bool

	// DisableCompression has the transport not ask for a content coding. Otherwise it
	// asks for gzip, deflate, br and zstd when the request has neither Accept-Encoding
	// nor Range, and decodes what it gets.
	DisableCompression bool

	hooks hooks // set by tests

	mu      sync.Mutex
	begun   bool
	closed  bool
	failed  error // there are no loops
	workers []*worker
	turn    int // of the workers
	own     bool
	hosts   map[key]*host
	conns   int         // all, and those that are being made
	idle    chain[link] // all, the one that has been for longest first
	queued  int
	wanting []*host // have to wait for MaxConns
	counts  Stats
	limits  http1.Limits

	closing  context.Context // ends with Close, and what is being dialed with it
	endDials context.CancelFunc
	sessions sessions // of TLS
}

// hooks replace what is not to be had in a simulation.
type hooks struct {
	newRing func() (conn.Ring, error)
	clock   func() int64
	dial    func(d *dialing) // calls d.connected or d.failed on any goroutine
	after   func(d time.Duration, f func()) (stop func())
	byHand  bool // who turns the loops is the test
}

// DefaultTransport is what [DefaultClient] uses.
var DefaultTransport = &Transport{Proxy: http.ProxyFromEnvironment}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	ex, err := t.newExchange(req)
	if err != nil {
		return nil, err
	}
	got := waiters.Get().(waiter)
	defer waiters.Put(got)
	ex.asker = got
	t.submit(ex)
	select {
	case r := <-got:
		return r.resp, r.err
	case <-ctx.Done():
		ex.cancel(context.Cause(ctx))
		r := <-got
		return r.resp, r.err
	}
}

// result is what becomes of an exchange.
type result struct {
	resp *http.Response
	err  error
}

// begin makes what follows from the fields; mu is held.
func (t *Transport) begin() error {
	if t.begun || t.closed {
		return t.failed
	}
	t.begun = true
	t.hosts = make(map[key]*host)
	t.closing, t.endDials = context.WithCancel(context.Background())
	t.limits = http1.Limits{
		Head: int(orDefault(t.MaxResponseHeaderBytes, DefaultMaxResponseHeaderBytes)),
		Body: t.maxBody(),
	}.Resolve()
	t.failed = t.startLoops()
	return t.failed
}

func (t *Transport) maxBody() int64 { return int64(limit(t.MaxBodyBytes, DefaultMaxBodyBytes)) }

// Close ends all connections, and the loops of a transport that has its own. Requests
// that are under way, and later ones, fail with [ErrClosed].
func (t *Transport) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil
	}
	t.closed = true
	waiting := t.dropQueues()
	workers := t.workers
	if t.endDials != nil {
		t.endDials()
	}
	t.mu.Unlock()
	for _, ex := range waiting {
		ex.fail(nil, opQueue, ErrClosed)
	}
	for _, w := range workers {
		w.end()
	}
	if t.own && !t.hooks.byHand {
		for _, w := range workers {
			<-w.loop.Done()
		}
	}
	return nil
}

// CloseIdleConnections closes the connections that are idle now.
func (t *Transport) CloseIdleConnections() {
	t.mu.Lock()
	var idle []*link
	for l := t.idle.tail(); l != nil; l = t.idle.tail() {
		t.take(l)
		idle = append(idle, l)
	}
	t.mu.Unlock()
	for _, l := range idle {
		l.retire()
	}
}

func orDefault[T int | int64 | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

// timeout resolves a timeout: 0 is the default, negative is none.
func timeout(v, def time.Duration) time.Duration { return max(0, orDefault(v, def)) }

// limit resolves a number: 0 is the default, negative is none.
func limit[T int | int64](v, def T) int {
	if v = orDefault(v, def); v < 0 {
		return math.MaxInt
	}
	return int(v)
}

// waiter is an asker that waits: it receives once for each exchange.
type waiter chan result

var waiters = sync.Pool{New: func() any { return make(waiter, 1) }}

// done implements asker.
func (w waiter) done(loop *conn.Loop, r result) {
	if loop != nil {
		loop.Woke()
	}
	w <- r
}
