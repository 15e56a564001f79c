package ringkit

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"sync/atomic"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/ktls"
	"github.com/ringkit/ringkit/internal/tlsconn"
)

// maxHandshakes is how many may run at a time; then new connections are closed.
const maxHandshakes = 16384

// ListenAndServeTLS is [Server.ListenAndServe] with TLS; Addr "" means ":https". The
// files have the certificate, followed by those of its issuers, and its key, in PEM;
// they may be "" when TLSConfig has a certificate or a way to get one.
func (srv *Server) ListenAndServeTLS(certFile, keyFile string) error {
	if srv.stopping.Load() {
		return http.ErrServerClosed
	}
	addr := srv.Addr
	if addr == "" {
		addr = ":https"
	}
	cfg, err := srv.tlsConfig(certFile, keyFile)
	if err != nil {
		return err
	}
	l, err := listenOn(addr, srv.UnixMode)
	if err != nil {
		return err
	}
	return srv.serve(l, cfg, false)
}

// ListenAndServeTLS serves h over TLS on a TCP address with a zero [Server].
func ListenAndServeTLS(addr, certFile, keyFile string, h http.Handler) error {
	srv := &Server{Addr: addr, Handler: h}
	return srv.ListenAndServeTLS(certFile, keyFile)
}

// ServeTLS is [Server.Serve] with TLS. For the files see [Server.ListenAndServeTLS].
func (srv *Server) ServeTLS(l net.Listener, certFile, keyFile string) error {
	cfg, err := srv.tlsConfig(certFile, keyFile)
	if err != nil {
		l.Close()
		return err
	}
	return srv.serve(l, cfg, true)
}

// tlsConfig returns the configuration of the server's listeners.
func (srv *Server) tlsConfig(certFile, keyFile string) (*tls.Config, error) {
	cfg := &tls.Config{}
	if srv.TLSConfig != nil {
		cfg = srv.TLSConfig.Clone()
	}
	cfg.NextProtos = nextProtos(cfg.NextProtos)
	if get := cfg.GetConfigForClient; get != nil {
		cfg.GetConfigForClient = withoutHTTP2(get)
	}
	has := len(cfg.Certificates) > 0 || cfg.GetCertificate != nil || cfg.GetConfigForClient != nil
	if !has || certFile != "" || keyFile != "" {
		cert, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return nil, fmt.Errorf("ringkit: TLS certificate: %w", err)
		}
		cfg.Certificates = []tls.Certificate{cert}
	}
	if srv.KernelTLS && ktls.Probe() == nil {
		cfg.KeyLogWriter = ktls.NewKeyLog(cfg.KeyLogWriter)
	}
	return cfg, nil
}

// withoutHTTP2 has a GetConfigForClient written for net/http, whose configurations offer
// "h2", offer what this server speaks. A program returns few different ones, if not the
// same all the time: the last is remembered.
func withoutHTTP2(get func(*tls.ClientHelloInfo) (*tls.Config, error)) func(*tls.ClientHelloInfo) (*tls.Config, error) {
	type pair struct{ theirs, ours *tls.Config }
	var last atomic.Pointer[pair]
	return func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		cfg, err := get(hello)
		if err != nil || cfg == nil || !slices.Contains(cfg.NextProtos, "h2") {
			return cfg, err
		}
		if p := last.Load(); p != nil && p.theirs == cfg {
			return p.ours, nil
		}
		ours := cfg.Clone()
		ours.NextProtos = nextProtos(cfg.NextProtos)
		last.Store(&pair{cfg, ours})
		return ours, nil
	}
}

// nextProtos returns the protocols a server offers that speaks HTTP/1.1 only.
func nextProtos(protos []string) []string {
	protos = slices.DeleteFunc(slices.Clone(protos), func(p string) bool { return p == "h2" })
	for _, p := range []string{"http/1.1", "http/1.0"} {
		if !slices.Contains(protos, p) {
			protos = append(protos, p)
		}
	}
	return protos
}

// handshake is the conn.Protocol of a connection until TLS has been agreed on. Then
// it goes on with its origin.
type handshake struct {
	*origin
	cfg     *tls.Config
	tls     *tlsconn.Conn // nil before the first byte
	handle  conn.Handle
	running bool
	over    bool         // or failed
	sealer  *ktls.Sealer // what gives the sending to the kernel, nil for nothing
	waiting bool         // for what the handshake wrote to be sent
}

// Open implements conn.Protocol.
func (h *handshake) Open(c *conn.Conn) {
	if h.peer != nil {
		h.meet(c)
	}
	h.worker.Open(c) // with the deadline for a head, which is that for the handshake
}

// Data implements conn.Protocol: it gives what arrives to the handshake. That has no
// goroutine before there is something to do for it.
func (h *handshake) Data(c *conn.Conn, in []byte) int {
	if h.tls == nil {
		h.begin(c)
	}
	if h.tls.Arrived(in) && !h.over {
		c.Hold() // until hungry
	}
	if !h.running && (h.tls.HasRecord() || c.Held()) {
		h.run(c)
	}
	return len(in)
}

func (h *handshake) begin(c *conn.Conn) {
	h.handle = c.Handle()
	local, remote := h.endpoints(c)
	h.tls = tlsconn.Server(h.cfg, tlsconn.Line{Local: local, Remote: remote, Send: h.send, Hungry: h.hungry})
}

func (h *handshake) run(c *conn.Conn) {
	if h.srv.handshakes.Add(1) > maxHandshakes {
		h.srv.handshakes.Add(-1)
		c.Abort(errHandshakes)
		return
	}
	h.running = true
	if log, ok := h.cfg.KeyLogWriter.(*ktls.KeyLog); ok && !h.simulated {
		h.tls.Watch(log)
	}
	h.tls.SplitRecord()
	go h.shake()
}

// shake runs the handshake. The functions of a tls.Config are the user's: one that does
// not return fails the handshake and nothing else.
func (h *handshake) shake() {
	err := errHandshakeExit
	defer func() {
		if err == errHandshakeExit {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
		}
		h.srv.handshakes.Add(-1)
		h.sealer = h.tls.Sealer()
		h.loop.Do(func(*conn.Loop) { h.finished(err) })
	}()
	err = h.tls.HandshakeContext(h.ctx)
}

var (
	errHandshakes    = errorString("too many TLS handshakes at a time")
	errHandshakeExit = errors.New("a function of the tls.Config ended its goroutine")
)

// send is called by the handshake's goroutine.
func (h *handshake) send(p []byte) {
	p = slices.Clone(p)
	h.loop.Do(func(*conn.Loop) {
		if c := h.handle.Conn(); c != nil {
			c.Write(p)
		}
	})
}

// hungry is called by the handshake's goroutine, which has read what was too much.
func (h *handshake) hungry() {
	h.loop.Do(func(*conn.Loop) {
		c := h.handle.Conn()
		if c == nil || c.Closing() || h.over || !c.Held() {
			return
		}
		if c.Resume(); c.AtEOF() && !c.Held() {
			h.tls.Ended(io.EOF)
		}
	})
}

// finished goes on with the connection when the handshake is over.
func (h *handshake) finished(err error) {
	c := h.handle.Conn()
	if c == nil || c.Closing() {
		return
	}
	if err != nil {
		h.failed(c, err)
		return
	}
	if h.waiting = h.sealer != nil && c.Queued() > 0; h.waiting {
		return // what follows is sealed by somebody else
	}
	offloaded := h.sealer != nil && c.KeepDescriptor() == nil && h.sealer.Attach(c.FD()) == nil
	h.count.Handshakes++
	if h.tls.ConnectionState().DidResume {
		h.count.Resumed++
	}
	if h.over = true; c.Held() {
		c.Resume() // what was kept is for TLS
	}
	rest := h.tls.Attach(c)
	o := h.origin
	o.tls = h.tls
	c.SetProtocol(o)
	c.SetLayer(h.tls)
	if offloaded {
		h.count.KernelTLS++
		c.SealBelow(h.sealer)
		h.tls.Offload(h.sealer, c.Control)
	}
	o.worker.Open(c)
	c.Unseal(rest)
	if c.AtEOF() && c.State == nil {
		c.Close()
	}
}

// failed ends a connection without TLS, after what the client is told about it.
func (h *handshake) failed(c *conn.Conn, err error) {
	h.lost(err)
	var header tls.RecordHeaderError
	if errors.As(err, &header) && looksLikeHTTP(header.RecordHeader) {
		err = errPlainHTTP
		c.Write(plainHTTP)
	}
	h.srv.logHandshake(h.peerName(c), err)
	c.CloseLingering()
}

// lost notes that the connection is not going to be a secure one.
func (h *handshake) lost(err error) {
	h.over = true
	h.count.HandshakesFailed++
	if h.why == nil {
		h.why = fmt.Errorf("ringkit: TLS handshake: %w", err)
	}
}

var (
	errPlainHTTP = errors.New("the client sent an HTTP request to an HTTPS server")
	plainHTTP    = []byte("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n" +
		"Content-Length: 55\r\nConnection: close\r\n\r\n400 Bad Request: this is an HTTPS server, use https://\n")
)

// looksLikeHTTP reports whether the first bytes of a connection are those of a request.
func looksLikeHTTP(p [5]byte) bool {
	switch string(p[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "DELET", "PATCH":
		return true
	}
	return false
}

// EOF implements conn.Protocol.
func (h *handshake) EOF(c *conn.Conn) {
	switch {
	case !h.running:
		c.Close()
	case !c.Held(): // otherwise it reads what is kept first
		h.tls.Ended(io.EOF)
	}
}

// Drained implements conn.Protocol.
func (h *handshake) Drained(*conn.Conn) {
	if h.waiting {
		h.waiting = false
		h.loop.Do(func(*conn.Loop) { h.finished(nil) })
	}
}

// Timeout implements conn.Protocol.
func (h *handshake) Timeout(c *conn.Conn) {
	if h.tls != nil {
		h.lost(os.ErrDeadlineExceeded)
		h.srv.logHandshake(h.peerName(c), os.ErrDeadlineExceeded)
	}
	c.Abort(os.ErrDeadlineExceeded)
}

// Closed implements conn.Protocol.
func (h *handshake) Closed(c *conn.Conn, err error) {
	why := err
	if why == nil {
		why = net.ErrClosed
	}
	if h.running {
		h.tls.Ended(why)
	}
	if h.tls != nil && !h.over {
		h.lost(why)
	}
	h.origin.Closed(c, err)
}

// connectionState returns what requests of the connection have as their TLS.
func (o *origin) connectionState() *tls.ConnectionState {
	if o.tls == nil {
		return nil
	}
	if o.tlsState == nil {
		state := o.tls.ConnectionState()
		o.tlsState = &state
	}
	return o.tlsState
}
