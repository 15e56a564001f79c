package ringkit

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/internal/tlsconn"
)

// handshakeInput is how much may have been received that a handshake has not read
// yet; then receiving stops. It is enough for any message of a handshake, and most
// of it is what a hasty client sends behind.
const handshakeInput = 64 << 10

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
	has := len(cfg.Certificates) > 0 || cfg.GetCertificate != nil || cfg.GetConfigForClient != nil
	if !has || certFile != "" || keyFile != "" {
		cert, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return nil, fmt.Errorf("ringkit: TLS certificate: %w", err)
		}
		cfg.Certificates = []tls.Certificate{cert}
	}
	return cfg, nil
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
	over    bool
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
	if h.tls.Arrived(in) > handshakeInput && !h.over {
		c.Hold()
	}
	if !h.running && (h.tls.HasRecord() || c.Held()) {
		h.run(c)
	}
	return len(in)
}

func (h *handshake) begin(c *conn.Conn) {
	h.handle = c.Handle()
	local, remote := h.endpoints(c)
	h.tls = tlsconn.Server(h.cfg, local, remote, h.send)
}

func (h *handshake) run(c *conn.Conn) {
	srv := h.srv
	if srv.handshakes.Add(1) > maxHandshakes {
		srv.handshakes.Add(-1)
		c.Abort(errHandshakes)
		return
	}
	h.running = true
	go func() {
		err := h.tls.HandshakeContext(h.ctx)
		srv.handshakes.Add(-1)
		h.loop.Do(func(*conn.Loop) { h.finished(err) })
	}()
}

var errHandshakes = errorString("too many TLS handshakes at a time")

// send is called by the handshake's goroutine.
func (h *handshake) send(p []byte) {
	p = slices.Clone(p)
	h.loop.Do(func(*conn.Loop) {
		if c := h.handle.Conn(); c != nil {
			c.Write(p)
		}
	})
}

// finished goes on with the connection when the handshake is over.
func (h *handshake) finished(err error) {
	c := h.handle.Conn()
	if c == nil || c.Closing() {
		return
	}
	if err == nil {
		err = h.agreed()
	}
	if err != nil {
		h.failed(c, err)
		return
	}
	if h.over = true; c.Held() {
		c.Resume() // what was kept is for TLS
	}
	rest := h.tls.Attach(c)
	o := h.origin
	o.tls = h.tls
	c.SetProtocol(o)
	c.SetLayer(h.tls)
	o.worker.Open(c)
	c.Unseal(rest)
	if c.AtEOF() && c.State == nil {
		c.Close()
	}
}

// agreed counts the handshake, and refuses a protocol that nobody here speaks.
func (h *handshake) agreed() error {
	state := h.tls.ConnectionState()
	if p := state.NegotiatedProtocol; p == "h2" {
		return errNegotiated
	}
	h.count.Handshakes++
	if state.DidResume {
		h.count.Resumed++
	}
	return nil
}

var errNegotiated = errors.New("GetConfigForClient offers h2, which this server does not speak")

// failed ends a connection without TLS, after what the client is told about it.
func (h *handshake) failed(c *conn.Conn, err error) {
	h.count.HandshakesFailed++
	var header tls.RecordHeaderError
	if errors.As(err, &header) && looksLikeHTTP(header.RecordHeader) {
		err = errPlainHTTP
		c.Write(plainHTTP)
	}
	h.srv.logHandshake(h.peerName(c), err)
	c.CloseLingering()
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
	if !h.running {
		c.Close()
		return
	}
	h.tls.Ended(io.EOF)
}

// Drained implements conn.Protocol.
func (h *handshake) Drained(*conn.Conn) {}

// Timeout implements conn.Protocol.
func (h *handshake) Timeout(c *conn.Conn) { c.Abort(os.ErrDeadlineExceeded) }

// Closed implements conn.Protocol.
func (h *handshake) Closed(c *conn.Conn, err error) {
	if h.running {
		if err == nil {
			err = net.ErrClosed
		}
		h.tls.Ended(err)
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
