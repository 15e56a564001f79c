package ringkit

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/http1"
)

// Defaults of a [Server]. A negative value of a timeout or limit means none.
const (
	DefaultReadHeaderTimeout = 10 * time.Second
	DefaultReadTimeout       = 60 * time.Second
	DefaultWriteTimeout      = 60 * time.Second
	DefaultIdleTimeout       = 120 * time.Second
	DefaultMaxHeaderBytes    = 64 << 10
	DefaultMaxBodyBytes      = 10 << 20
	DefaultMaxConcurrent     = 16384
	DefaultMaxQueued         = 1024
)

// Server is an HTTP server. Its fields have the names and meanings of
// http.Server where they exist there. They must not be changed once the server
// has been started; the zero value of each is a safe default. The methods may be
// called by any goroutine.
type Server struct {
	// Addr is what ListenAndServe listens on. "host:port" is a TCP address; "" means
	// ":http", and port 0 lets the system choose: see Addrs. "unix:/path" is a socket
	// file, which is removed at the end; one that a server left behind, a socket on
	// which nobody listens, is replaced. "unix:@name" is an abstract name (unix(7)).
	Addr string

	// UnixMode is the mode of the socket file of ListenAndServe, whatever the umask:
	// connecting takes the permission to write. Default 0600.
	UnixMode os.FileMode

	// Handler answers the requests; nil means http.DefaultServeMux.
	Handler http.Handler

	// TLSConfig is used by ServeTLS and ListenAndServeTLS, which make a copy of it. The
	// protocol "h2" is not offered, "http/1.1" is. A handshake may take as long as
	// a request head, see ReadHeaderTimeout; at most 16384 run at a time.
	TLSConfig *tls.Config

	// KernelTLS has the kernel seal what is sent over TLS, and send files itself, where
	// it can: the function KernelTLS tells why it cannot, and then TLS stays with
	// crypto/tls. Of the connections, that takes TLS 1.3 with AES-GCM, and a configuration
	// that is not from GetConfigForClient. Stats.KernelTLS counts them. Default off.
	KernelTLS bool

	// Mode is where handlers run; the default is Auto.
	Mode Mode

	// ReadHeaderTimeout is the time a request head may take from its first byte: a
	// client that takes longer gets a 408. It is also the time a new connection
	// may send nothing before it is closed. Default 10 s.
	ReadHeaderTimeout time.Duration

	// ReadTimeout is how long a request body may make no progress. A client that
	// takes longer gets a 408. Default 60 s.
	ReadTimeout time.Duration

	// WriteTimeout is how long a client may take no data (at most 64 KiB) that
	// has been sent to it, before the connection is given up. So a client that
	// reads slowly is given up, too, unless it reads that much in this time once
	// what the kernel buffers, some MiB, is full. Default 60 s.
	WriteTimeout time.Duration

	// IdleTimeout is how long a connection may wait for its next request before
	// it is closed. Default 120 s.
	IdleTimeout time.Duration

	// MaxHeaderBytes bounds the head of a request: more is answered with a 431.
	// Default 64 KiB, of which the request line may have 8 KiB (else 414).
	MaxHeaderBytes int

	// MaxBodyBytes bounds the body of a request: more is answered with a 413, or
	// ends the reading of a body whose length was not announced with an
	// *http.MaxBytesError. A body of up to 64 KiB is complete in memory before the
	// handler runs, for a HandlerFunc any body is. Default 10 MiB; http.Server has
	// no limit.
	MaxBodyBytes int64

	// MaxMessageBytes bounds a message of a WebSocket, after inflation: see
	// ChannelOptions. Default 4 MiB.
	MaxMessageBytes int

	// MaxContextBytes bounds the memory for WebSockets that take over the context of their
	// compression, see ChannelOptions.Compression: each counts for its windows, up to 32
	// KiB in either direction. Those for which nothing is left, until others are closed,
	// compress each message by itself. Default 128 MiB, enough for 2048.
	MaxContextBytes int64

	// MaxConcurrent bounds the number of handlers that run on goroutines, and
	// MaxQueued the number of requests that wait for one of them to end: beyond
	// both the answer is a 503 with Retry-After. A handler that blocked on its loop
	// counts, too. Defaults 16384 and 1024.
	MaxConcurrent int
	MaxQueued     int

	// MaxConns bounds the number of open connections. Further clients wait until one
	// is closed: in the backlog of the listener, or accepted, where the kernel was
	// quicker. Connections that were hijacked do not count. Default none: at the
	// limit of descriptors accepting waits in the same way.
	MaxConns int

	// MaxConnsPerIP bounds the number of open connections from one IPv4 address, or
	// one /64 of IPv6; it is that of the client if a PROXY header tells one. Further
	// ones are answered with a 503 and Retry-After, or closed at once if they speak
	// TLS or are twice as many. Unix sockets do not count. Default none.
	MaxConnsPerIP int

	// ProxyProtocol is whether connections begin with a PROXY header; the default is
	// ProxyOff.
	ProxyProtocol ProxyProtocol

	// ProxyTrusted are the addresses that may send a PROXY header. nil means those of
	// this machine's loopback interface; peers of unix sockets, whose mode says who
	// may connect, are trusted always.
	ProxyTrusted []netip.Prefix

	// Loops is the number of event loops, each with a thread of its own; 0 means
	// one for each CPU that the process may use (GOMAXPROCS).
	Loops int

	// Engine is how the server talks to the kernel; the default is Auto. The
	// environment variable RINGKIT_ENGINE overrides it.
	Engine Engine

	// DirectDescriptors has connections live in tables of files that the rings of the
	// event loops have, in the place of descriptors: so they do not count for the limit
	// of descriptors of the process (RLIMIT_NOFILE), and the kernel saves a little with each
	// operation. The table of a loop has as many places as that limit, 131072 at most, and
	// takes 8 bytes for each in the kernel; connections for which it has none keep their
	// descriptors. So does what is hijacked, sealed by the kernel (KernelTLS), or is
	// sent a file, for as long as that takes; Hijack can fail for want of one, and files
	// are copied then. Clients that send a head byte by byte cost more processor time than
	// with descriptors. Stats.Direct counts the connections. It takes io_uring and Linux 6.13:
	// otherwise the log says what is missing, and connections have descriptors as ever.
	// Default off.
	DirectDescriptors bool

	// Name is sent as the Server field of responses; "" sends none.
	Name string

	// ErrorLog gets what goes wrong in handlers and in accepting connections, as lines
	// of text; nil means Logger, and without that the log package's standard logger.
	ErrorLog *log.Logger

	// Logger gets the same as structured records, unless ErrorLog is set. Messages and
	// keys stay as they are: "engine chosen" (loop, engine, tier, why), "no direct
	// descriptors" (loop, why), "accept has to wait" (listener, error), "TLS handshake
	// failed" (remote, error), "PROXY header refused" (remote, error), "handler panicked"
	// (panic, remote, stack), "handler ended its goroutine" (remote, stack), "timer
	// panicked" (panic, stack), "handler misused the server" (what), "event loop ended"
	// (error); and, every 10 s at most, "handler blocked its event loop" (route).
	Logger *slog.Logger

	// Hooks are called when something happens that operators may want to know of.
	Hooks Hooks

	// BaseContext returns the context that request contexts of a listener derive
	// from; nil means context.Background().
	BaseContext func(net.Listener) context.Context

	// ConnContext, if set, changes the context of the requests of a connection,
	// which derives from that of its listener. It is called on the event loop,
	// once for each connection, and must not block. The connection can tell its
	// addresses and be closed, nothing else. A connection that has to send a PROXY
	// header is introduced when it has, one that MaxConnsPerIP refuses never.
	ConnContext func(ctx context.Context, c net.Conn) context.Context

	// ConnState, if set, is called when a connection changes its state, as
	// http.Server does. It is called on the event loop and must not block. The
	// connection is the one ConnContext gets.
	ConnState func(net.Conn, http.ConnState)

	engines *conn.Engines             // nil for conn.KernelEngines; set by tests
	newRing func() (conn.Ring, error) // nil for the kernel's; set by tests
	clock   func() int64              // nil for the system's; set by tests
	parking time.Duration             // conn.Config.ParkAfter; set by tests

	lookAfter time.Duration // 0 for the default; set by tests

	mu         sync.Mutex
	workers    []*worker
	listeners  []*listener
	listened   int           // listeners so far
	ready      chan struct{} // closed when the first accepts; see readiness
	readied    sync.Once
	onShutdown []func()
	listening  sync.WaitGroup // listeners that accept
	pool       pool           // handlers on goroutines
	predict    predictor
	timers     atomic.Uint32 // made by AfterFunc, to spread them
	handshakes atomic.Int64  // of TLS, that run now
	stopping   atomic.Bool   // Shutdown or Close was called
	gate       *gate         // of MaxConns, nil for none
	perAddress *perAddress   // of MaxConnsPerIP, nil for none
	limits     http1.Limits
	contexts   contexts     // of MaxContextBytes
	native     HandlerFunc  // that answers complete requests, nil for streamed
	streamed   http.Handler // that can read bodies as they arrive, nil for native
	panics     atomic.Uint64
	standard   *http.Server // what programs find that look for net/http's server

	noFilesSaid  bool         // openFiles has said why
	takeoverSaid atomic.Int64 // when logTakeover spoke last, in Unix nanoseconds
}

// ListenAndServe listens on srv.Addr and serves until the server is shut down or
// fails. The error is never nil; it is http.ErrServerClosed after Shutdown or Close.
func (srv *Server) ListenAndServe() error {
	if srv.stopping.Load() {
		return http.ErrServerClosed
	}
	l, err := listenOn(srv.Addr, srv.UnixMode)
	if err != nil {
		return err
	}
	return srv.serve(l, nil, false)
}

// ListenAndServe serves h on an address, as [Server].Addr has it, with a zero Server.
func ListenAndServe(addr string, h http.Handler) error {
	srv := &Server{Addr: addr, Handler: h}
	return srv.ListenAndServe()
}

// Serve accepts connections on l until the server is shut down or fails, or l is
// closed. The listener must be one of the net package for TCP or unix sockets; it is
// closed when Serve returns. Serve may be called several times with different
// listeners. The error is never nil; it is http.ErrServerClosed after Shutdown or
// Close. It matches net.ErrClosed when l was closed by somebody else: that is noticed
// with the next connection, which is not served, and within half a second; the
// connections there are go on. When Engine is IOUring and the kernel has none for this
// process, the error matches uring.ErrUnavailable and says why.
func (srv *Server) Serve(l net.Listener) error { return srv.serve(l, nil, true) }

// serve is Serve, with TLS if cfg is not nil; shared says that l may be closed by
// others.
func (srv *Server) serve(l net.Listener, cfg *tls.Config, shared bool) error {
	defer l.Close()
	ln, err := srv.listen(l, cfg)
	if err != nil {
		return err
	}
	err = ln.wait(shared)
	srv.mu.Lock()
	srv.listeners = slices.DeleteFunc(srv.listeners, func(other *listener) bool { return other == ln })
	srv.mu.Unlock()
	if srv.stopping.Load() {
		return http.ErrServerClosed
	}
	return err
}

// Addrs returns the addresses the server listens on, in the order of the calls of
// Serve, with the ports that the system chose.
func (srv *Server) Addrs() []net.Addr {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	addrs := make([]net.Addr, len(srv.listeners))
	for i, ln := range srv.listeners {
		addrs[i] = ln.addr
	}
	return addrs
}

// listen starts the loops if they are not running, and accepting on l.
func (srv *Server) listen(l net.Listener, cfg *tls.Config) (*listener, error) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.stopping.Load() {
		return nil, http.ErrServerClosed
	}
	if err := srv.start(); err != nil {
		return nil, err
	}
	raw, fd, err := descriptor(l)
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	if srv.BaseContext != nil {
		if ctx = srv.BaseContext(l); ctx == nil {
			panic("ringkit: BaseContext returned a nil context")
		}
	}
	ctx = context.WithValue(ctx, ServerContextKey, srv)
	ctx = context.WithValue(ctx, http.ServerContextKey, srv.standard)
	ln := newListener(srv, l, raw, cfg, ctx)
	if l.Addr().Network() == "tcp" {
		setOptions(fd)
		ln.early = backlog(fd)
	}
	srv.listeners = append(srv.listeners, ln)
	srv.listened++
	srv.listening.Add(1)
	ready := srv.readiness()
	ln.worker.loop.Do(func(loop *conn.Loop) {
		ln.start(loop, fd)
		srv.readied.Do(func() { close(ready) })
	})
	return ln, nil
}

// start makes the loops and runs them.
func (srv *Server) start() error {
	if len(srv.workers) > 0 {
		return nil
	}
	srv.resolve()
	if _, err := srv.Engine.Chosen(); err != nil {
		return err
	}
	n := srv.Loops
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	for range n {
		w, err := newWorker(srv)
		if err != nil {
			err = fmt.Errorf("ringkit: start event loop %d of %d: %w", len(srv.workers)+1, n, err)
			srv.abandonStart()
			return err
		}
		srv.workers = append(srv.workers, w)
	}
	for i, w := range srv.workers {
		go srv.run(i, w)
	}
	return nil
}

// resolve fixes what follows from the fields.
func (srv *Server) resolve() {
	if srv.Handler == nil {
		srv.Handler = http.DefaultServeMux
	}
	switch h := srv.Handler.(type) {
	case HandlerFunc:
		srv.native = h
	case Split:
		srv.native, srv.streamed = h.Native, h.Streamed
	default:
		srv.streamed = h
	}
	srv.standard = &http.Server{
		Addr: srv.Addr, Handler: srv.Handler, TLSConfig: srv.TLSConfig, ErrorLog: srv.ErrorLog, MaxHeaderBytes: srv.MaxHeaderBytes,
		ReadHeaderTimeout: srv.ReadHeaderTimeout, IdleTimeout: srv.IdleTimeout,
	}
	srv.pool.most = orDefault(srv.MaxConcurrent, DefaultMaxConcurrent)
	srv.pool.mostQueued = max(0, orDefault(srv.MaxQueued, DefaultMaxQueued))
	if srv.MaxConns > 0 {
		srv.gate = &gate{most: srv.MaxConns}
	}
	if srv.MaxConnsPerIP > 0 {
		srv.perAddress = &perAddress{most: srv.MaxConnsPerIP, conns: map[netip.Addr]int{}}
	}
	srv.contexts.most = orDefault(srv.MaxContextBytes, DefaultMaxContextBytes)
	srv.limits = http1.Limits{
		Head: orDefault(srv.MaxHeaderBytes, DefaultMaxHeaderBytes),
		Body: orDefault(srv.MaxBodyBytes, DefaultMaxBodyBytes),
	}.Resolve()
}

// abandonStart ends loops that were made before one could not be.
func (srv *Server) abandonStart() {
	for _, w := range srv.workers {
		w.loop.Quit()
		go w.loop.Run()
	}
	srv.workers = nil
}

// run turns a loop until it ends. When its ring fails, which only a kernel out of
// memory or a bug can bring about, its listeners' Serve return the error.
func (srv *Server) run(i int, w *worker) {
	if f := srv.Hooks.EngineChosen; f != nil {
		f(i, w.engine)
	}
	w.loop.Run()
	<-w.loop.Done()
	if err := w.loop.Err(); err != nil {
		srv.logLoopEnd(err)
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

// RegisterOnShutdown registers a function to be called, in its own goroutine, by
// each call of Shutdown.
func (srv *Server) RegisterOnShutdown(f func()) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	srv.onShutdown = append(srv.onShutdown, f)
}

// Shutdown stops accepting, closes idle connections, lets requests that have
// begun finish, and waits for that. Answers say "Connection: close" from now on.
// When ctx ends first its error is returned and the remaining connections go on;
// Close ends them.
func (srv *Server) Shutdown(ctx context.Context) error {
	srv.stopping.Store(true)
	srv.mu.Lock()
	for _, f := range srv.onShutdown {
		go f()
	}
	srv.mu.Unlock()
	return srv.stop(ctx, (*worker).drain)
}

// Close stops accepting and ends all connections at once. Handlers that run on
// goroutines go on until they notice; their contexts are cancelled.
func (srv *Server) Close() error {
	srv.stopping.Store(true)
	return srv.stop(context.Background(), (*worker).abort)
}

// stop ends accepting, has every worker end its connections in the given way, and
// waits for the loops to end. They are told to do so only when nothing is accepted
// any more: a connection on its way from one loop to another must arrive.
func (srv *Server) stop(ctx context.Context, how func(*worker)) error {
	srv.mu.Lock()
	workers := slices.Clone(srv.workers)
	for _, ln := range srv.listeners {
		ln.worker.loop.Do(func(*conn.Loop) { ln.close() })
	}
	srv.mu.Unlock()
	for _, w := range workers {
		w.loop.Do(func(*conn.Loop) { how(w) })
	}
	go func() {
		srv.listening.Wait()
		for _, w := range workers {
			w.loop.Do(func(l *conn.Loop) {
				how(w) // who shares the loop may have opened connections meanwhile
				l.Quit()
			})
		}
	}()
	var errs []error
	for _, w := range workers {
		select {
		case <-w.loop.Done():
			errs = append(errs, w.loop.Err())
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return errors.Join(errs...)
}

// pick returns the index of the worker with the fewest connections, and counts the
// next one as its.
func (srv *Server) pick() int {
	best := 0
	for i, w := range srv.workers {
		if w.load.Load() < srv.workers[best].load.Load() {
			best = i
		}
	}
	srv.workers[best].load.Add(1)
	return best
}
