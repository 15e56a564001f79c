// Package subject knows the servers that are measured: how each is built and
// which arguments make it answer the benchmark's request.
package subject

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ringkit/ringkit/bench/internal/clients"
	"github.com/ringkit/ringkit/bench/internal/procfs"
)

// Subject is a server ready to be started.
type Subject struct {
	Name  string
	Path  string // program
	Env   []string
	Route string // that answers with the benchmark's response

	// Engine it must run on, empty if it may choose.
	Engine string

	// Floor says that it is a program in C that hardly looks at requests.
	Floor bool

	// Canned says that it is a peer that hardly looks at requests either.
	Canned bool

	// Secure says that it speaks TLS.
	Secure bool

	// Client says that it is a client, to be measured with a server that is not.
	Client bool

	// Sockets says that it is a client of WebSockets.
	Sockets bool

	args func(loops int) []string
	more []string
}

// Args returns the arguments to start it with. Loops is the number of event loops
// of ringkit's server, 0 for its default.
func (s Subject) Args(loops int) []string { return append(s.args(loops), s.more...) }

// More returns those of the arguments that make it another subject than the program is
// by itself: all that a client has.
func (s Subject) More() []string { return s.more }

// With returns the subject with more arguments.
func (s Subject) With(more ...string) Subject {
	s.more = slices.Concat(s.more, more)
	return s
}

// recipe says how a subject is made.
type recipe struct {
	name   string
	about  string
	source string // C file or Go package below the module's directory
	module string // whose version is told, of those that are not in the standard library
	needs  string // program that has to be installed
	args   func(loops int) []string
	more   []string // arguments behind those
	engine string   // it must run on
	canned bool     // answers without looking at requests
	in     group    // measured if no subjects are named
	quick  bool     // also in a quick run
}

// group is a set of kinds of load.
type group uint16

const (
	plain     group = 1 << iota // requests that take nothing
	bodies                      // requests or answers with more in them
	mixed                       // requests of which some take longer
	two                         // on two processors
	files                       // for a file
	secure                      // over TLS
	idle                        // connections that do nothing
	sockets                     // WebSockets
	events                      // streams of events
	asking                      // clients that send requests
	messaging                   // clients that send messages
)

// Names of the subjects that others are compared with.
const (
	Uring        = "uring"
	Epoll        = "epoll"
	Ringkit      = "ringkit"
	RingkitEpoll = "ringkit-epoll"
	RingkitStd   = "ringkit-std"
	NetHTTP      = "nethttp"
	FastHTTP     = "fasthttp"
	NBIO         = "nbio"
	Nginx        = "nginx"
	Gorilla      = "gorilla"

	NetHTTPClient  = "nethttp-client"
	FastHTTPClient = "fasthttp-client"
	GorillaClient  = "gorilla-client"
	GWSClient      = "gws-client"
)

var recipes = []recipe{
	{name: Uring, source: "floor/uring.c", args: floorArgs(), engine: procfs.IOUring, in: plain, quick: true,
		about: "floor: C on raw io_uring, COOP_TASKRUN|TASKRUN_FLAG"},
	{name: "uring-defer", source: "floor/uring.c", args: floorArgs("-d"), engine: procfs.IOUring,
		about: "floor: C on raw io_uring, SINGLE_ISSUER|DEFER_TASKRUN"},
	{name: Epoll, source: "floor/epoll.c", args: floorArgs(), engine: procfs.Epoll, in: plain, quick: true,
		about: "floor: C on raw epoll"},
	{name: Ringkit, source: ringkitSource, args: ringkitArgs(), in: plain | bodies | mixed | two | secure | idle | sockets | events, quick: true,
		about: "this project, native handler"},
	{name: RingkitEpoll, source: ringkitSource, args: ringkitArgs("-engine", "epoll"), engine: procfs.Epoll, in: plain | bodies | secure | idle | sockets | events,
		about: "the same on its epoll engine"},
	{name: "ringkit-native-inline", source: ringkitSource, args: ringkitArgs("-mode", "inline"),
		about: "the same, mode inline: a handler that blocks stalls the loop"},
	{name: RingkitStd, source: ringkitSource, args: ringkitArgs("-handler", "std"), in: plain | bodies | mixed | two | files | secure | sockets | events, quick: true,
		about: "this project, net/http handler"},
	{name: "ringkit-std-epoll", source: ringkitSource, args: ringkitArgs("-handler", "std", "-engine", "epoll"), engine: procfs.Epoll, in: files,
		about: "the same on its epoll engine"},
	{name: "ringkit-std-inline", source: ringkitSource, args: ringkitArgs("-handler", "std", "-mode", "inline"), in: mixed,
		about: "the same, mode inline: a handler that blocks stalls the loop"},
	{name: NetHTTP, source: "./peers/nethttp", args: peerArgs, in: plain | bodies | mixed | two | files | secure | idle | events, quick: true,
		about: "net/http of the Go in use"},
	{name: FastHTTP, source: "./peers/fasthttp", module: "github.com/valyala/fasthttp", args: peerArgs, in: plain | bodies | mixed | two | files | secure | idle | events, quick: true,
		about: "github.com/valyala/fasthttp, version in go.mod"},
	{name: "hertz", source: "./peers/hertz", module: "github.com/cloudwego/hertz", args: peerArgs, in: plain | bodies | idle,
		about: "github.com/cloudwego/hertz on its netpoll"},
	{name: "gnet", source: "./peers/gnet", module: "github.com/panjf2000/gnet/v2", args: peerArgs, in: plain, canned: true,
		about: "github.com/panjf2000/gnet: a canned answer to each blank line, nothing is parsed"},
	{name: NBIO, source: "./peers/nbio", module: "github.com/lesismal/nbio", args: peerArgs, in: plain | bodies | idle | sockets,
		about: "github.com/lesismal/nbio, its own HTTP server"},
	{name: Nginx, source: "./peers/nginx", needs: "nginx", args: peerArgs, engine: procfs.Epoll, in: plain | files | secure | idle,
		about: "the nginx that is installed, one process"},
	{name: Gorilla, source: "./peers/gorilla", module: "github.com/gorilla/websocket", args: peerArgs, in: sockets, quick: true,
		about: "github.com/gorilla/websocket on net/http"},
	{name: "coder", source: "./peers/coder", module: "github.com/coder/websocket", args: peerArgs, in: sockets,
		about: "github.com/coder/websocket on net/http"},
	{name: "gws", source: "./peers/gws", module: "github.com/lxzan/gws", args: peerArgs, in: sockets, quick: true,
		about: "github.com/lxzan/gws on net/http"},
	{name: "client-call", source: clientSource, quick: true, more: clientArgs(clients.Call, "auto"), in: asking,
		about: "client of this project, Call"},
	{name: "client-call-epoll", source: clientSource, more: clientArgs(clients.Call, "epoll"), engine: procfs.Epoll, in: asking,
		about: "the same on its epoll engine"},
	{name: "client-do", source: clientSource, quick: true, more: clientArgs(clients.Do, "auto"), in: asking,
		about: "client of this project, Do"},
	{name: "client-do-epoll", source: clientSource, more: clientArgs(clients.Do, "epoll"), engine: procfs.Epoll, in: asking,
		about: "the same on its epoll engine"},
	{name: "client-transport", source: clientSource, more: clientArgs(clients.Transport, "auto"), in: asking,
		about: "client of this project, Transport below an http.Client"},
	{name: "client-transport-epoll", source: clientSource, more: clientArgs(clients.Transport, "epoll"), engine: procfs.Epoll, in: asking,
		about: "the same on its epoll engine"},
	{name: NetHTTPClient, source: clientSource, quick: true, more: clientArgs(clients.NetHTTP, "auto"), in: asking,
		about: "client of net/http, Transport below an http.Client"},
	{name: FastHTTPClient, source: clientSource, module: "github.com/valyala/fasthttp", quick: true, more: clientArgs(clients.FastHTTP, "auto"), in: asking,
		about: "client of github.com/valyala/fasthttp"},
	{name: "client-dial", source: clientSource, quick: true, more: clientArgs(clients.Dial, "auto"), in: messaging,
		about: "client of this project, WebSockets"},
	{name: "client-dial-epoll", source: clientSource, more: clientArgs(clients.Dial, "epoll"), engine: procfs.Epoll, in: messaging,
		about: "the same on its epoll engine"},
	{name: GorillaClient, source: clientSource, module: "github.com/gorilla/websocket", quick: true, more: clientArgs(clients.Gorilla, "auto"), in: messaging,
		about: "client of github.com/gorilla/websocket"},
	{name: "coder-client", source: clientSource, module: "github.com/coder/websocket", more: clientArgs(clients.Coder, "auto"), in: messaging,
		about: "client of github.com/coder/websocket"},
	{name: GWSClient, source: clientSource, module: "github.com/lxzan/gws", quick: true, more: clientArgs(clients.GWS, "auto"), in: messaging,
		about: "client of github.com/lxzan/gws"},
}

// ringkitSource serves all subjects of this project.
const ringkitSource = "./peers/ringkit"

// ownClients is how the names of this project's clients begin.
const ownClients = "client-"

// clientSource is all clients.
const clientSource = "./clientload"

// route is what all subjects answer with the benchmark's response.
const route = "/"

func floorArgs(more ...string) func(int) []string {
	return func(int) []string { return append([]string{"-p", "0"}, more...) }
}

func peerArgs(int) []string {
	return []string{"-addr", "127.0.0.1:0"}
}

func clientArgs(name, engine string) []string {
	return []string{"-client", name, "-engine", engine}
}

// ringkitArgs returns the arguments of peers/ringkit, and without more those of
// other programs that take -addr and -loops.
func ringkitArgs(more ...string) func(int) []string {
	return func(loops int) []string {
		args := []string{"-addr", "127.0.0.1:0"}
		if loops > 0 {
			args = append(args, "-loops", strconv.Itoa(loops))
		}
		return append(args, more...)
	}
}

// Default returns the names of the subjects measured if none are named.
func Default() []string { return in(plain) }

// Bodies is Default for requests or answers with more in them.
func Bodies() []string { return in(bodies) }

// Idle is Default for connections that do nothing.
func Idle() []string { return in(idle) }

// Mixed is Default for loads in which some requests take longer than others.
func Mixed() []string { return in(mixed) }

// Two is Default for servers that have two processors.
func Two() []string { return in(two) }

// Files is Default for servers that send a file.
func Files() []string { return in(files) }

// Secure is Default for servers that speak TLS.
func Secure() []string { return in(secure) }

// Sockets is Default for WebSockets.
func Sockets() []string { return in(sockets) }

// Events is Default for streams of events.
func Events() []string { return in(events) }

// Clients is Default for clients that send requests.
func Clients() []string { return in(asking) }

// SocketClients is Default for clients that send messages on WebSockets.
func SocketClients() []string { return in(messaging) }

func in(g group) []string {
	var names []string
	for _, r := range recipes {
		if r.in&g != 0 {
			names = append(names, r.name)
		}
	}
	return names
}

// InOrder returns the names in the order in which subjects are listed, each once.
func InOrder(names []string) []string {
	var list []string
	for _, r := range recipes {
		if slices.Contains(names, r.name) {
			list = append(list, r.name)
		}
	}
	return list
}

// Quick returns those of the names that a quick run takes, too.
func Quick(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		r, err := find(name)
		return err != nil || !r.quick
	})
}

// Describe returns a line on each subject, for help texts.
func Describe() string {
	var b strings.Builder
	for _, r := range recipes {
		fmt.Fprintf(&b, "  %-22s %s\n", r.name, r.about)
	}
	return b.String()
}

// Check reports whether there is a subject of that name.
func Check(name string) error {
	_, err := find(name)
	return err
}

func find(name string) (recipe, error) {
	i := slices.IndexFunc(recipes, func(r recipe) bool { return r.name == name })
	if i < 0 {
		var names []string
		for _, r := range recipes {
			names = append(names, r.name)
		}
		return recipe{}, fmt.Errorf("no subject %q (there are: %s)", name, strings.Join(names, ", "))
	}
	return recipes[i], nil
}

// IsClient reports whether a name is that of a client, which cannot be started as a server.
func IsClient(name string) bool {
	r, err := find(name)
	return err == nil && r.source == clientSource
}

// Kind is what a subject is to those who compare.
type Kind string

const (
	Own    Kind = "ringkit" // this project, or what is named with -extra
	Peer   Kind = "peer"
	Floor  Kind = "floor"  // a program in C that is no server
	Canned Kind = "canned" // a peer that is no server for HTTP
)

// About returns what is known of a subject by its name: its kind, a line on it, and the
// module whose version is its version, "" if there is none.
func About(name string) (kind Kind, line, module string) {
	r, err := find(name)
	switch {
	case err != nil:
		return Own, "named with -extra", ""
	case strings.HasPrefix(r.source, "floor/"):
		kind = Floor
	case r.canned:
		kind = Canned
	case r.source == ringkitSource, strings.HasPrefix(r.name, ownClients):
		kind = Own
	default:
		kind = Peer
	}
	return kind, r.about, r.module
}

// IsPeer reports whether a name is that of a server other than this project's.
func IsPeer(name string) bool {
	kind, _, _ := About(name)
	return kind == Peer && !IsClient(name)
}
