// Package subject knows the servers that are measured: how each is built and
// which arguments make it answer the benchmark's request.
package subject

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ringkit/ringkit/bench/internal/procfs"
)

// Subject is a server ready to be started.
type Subject struct {
	Name  string
	Path  string // program
	Args  []string
	Env   []string
	Route string // that answers with the benchmark's response

	// Engine it must run on, empty if it may choose.
	Engine string

	// Floor says that it is a program in C that hardly looks at requests.
	Floor bool
}

// recipe says how a subject is made.
type recipe struct {
	name   string
	about  string
	source string                   // C file or Go package below the module's directory
	args   func(loops int) []string // loops 0 leaves the choice to the server
	env    []string
	route  string
	engine string // it must run on
	extra  bool   // measured only if asked for
}

// Names of the subjects that others are compared with.
const (
	Uring    = "uring"
	NetHTTP  = "nethttp"
	FastHTTP = "fasthttp"
	Ringkit  = "ringkit"
)

var recipes = []recipe{
	{name: Uring, source: "floor/uring.c", args: floorArgs(), route: "/", engine: procfs.IOUring,
		about: "floor: C on raw io_uring, COOP_TASKRUN|TASKRUN_FLAG"},
	{name: "uring-defer", source: "floor/uring.c", args: floorArgs("-d"), route: "/", engine: procfs.IOUring,
		about: "floor: C on raw io_uring, SINGLE_ISSUER|DEFER_TASKRUN"},
	{name: "epoll", source: "floor/epoll.c", args: floorArgs(), route: "/", engine: procfs.Epoll,
		about: "floor: C on raw epoll"},
	{name: Ringkit, source: helloSource, args: HelloArgs, route: "/",
		about: "examples/hello of this project, native handler"},
	{name: "ringkit-std", source: helloSource, args: HelloArgs, route: "/std", extra: true,
		about: "the same, a net/http handler"},
	{name: "ringkit-epoll", source: helloSource, args: HelloArgs, route: "/",
		env: []string{"RINGKIT_ENGINE=epoll"}, engine: procfs.Epoll,
		about: "the same, native handler, epoll engine"},
	{name: NetHTTP, source: "./peers/nethttp", args: peerArgs, route: "/",
		about: "net/http of the Go in use"},
	{name: FastHTTP, source: "./peers/fasthttp", args: peerArgs, route: "/",
		about: "github.com/valyala/fasthttp, version in go.mod"},
}

func floorArgs(more ...string) func(int) []string {
	return func(int) []string { return append([]string{"-p", "0"}, more...) }
}

func peerArgs(int) []string {
	return []string{"-addr", "127.0.0.1:0"}
}

// HelloArgs returns the arguments of examples/hello, and of other builds of it.
func HelloArgs(loops int) []string {
	args := []string{"-addr", "127.0.0.1:0"}
	if loops > 0 {
		args = append(args, "-loops", strconv.Itoa(loops))
	}
	return args
}

// Default returns the names of the subjects measured if none are named.
func Default() []string {
	var names []string
	for _, r := range recipes {
		if !r.extra {
			names = append(names, r.name)
		}
	}
	return names
}

// Describe returns a line on each subject, for help texts.
func Describe() string {
	var b strings.Builder
	for _, r := range recipes {
		fmt.Fprintf(&b, "  %-14s %s\n", r.name, r.about)
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
