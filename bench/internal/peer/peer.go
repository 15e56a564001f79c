// Package peer is what the programs under measurement have in common: their flags, the
// socket they listen on, and what they answer.
package peer

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"

	"github.com/ringkit/ringkit/bench/internal/mix"
	"github.com/ringkit/ringkit/bench/internal/secure"
	"github.com/ringkit/ringkit/bench/internal/static"
)

// Options are the flags of a server.
type Options struct {
	Addr  string // to listen on
	TLS   string // directory with a certificate, see package secure; empty for plain TCP
	Files string // directory to serve files of, see package static; empty for none
}

// Parse parses the flags: those of every server, and those that the program has declared.
// It finds out how much work the computing route of package mix is, too.
func Parse() *Options {
	o := new(Options)
	flag.StringVar(&o.Addr, "addr", "127.0.0.1:0", "`address` to listen on; port 0 lets the kernel choose")
	flag.StringVar(&o.TLS, "tls", "", "`directory` with a certificate, to speak TLS, see package secure")
	flag.StringVar(&o.Files, "files", "", "`directory` to serve files of, see package static")
	flag.Parse()
	if flag.NArg() > 0 {
		log.Fatalf("unexpected argument %q", flag.Arg(0))
	}
	mix.Calibrate()
	return o
}

// Refuse ends the program if it was told to speak TLS, or to serve files, which it does not.
func (o *Options) Refuse(what string) {
	if o.TLS != "" || o.Files != "" {
		log.Fatalf("-tls and -files: %s is not measured with them", what)
	}
}

// Listen listens, and says where.
func (o *Options) Listen() net.Listener {
	l, err := net.Listen("tcp", o.Addr)
	if err != nil {
		log.Fatal(err)
	}
	Listening(l.Addr())
	return l
}

// Listening says where a server listens, which whoever has started it waits for.
func Listening(at net.Addr) { fmt.Println("listening on", at) }

// Server is what net/http and whoever has its methods serve with.
type Server interface {
	Serve(net.Listener) error
	ServeTLS(l net.Listener, certFile, keyFile string) error
}

// Serve listens, and serves as the flags say, until it fails.
func (o *Options) Serve(s Server) {
	l := o.Listen()
	if o.TLS != "" {
		cert, key := secure.Files(o.TLS)
		log.Fatal(s.ServeTLS(l, cert, key))
	}
	log.Fatal(s.Serve(l))
}

// Handler returns what answers with h and, if the flags say so, with files.
func (o *Options) Handler(h http.Handler) http.Handler {
	if o.Files == "" {
		return h
	}
	return static.Handler(o.Files, h)
}
