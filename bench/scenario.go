package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ringkit/ringkit/bench/internal/mix"
	"github.com/ringkit/ringkit/bench/internal/peer"
	"github.com/ringkit/ringkit/bench/internal/report"
	"github.com/ringkit/ringkit/bench/internal/static"
	"github.com/ringkit/ringkit/bench/internal/subject"
	"github.com/ringkit/ringkit/bench/internal/wrk"
	"github.com/ringkit/ringkit/bench/internal/ws"
)

// scenario is a kind of load.
type scenario struct {
	name     string
	section  string  // of the report
	conns    int     // connections, 0 for as many as were asked for
	pipeline int     // requests in one write
	close    bool    // each request asks for the end of its connection
	two      bool    // server and load share two processors
	static   bool    // for a file
	tls      bool    // over TLS
	ask      ask     // for something else than the benchmark's response
	mix      mixture // some requests take longer than others
	sockets  sockets // messages instead of requests
	inFlight int     // requests of the clients that are measured instead of servers
	message  int     // bytes of what these send on WebSockets, 0 for requests
	idle     string  // connections of this kind that do nothing: idleHTTP or idleSockets
	named    bool    // measured only if it is named
	slow     bool    // not part of a quick run, which has others like it, unless it is named
}

// ask is a request.
type ask struct {
	method, path string
	size         int // of its body
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

// Sections of the report.
const (
	ofPlain   = "Plain text"
	ofBodies  = "JSON, bodies, files, TLS"
	ofMixes   = "Handlers that block"
	ofSockets = "WebSockets and events"
	ofClients = "Clients"
	ofIdle    = "Memory of idle connections"
)

// scenarios are in the order in which they are measured: when not all of a round fit into
// the budget any more, the first do.
var scenarios = []scenario{
	{name: "plain", section: ofPlain, pipeline: 1},
	{name: "plain1", section: ofPlain, pipeline: 1, conns: 1},
	{name: "pipeline", section: ofPlain, pipeline: 16},
	{name: "plain8", section: ofPlain, pipeline: 1, slow: true, conns: 8},
	{name: "plain256", section: ofPlain, pipeline: 1, slow: true, conns: 256},
	{name: "plain1024", section: ofPlain, pipeline: 1, conns: 1024},
	{name: "close", section: ofPlain, pipeline: 1, close: true},
	{name: "two", section: ofPlain, pipeline: 1, two: true},
	{name: "json", section: ofBodies, pipeline: 1, ask: ask{http.MethodGet, peer.JSON, 0}},
	{name: "post1k", section: ofBodies, pipeline: 1, ask: ask{http.MethodPost, peer.Upload, 1 << 10}},
	{name: "post1m", section: ofBodies, pipeline: 1, conns: 16, ask: ask{http.MethodPost, peer.Upload, 1 << 20}},
	{name: "static", section: ofBodies, pipeline: 1, static: true},
	{name: "tls", section: ofBodies, pipeline: 1, tls: true},
	{name: "mix2", section: ofMixes, pipeline: 1, mix: mixture{mix.Fast, mix.Slow2, mix.ShortShare, "sleep 2 ms", 1}},
	{name: "mix2-same", section: ofMixes, pipeline: 1, slow: true, mix: mixture{mix.Same2, "", mix.ShortShare, "sleep 2 ms", 1}},
	{name: "mix1s", section: ofMixes, pipeline: 1, slow: true, mix: mixture{mix.Fast, mix.Slow1000, mix.LongShare, "sleep 1 s", longSpread}},
	{name: "mix1s-same", section: ofMixes, pipeline: 1, named: true, mix: mixture{mix.Same1000, "", mix.LongShare, "sleep 1 s", longSpread}},
	{name: "burn", section: ofMixes, pipeline: 1, mix: mixture{mix.Fast, mix.Burn5, mix.BurnShare, "compute for 5 ms", 1}},
	{name: "ws64", section: ofSockets, sockets: sockets{ws.Echo, 64, 64}},
	{name: "ws64-16k", section: ofSockets, named: true, sockets: sockets{ws.Echo, 64, 16 << 10}},
	{name: "ws1000", section: ofSockets, sockets: sockets{ws.Echo, 1000, 64}},
	{name: "ws1000-16k", section: ofSockets, named: true, sockets: sockets{ws.Echo, 1000, 16 << 10}},
	{name: "broadcast1000", section: ofSockets, sockets: sockets{ws.Room, 1000, 64}},
	{name: "broadcast10000", section: ofSockets, slow: true, sockets: sockets{ws.Room, 10_000, 64}},
	{name: "events1000", section: ofSockets, sockets: sockets{ws.Events, 1000, ws.EventSize}},
	{name: "client1", section: ofClients, pipeline: 1, inFlight: 1},
	{name: "client64", section: ofClients, pipeline: 1, inFlight: 64},
	{name: "client1000", section: ofClients, pipeline: 1, slow: true, inFlight: 1000},
	{name: "wsclient1", section: ofClients, inFlight: 1, message: 64},
	{name: "wsclient64", section: ofClients, inFlight: 64, message: 64},
	{name: "wsclient1000", section: ofClients, slow: true, inFlight: 1000, message: 64},
	{name: "idle-http", section: ofIdle, idle: idleHTTP},
	{name: "idle-ws", section: ofIdle, idle: idleSockets},
}

// mixed reports whether some requests take longer than others.
func (s scenario) mixed() bool { return s.mix.share > 0 }

// usesWrk reports whether the load comes from wrk, or from what is chosen instead.
func (s scenario) usesWrk() bool {
	return !s.mixed() && !s.isSockets() && !s.isClients() && !s.isIdle()
}

func scenarioNames(list []scenario) string {
	var names []string
	for _, s := range list {
		names = append(names, s.name)
	}
	return strings.Join(names, ", ")
}

// otherScenarios returns those that are measured only if they are named.
func otherScenarios(quick bool) []scenario {
	return slices.DeleteFunc(slices.Clone(scenarios), func(s scenario) bool { return !s.named && !(s.slow && quick) })
}

// allScenarios returns those that are measured if none are named.
func allScenarios(quick bool) []scenario {
	return slices.DeleteFunc(slices.Clone(scenarios), func(s scenario) bool { return s.named || s.slow && quick })
}

func findScenarios(names []string, quick bool) ([]scenario, error) {
	if slices.Equal(names, []string{"all"}) {
		return allScenarios(quick), nil
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
		return fmt.Sprintf("clients with %d WebSockets, an echo of %d bytes at a time on each", s.inFlight, s.message)
	case s.isClients():
		return fmt.Sprintf("clients with %d requests in flight", s.inFlight)
	case s.isIdle():
		return s.describeIdle()
	}
	text := fmt.Sprintf("%d connections", s.connections(connections))
	if s.connections(connections) == 1 {
		text = "1 connection"
	}
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
	case s.ask.size > 0:
		return text + fmt.Sprintf(", a POST of %s", bytesText(s.ask.size))
	case s.ask.path == peer.JSON:
		return text + ", JSON that is encoded for each"
	}
	return text
}

func bytesText(n int) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
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
	case s.conns > 0:
		return s.conns
	}
	return asked * max(1, s.mix.spread)
}

// kind says what the scenario measures.
func (s scenario) kind() report.Kind {
	switch {
	case s.isSockets():
		return report.Messages
	case s.isClients():
		return report.Clients
	case s.isIdle():
		return report.Idle
	case s.mixed():
		return report.Mixture
	}
	return report.Requests
}

// subjects returns the names of those it is for if none are named.
func (s scenario) subjects() []string {
	switch {
	case s.sockets.path == ws.Events:
		return subject.Events()
	case s.isSockets() || s.idle == idleSockets:
		return subject.Sockets()
	case s.asksSockets():
		return subject.SocketClients()
	case s.isClients():
		return subject.Clients()
	case s.isIdle():
		return subject.Idle()
	case s.mixed():
		return subject.Mixed()
	case s.two:
		return subject.Two()
	case s.static:
		return subject.Files()
	case s.tls:
		return subject.Secure()
	case s.ask.path != "":
		return subject.Bodies()
	}
	return subject.Default()
}

// suits reports whether the scenario can be measured with the subject. The floors in
// C, and peers with a canned answer, do not read the fields of a request and would not close,
// have no routes and no files, and run on one thread. nginx has nothing to do with the body
// of a request. Clients are measured in scenarios of their own.
func (s scenario) suits(sub subject.Subject) bool {
	switch {
	case sub.Client || s.isClients():
		return sub.Client && s.isClients() && sub.Sockets == s.asksSockets()
	case sub.Name == subject.Nginx:
		return s.usesWrk() && s.ask.path == "" && !s.two || s.idle == idleHTTP
	case sub.Floor || sub.Canned:
		return s.usesWrk() && !s.close && !s.two && !s.static && !s.tls && s.ask.path == ""
	}
	return true
}

// stretch returns for how long the scenario is measured where others are for d: something
// has to happen meanwhile.
func (s scenario) stretch(d time.Duration) time.Duration {
	switch {
	case s.mixed() && s.mix.spread > 1: // some requests take a second
		return max(d, 2*time.Second)
	case s.mixed(), s.isSockets() && s.sockets.connections >= 10_000:
		return max(d, time.Second)
	case s.tls: // handshakes are part of it, and should be a small one
		return max(d, min(4*d, 2*time.Second))
	case s.connections(0) >= 1000, s.ask.size >= 1<<20: // it takes a while until the first are answered
		return max(d, 700*time.Millisecond)
	}
	return d
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
	case s.ask.size > 0:
		script = wrk.BodyScript(s.ask.method, s.ask.size)
	default:
		return "", nil
	}
	path := filepath.Join(dir, s.name+".lua")
	if err := os.WriteFile(path, []byte(script), 0o644); err != nil {
		return "", fmt.Errorf("writing script for wrk: %w", err)
	}
	return path, nil
}
