// Package inside is what a server of this project tells of itself to those who measure it.
package inside

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"time"

	"github.com/ringkit/ringkit"
)

// Path is where it tells.
const Path = "/inside"

// Figures are what it tells.
type Figures struct {
	Conns       int    `json:"connections"`        // that are open, this one included
	Direct      int    `json:"direct_descriptors"` // of these
	Loops       int    `json:"loops"`
	Engine      string `json:"engine"` // of the first
	Requests    uint64 `json:"requests"`
	Starved     uint64 `json:"receives_starved"`
	AcceptWaits uint64 `json:"accept_waits"`
	Takeovers   uint64 `json:"takeovers"`

	HeapLive   uint64 `json:"heap_live_bytes"`   // objects, also those that the collector has not found unreachable yet
	HeapInUse  uint64 `json:"heap_in_use_bytes"` // spans with objects
	Stacks     uint64 `json:"stack_bytes"`
	GoSystem   uint64 `json:"go_bytes"` // all that the Go runtime has from the system, also what it has not touched
	Goroutines int    `json:"goroutines"`
	Collected  uint32 `json:"collections"`
}

// Of returns the figures of a server, which has to be running.
func Of(srv *ringkit.Server) Figures {
	s := srv.Stats()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	f := Figures{
		Conns: s.Conns, Direct: s.Direct, Loops: len(s.Loops), Requests: s.Requests, Starved: s.Starved, AcceptWaits: s.AcceptWaits, Takeovers: s.Takeovers,
		HeapLive: m.HeapAlloc, HeapInUse: m.HeapInuse, Stacks: m.StackInuse, GoSystem: m.Sys,
		Goroutines: runtime.NumGoroutine(), Collected: m.NumGC,
	}
	if len(s.Loops) > 0 {
		f.Engine = s.Loops[0].Engine.Name.String()
	}
	return f
}

// JSON is what a server answers on Path.
func JSON(srv *ringkit.Server) []byte {
	data, err := json.Marshal(Of(srv))
	if err != nil {
		panic(err) // numbers and a name only
	}
	return data
}

// timeout bounds asking.
const timeout = 30 * time.Second

// Ask asks the server on a port of 127.0.0.1, on a connection of its own.
func Ask(port int) (f Figures, err error) {
	c := &http.Client{Timeout: timeout, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get("http://" + net.JoinHostPort("127.0.0.1", fmt.Sprint(port)) + Path)
	if err != nil {
		return f, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return f, errors.New("the server does not tell of itself: " + resp.Status)
	}
	return f, json.NewDecoder(resp.Body).Decode(&f)
}
