package ringkit

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/http1"
	"github.com/ringkit/ringkit/wsock"
)

var defaultChannel ChannelOptions

// OpenChannel makes a channel of a request that a [Server] serves: a WebSocket if the
// client asks for one, otherwise an answer over HTTP that is sent bit by bit or later.
// The fields set in w's header go with it, and over HTTP the status, if WriteHeader was
// called. w cannot be used any more, not even by the handler; deadlines that were set with
// its http.ResponseController do not hold for the channel, whose times are its options'.
//
// Sending is possible at once; callbacks begin when the handler has returned. When the
// request cannot become a channel, the error says why: it is a *wsock.HandshakeError or
// matches [ErrNoChannel], and the client has been told, unless the request was answered
// already. A request that has become one, or was hijacked, gives http.ErrHijacked.
func OpenChannel(w http.ResponseWriter, r *http.Request, events Events) (*Channel, error) {
	return defaultChannel.Open(w, r, events)
}

// OpenChannel is the function OpenChannel for a native handler.
func (x *Exchange) OpenChannel(events Events) (*Channel, error) {
	return defaultChannel.OpenExchange(x, events)
}

// Open is [OpenChannel] with options.
func (o *ChannelOptions) Open(w http.ResponseWriter, r *http.Request, events Events) (*Channel, error) {
	rw := ownWriter(w)
	if rw == nil {
		http.Error(w, "this server has no channels", http.StatusNotImplemented)
		return nil, fmt.Errorf("%w: it is not served by a ringkit.Server", ErrNoChannel)
	}
	values := func(name string) []string { return r.Header[name] }
	var hs wsHandshake
	srv := rw.call.w.srv
	if err := o.handshake(srv, &hs, r.Method, r.ProtoAtLeast(1, 1), r.Host, values); err != nil {
		refuseHandshake(w, err)
		return nil, err
	}
	ch, err := rw.openChannel(o, events, &hs)
	if err != nil {
		hs.giveContexts(srv)
	}
	if err == errBodyUnread {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
	return ch, err
}

// OpenExchange is [Exchange.OpenChannel] with options.
func (o *ChannelOptions) OpenExchange(x *Exchange, events Events) (*Channel, error) {
	if x.r != nil {
		return o.openMounted(x, events)
	}
	srv, req, all := x.n.w.srv, &x.s.req, x.n.values[:0]
	values := func(name string) []string {
		from := len(all)
		for i := range req.NumFields() {
			if n, v := req.Field(i); http1.CanonicalName(n) == name {
				all = append(all, x.n.names.string(v))
			}
		}
		return all[from:]
	}
	var hs wsHandshake
	err := o.handshake(srv, &hs, x.Method(), req.Minor() > 0, x.Host(), values)
	if clear(all); cap(all) <= valuesKept {
		x.n.values = all
	}
	if err != nil {
		e := err.(*wsock.HandshakeError)
		x.Error(e.Status, e.Reason)
		for _, f := range e.Fields {
			x.AddHeader(f[0], f[1])
		}
		return nil, err
	}
	ch, err := x.openChannel(o, events, &hs)
	if err != nil {
		hs.giveContexts(srv)
	}
	return ch, err
}

// openMounted is for a native handler that is mounted in a standard one.
func (o *ChannelOptions) openMounted(x *Exchange, events Events) (*Channel, error) {
	h := x.w.Header()
	for name, value := range headerLines(x.header) {
		h.Add(name, value)
	}
	if x.status != http.StatusOK {
		x.w.WriteHeader(x.status)
	}
	ch, err := o.Open(x.w, x.r, events)
	x.answered = true
	return ch, err
}

// ownWriter finds this package's writer behind those that wrap it.
func ownWriter(w http.ResponseWriter) *responseWriter {
	for {
		switch t := w.(type) {
		case *responseWriter:
			return t
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return nil
		}
	}
}

func refuseHandshake(w http.ResponseWriter, err error) {
	var e *wsock.HandshakeError
	if !errors.As(err, &e) {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	for _, f := range e.Fields {
		w.Header().Add(f[0], f[1])
	}
	http.Error(w, e.Reason, e.Status)
}

// valuesKept is how many values of fields a native call has room for until the next one.
const valuesKept = 64

// wsHandshake is what a WebSocket has settled before it is open.
type wsHandshake struct {
	is                        bool // otherwise it is HTTP
	key, protocol, extensions string
	agreed                    wsock.Compression
}

// handshake checks the request for a WebSocket, if it is one.
func (o *ChannelOptions) handshake(srv *Server, hs *wsHandshake, method string, http11 bool, host string, values func(string) []string) error {
	req := wsock.Request{
		Method: method, HTTP11: http11,
		Connection: values("Connection"), Upgrade: values("Upgrade"),
		Key: values("Sec-Websocket-Key"), Version: values("Sec-Websocket-Version"),
		Protocol: values("Sec-Websocket-Protocol"),
	}
	if !slices.ContainsFunc(req.Upgrade, func(v string) bool { return listHas(v, "websocket") }) {
		return nil
	}
	offered, err := req.Check()
	if err != nil {
		return err
	}
	if origin := values("Origin"); len(origin) > 0 {
		allowed := o.CheckOrigin
		if allowed == nil {
			allowed = wsock.SameOrigin
		}
		if len(origin) > 1 || !allowed(origin[0], host) {
			return wsock.ErrOrigin
		}
	}
	hs.is, hs.key, hs.protocol = true, strings.TrimSpace(req.Key[0]), wsock.ChooseProtocol(offered, o.Protocols)
	if !o.NoCompression {
		options := o.Compression
		if o.Overflow == OverflowDropOldest {
			options.ServerTakeover = false // who is to inflate a message needs those before
		}
		hs.agreed, hs.extensions, err = srv.contexts.accept(options, values("Sec-Websocket-Extensions"))
	}
	return err
}

// resolved returns the options with their defaults.
func (o *ChannelOptions) resolved(srv *Server) *ChannelOptions {
	if r := o.fixed.Load(); r != nil && r.srv == srv {
		return r.options
	}
	r := &ChannelOptions{
		Protocols: o.Protocols, CheckOrigin: o.CheckOrigin, Overflow: o.Overflow,
		MaxMessageBytes: orDefault(o.MaxMessageBytes, orDefault(srv.MaxMessageBytes, DefaultMaxMessageBytes)),
		HighWater:       orDefault(o.HighWater, DefaultHighWater),
		LowWater:        max(0, orDefault(o.LowWater, DefaultLowWater)),
		PingInterval:    orDefault(o.PingInterval, DefaultPingInterval),
		PongWait:        orDefault(o.PongWait, DefaultPongWait),
		CloseWait:       timeout(o.CloseWait, DefaultCloseWait),
		LongPoll:        o.LongPoll,
		PollTimeout:     o.PollTimeout,
		Heartbeat:       orDefault(o.Heartbeat, DefaultHeartbeat),
	}
	r.LowWater = min(r.LowWater, r.HighWater)
	if r.PongWait <= 0 {
		r.PingInterval = 0 // a Ping that needs no answer finds out nothing
	}
	o.fixed.Store(&fixedOptions{srv, r})
	return r
}

// fixedOptions are options as they are on a server.
type fixedOptions struct {
	srv     *Server
	options *ChannelOptions
}

type fixedPointer = atomic.Pointer[fixedOptions]

// newChannel makes a channel.
func newChannel(o *origin, h conn.Handle, opts *ChannelOptions, events Events, hs *wsHandshake) *Channel {
	var ch *Channel
	if !hs.is {
		ch = new(Channel)
	} else {
		sc := new(socketChannel)
		ch, sc.ws = &sc.Channel, &sc.webSocket
		ch.ws.enc.Init(false, hs.agreed)
		received, sent := hs.agreed.Windows(false)
		if hs.protocol != "" || received+sent > 0 {
			ch.ws.extra = &wsExtra{protocol: hs.protocol, received: received, sent: sent}
		}
	}
	ch.origin, ch.handle, ch.events, ch.opts = o, h, events, opts.resolved(o.srv)
	return ch
}

// appendHead appends the answer to a handshake, with field lines of the handler.
func (hs *wsHandshake) appendHead(dst []byte, srv *Server, lines []byte) []byte {
	dst = wsock.AppendResponse(dst, hs.key, hs.protocol, hs.extensions)
	dst = appendServer(dst, srv.Name)
	return http1.AppendEnd(append(dst, lines...))
}

// openChannel makes a channel of the answer of a standard handler.
func (w *responseWriter) openChannel(opts *ChannelOptions, events Events, hs *wsHandshake) (*Channel, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.call
	switch {
	case w.over.Load():
		return nil, errReturned
	case c.hijacked:
		return nil, http.ErrHijacked
	case w.streaming || w.written > 0:
		return nil, fmt.Errorf("%w: it has been answered already", ErrNoChannel)
	case c.body != nil && !c.body.allRead():
		return nil, errBodyUnread
	}
	if w.status == 0 {
		w.begin(http.StatusOK)
	}
	ch := newChannel(c.origin, c.handle, opts, events, hs)
	ch.remote = strings.Clone(c.request.RemoteAddr)
	ch.order.Enter(c.lead)
	ch.route = routeOfChannel(c.path)
	if !hs.is {
		ch.stream = &httpStream{
			status: w.status, lines: slices.Clone(w.lines), has: w.has, method: w.method, minor: w.minor,
			keepAlive: w.keepAlive && !w.close,
		}
	}
	c.hijacked, c.channel = true, ch
	w.isChannel.Store(true)
	ch.attach(c.s, c.lead, hs, w.lines)
	return ch, nil
}

// openChannel makes a channel of the answer of a native handler.
func (x *Exchange) openChannel(opts *ChannelOptions, events Events, hs *wsHandshake) (*Channel, error) {
	n, s := x.n, x.s
	if n.channel != nil {
		return nil, http.ErrHijacked
	}
	if !n.knows() {
		return nil, fmt.Errorf("%w: its event loop stands still", ErrNoChannel)
	}
	ch := newChannel(n.origin, n.handle, opts, events, hs)
	ch.remote = x.RemoteAddr()
	ch.order.Enter(n.lead)
	ch.route = routeOfChannel(s.req.RawPath())
	if !hs.is {
		ch.stream = &httpStream{
			status: x.status, lines: slices.Clone(x.header), has: x.has, method: s.req.MethodID(), minor: s.req.Minor(),
			keepAlive: s.req.KeepAlive() && !x.close, // the head looks whether the server stops
		}
	}
	n.channel = ch
	ch.attach(s, n.lead, hs, x.header)
	return ch, nil
}

// attach has the loop know of the channel while its handler still runs. The answer to a
// handshake goes to the connection, if it leads the loop, or waits.
func (ch *Channel) attach(s *session, lead conn.Lead, hs *wsHandshake, lines []byte) {
	if !lead.Hold() {
		if hs.is {
			ch.queue.SetHead(hs.appendHead(nil, ch.origin.srv, lines))
		}
		if !ch.origin.loop.Do(func(*conn.Loop) { ch.attached(s) }) {
			ch.over(ch.info(errGone)) // the loop has ended: who runs the handler calls Close
		}
		return
	}
	if c := ch.attached(s); c != nil && hs.is {
		w := ch.origin.worker
		head := hs.appendHead(w.takeBuffer(), w.srv, lines)
		c.Write(head)
		ch.unsent = c.Queued()
		w.putBuffer(head)
	}
	lead.Continue()
}

func (ch *Channel) attached(s *session) *conn.Conn {
	c := ch.conn()
	if c == nil || c.State != s {
		ch.over(ch.info(errGone))
		return nil
	}
	s.channel = ch
	ch.handOver(c)
	return c
}

// begin is called when the handler that opened the channel is over: the session ends,
// and the channel goes on, unless the handler has failed with panicked or ended its
// goroutine.
func (ch *Channel) begin(s *session, c *conn.Conn, failed bool, panicked any) {
	w := ch.origin.worker
	if c == nil || c.Closing() {
		s.channel = nil
		s.abandoned(c)
		ch.over(ch.info(errGone))
		return
	}
	if ch.ws != nil {
		w.count.Responses.add(http.StatusSwitchingProtocols)
	}
	w.recycle(s)
	ch.start(c)
	switch {
	case ch.ended:
	case failed && panicked == http.ErrAbortHandler:
		c.Abort(errCallback)
	case failed:
		ch.fail(c)
		ch.goOn(c)
	case w.draining:
		ch.goingAway()
	}
}

// lost is called when the connection is over while the handler still runs.
func (ch *Channel) lost(err error) {
	if err == nil {
		err = errGone
	}
	ch.over(ch.info(err))
}

var errBodyUnread = fmt.Errorf("%w: its body has not been read to the end", ErrNoChannel)

// routeOfChannel is the place of a channel's callbacks in the predictor.
func routeOfChannel[T []byte | string](path T) route { return routeOfPath(http1.Method(255), path) }
