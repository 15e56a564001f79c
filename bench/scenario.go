package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ringkit/ringkit/bench/internal/mix"
	"github.com/ringkit/ringkit/bench/internal/static"
	"github.com/ringkit/ringkit/bench/internal/subject"
	"github.com/ringkit/ringkit/bench/internal/wrk"
	"github.com/ringkit/ringkit/bench/internal/ws"
)

// scenario is a kind of load.
type scenario struct {
	name     string
	pipeline int     // requests in one write
	close    bool    // each request asks for the end of its connection
	two      bool    // server and load share two processors
	static   bool    // for a file
	tls      bool    // over TLS
	mix      mixture // some requests take longer than others
	sockets  sockets // messages instead of requests
	inFlight int     // requests of the clients that are measured instead of servers
	message  int     // bytes of what these send on WebSockets, 0 for requests
}

// mixture says which requests take longer. With no slow route, the server decides
// at random, on the one route there is.
type mixture struct {
	path, slow string
	share      float64 // of the requests that are slow
	cost       string  // what they do
	spread     int     // times as many connections, so that enough are not waiting
}

// With a second of waiting in a thousand requests, at 50,000 requests a second,
// 50 connections do nothing but wait.
const longSpread = 4

var scenarios = []scenario{
	{name: "plain", pipeline: 1},
	{name: "pipeline", pipeline: 16},
	{name: "close", pipeline: 1, close: true},
	{name: "two", pipeline: 1, two: true},
	{name: "static", pipeline: 1, static: true},
	{name: "tls", pipeline: 1, tls: true},
	{name: "mix2", pipeline: 1, mix: mixture{mix.Fast, mix.Slow2, mix.ShortShare, "sleep 2 ms", 1}},
	{name: "mix2-same", pipeline: 1, mix: mixture{mix.Same2, "", mix.ShortShare, "sleep 2 ms", 1}},
	{name: "mix1s", pipeline: 1, mix: mixture{mix.Fast, mix.Slow1000, mix.LongShare, "sleep 1 s", longSpread}},
	{name: "mix1s-same", pipeline: 1, mix: mixture{mix.Same1000, "", mix.LongShare, "sleep 1 s", longSpread}},
	{name: "burn", pipeline: 1, mix: mixture{mix.Fast, mix.Burn5, mix.BurnShare, "compute for 5 ms", 1}},
	{name: "ws64", sockets: sockets{ws.Echo, 64, 64}},
	{name: "ws64-16k", sockets: sockets{ws.Echo, 64, 16 << 10}},
	{name: "ws1000", sockets: sockets{ws.Echo, 1000, 64}},
	{name: "ws1000-16k", sockets: sockets{ws.Echo, 1000, 16 << 10}},
	{name: "broadcast1000", sockets: sockets{ws.Room, 1000, 64}},
	{name: "broadcast10000", sockets: sockets{ws.Room, 10_000, 64}},
	{name: "client1", pipeline: 1, inFlight: 1},
	{name: "client64", pipeline: 1, inFlight: 64},
	{name: "client1000", pipeline: 1, inFlight: 1000},
	{name: "wsclient1", inFlight: 1, message: 64},
	{name: "wsclient64", inFlight: 64, message: 64},
	{name: "wsclient1000", inFlight: 1000, message: 64},
}

// mixed reports whether some requests take longer than others.
func (s scenario) mixed() bool { return s.mix.share > 0 }

// quickScenarios are those that a quick run takes.
func quickScenarios() []scenario {
	return slices.DeleteFunc(slices.Clone(scenarios), func(s scenario) bool {
		return s.mixed() || s.two || s.static || s.tls || s.isSockets() || s.isClients()
	})
}

func scenarioNames(list []scenario) string {
	var names []string
	for _, s := range list {
		names = append(names, s.name)
	}
	return strings.Join(names, ", ")
}

func findScenarios(names []string) ([]scenario, error) {
	if slices.Equal(names, []string{"all"}) {
		return scenarios, nil
	}
	var found []scenario
	for _, name := range names {
		i := slices.IndexFunc(scenarios, func(s scenario) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("-scenario: no scenario %q (there are: %s; or all)", name, scenarioNames(scenarios))
		}
		if slices.Contains(found, scenarios[i]) {
			return nil, fmt.Errorf("-scenario: %q is named twice", name)
		}
		found = append(found, scenarios[i])
	}
	if found == nil {
		return nil, fmt.Errorf("-scenario: none named")
	}
	return found, nil
}

// describe says in words what the scenario does.
func (s scenario) describe(connections int) string {
	switch {
	case s.asksSockets():
		return fmt.Sprintf("%s: clients with %d WebSockets, an echo of %d bytes at a time on each", s.name, s.inFlight, s.message)
	case s.isClients():
		return fmt.Sprintf("%s: clients with %d requests in flight", s.name, s.inFlight)
	}
	text := fmt.Sprintf("%s: %d connections", s.name, s.connections(connections))
	switch {
	case s.isSockets():
		return text + ", " + s.sockets.describe()
	case s.close:
		return text + ", a new one for each request"
	case s.pipeline > 1:
		return text + fmt.Sprintf(", %d requests per write", s.pipeline)
	}
	text += ", one request at a time on each"
	switch {
	case s.static:
		return text + fmt.Sprintf(", for a file of %d KiB", static.Size>>10)
	case s.tls:
		return text + ", over TLS"
	case s.two:
		return text + ", server and load on two processors"
	case s.mixed():
		return text + ", " + s.mix.describe()
	}
	return text
}

func (m mixture) describe() string {
	where := "on a route of their own"
	if m.slow == "" {
		where = "on the same route"
	}
	return fmt.Sprintf("%g %% of the requests %s, %s", 100*m.share, m.cost, where)
}

// connections returns how many of them there are, given how many were asked for.
func (s scenario) connections(asked int) int {
	switch {
	case s.isSockets():
		return s.sockets.connections
	case s.isClients():
		return s.inFlight
	}
	return asked * max(1, s.mix.spread)
}

// subjects returns the names of those it is for if none are named.
func (s scenario) subjects() []string {
	switch {
	case s.isSockets():
		return subject.Sockets()
	case s.asksSockets():
		return subject.SocketClients()
	case s.isClients():
		return subject.Clients()
	case s.mixed():
		return subject.Mixed()
	case s.two:
		return subject.Two()
	case s.static:
		return subject.Files()
	case s.tls:
		return subject.Secure()
	}
	return subject.Default()
}

// suits reports whether the scenario can be measured with the subject. The floors in
// C, and peers with a canned answer, do not read the fields of a request and would not close, have no routes and no files, and
// run on one thread. Clients are measured in scenarios of their own.
func (s scenario) suits(sub subject.Subject) bool {
	if sub.Client || s.isClients() {
		return sub.Client && s.isClients() && sub.Sockets == s.asksSockets()
	}
	return !sub.Floor && !sub.Canned || !s.close && !s.mixed() && !s.two && !s.static && !s.tls && !s.isSockets()
}

// script writes the scenario's script for wrk to dir and returns its path, or ""
// if it needs none.
func (s scenario) script(dir string) (string, error) {
	var script string
	switch {
	case s.close:
		script = wrk.CloseScript
	case s.pipeline > 1:
		script = wrk.PipelineScript(s.pipeline)
	default:
		return "", nil
	}
	path := filepath.Join(dir, s.name+".lua")
	if err := os.WriteFile(path, []byte(script), 0o644); err != nil {
		return "", fmt.Errorf("writing script for wrk: %w", err)
	}
	return path, nil
}
