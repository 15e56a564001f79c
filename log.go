package ringkit

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Everything that a server says is said here. Each record has two forms: a line of text
// for ErrorLog and the log package, and for Logger a message that stays the same, with
// what differs in attributes.

// say logs a record to Logger, where there is one and no ErrorLog, otherwise a line.
func (srv *Server) say(level slog.Level, line, message string, attrs ...slog.Attr) {
	switch {
	case srv.ErrorLog != nil:
		srv.ErrorLog.Print("ringkit: " + line)
	case srv.Logger != nil:
		srv.Logger.LogAttrs(context.Background(), level, message, attrs...)
	default:
		log.Print("ringkit: " + line)
	}
}

// logEngine says what a loop runs on; how many run already tells whether it is unlike
// those before.
func (srv *Server) logEngine(e LoopEngine, running int) {
	line := e.String()
	if running > 0 {
		line = fmt.Sprintf("event loop %d: %s", running+1, line)
	}
	srv.say(slog.LevelInfo, line, "engine chosen", slog.Int("loop", running),
		slog.String("engine", e.Name.String()), slog.String("tier", e.Tier), slog.String("why", e.Why))
}

// logNoFiles says why connections of a loop have descriptors all the same.
func (srv *Server) logNoFiles(loop int, why error) {
	srv.say(slog.LevelWarn, fmt.Sprintf("no direct descriptors on event loop %d: %v", loop+1, why), "no direct descriptors",
		slog.Int("loop", loop), slog.Any("why", why))
}

func (srv *Server) logLoopEnd(err error) {
	srv.say(slog.LevelError, fmt.Sprintf("event loop ended: %v", err), "event loop ended", slog.Any("error", err))
}

func (srv *Server) logAcceptWaits(listener net.Addr, err error) {
	srv.say(slog.LevelWarn, fmt.Sprintf("accept on %v has to wait: %v", listener, err), "accept has to wait",
		slog.String("listener", listener.String()), slog.Any("error", err))
}

func (srv *Server) logHandshake(peer string, err error) {
	srv.say(slog.LevelWarn, fmt.Sprintf("TLS handshake error from %s: %v", peer, err), "TLS handshake failed",
		slog.String("remote", peer), slog.Any("error", err))
}

func (srv *Server) logProxy(peer string, err error) {
	srv.say(slog.LevelWarn, fmt.Sprintf("connection from %s: %v", peer, err), "PROXY header refused",
		slog.String("remote", peer), slog.Any("error", err))
}

// logPanic says what became of a handler that did not return: it panicked, or ended
// its goroutine when that is nil. Who aborts wants nothing to be said.
func (srv *Server) logPanic(peer string, panicked any, stack []byte) {
	if panicked == http.ErrAbortHandler {
		return
	}
	srv.panics.Add(1)
	remote, at := slog.String("remote", peer), slog.String("stack", string(stack))
	if panicked == nil {
		srv.say(slog.LevelError, fmt.Sprintf("the handler serving %s ended its goroutine\n%s", peer, stack),
			"handler ended its goroutine", remote, at)
		return
	}
	srv.say(slog.LevelError, fmt.Sprintf("panic serving %s: %v\n%s", peer, panicked, stack),
		"handler panicked", slog.String("panic", fmt.Sprint(panicked)), remote, at)
}

// logTimer says that the function of a timer panicked, or ended its goroutine.
func (srv *Server) logTimer(panicked any, stack []byte) {
	srv.panics.Add(1)
	srv.say(slog.LevelError, fmt.Sprintf("panic in a timer: %v\n%s", panicked, stack), "timer panicked",
		slog.String("panic", fmt.Sprint(panicked)), slog.String("stack", string(stack)))
}

// takeoversSaid is how often handlers that lose their loop are spoken of at most.
const takeoversSaid = 10 * time.Second

// logTakeover warns of a handler that has lost its loop, which costs some time and is
// no error: so it is said to Logger only, and not each time.
func (srv *Server) logTakeover(route string) {
	if srv.Logger == nil || srv.ErrorLog != nil {
		return
	}
	now := time.Now().UnixNano()
	last := srv.takeoverSaid.Load()
	if last != 0 && now-last < int64(takeoversSaid) || !srv.takeoverSaid.CompareAndSwap(last, now) {
		return
	}
	srv.say(slog.LevelWarn, "", "handler blocked its event loop", slog.String("route", route))
}

// logMisuse says what a handler has done wrong.
func (srv *Server) logMisuse(format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	srv.say(slog.LevelWarn, what, "handler misused the server", slog.String("what", what))
}
