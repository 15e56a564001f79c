package ringkit

import (
	"fmt"

	"github.com/ringkit/ringkit/conn"
)

// Engine is how a server talks to the kernel. Auto is io_uring where it works for
// this process, otherwise epoll; which of them and why is said once in the error log.
type Engine = conn.Engine

const (
	// IOUring is io_uring or an error that says why there is none.
	IOUring = conn.IOUring
	// Epoll is epoll, which every Linux has.
	Epoll = conn.Epoll
)

// EngineVariable is the environment variable with which operators override
// [Server].Engine: "auto", "io_uring" or "epoll".
const EngineVariable = conn.EngineVariable

// ParseEngine returns the engine with the given name.
func ParseEngine(name string) (Engine, error) { return conn.ParseEngine(name) }

// LoopEngine is what an event loop runs on.
type LoopEngine = conn.LoopEngine

// openRing makes the ring of one loop. Each loop chooses for itself: one that finds
// no memory for io_uring runs on epoll beside others that did.
func (srv *Server) openRing() (r conn.Ring, what LoopEngine, err error) {
	if srv.newRing != nil {
		r, err = srv.newRing()
		return r, LoopEngine{Why: "for a test"}, err
	}
	e, err := srv.Engine.Chosen()
	if err != nil {
		return nil, what, err
	}
	m := srv.engines
	if m == nil {
		m = conn.KernelEngines
	}
	if r, what, err = m.Open(e); err != nil {
		return nil, what, err
	}
	if m.First(what) {
		srv.logEngine(what, len(srv.workers))
	}
	return r, what, nil
}

// openFiles gives the ring of a loop a table of files, if connections are to be in one.
// Where that cannot be is said once; they have descriptors then.
func (srv *Server) openFiles(r conn.Ring, what LoopEngine) {
	if !srv.DirectDescriptors {
		return
	}
	why := fmt.Errorf("engine %v has no table of files", what.Name)
	if f, ok := r.(interface{ OpenFiles(n int) error }); ok {
		why = f.OpenFiles(0)
	}
	if why != nil && !srv.noFilesSaid {
		srv.noFilesSaid = true
		srv.logNoFiles(len(srv.workers), why)
	}
}

// EngineInfo says what each loop runs on, and why not on something better: for
// example "engine io_uring, tier full". It is empty before the server has started.
func (srv *Server) EngineInfo() []string {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	var info []string
	for _, w := range srv.workers {
		info = append(info, w.engine.String())
	}
	return info
}

// EventLoops returns the loops of the server, which other users of such loops may share:
// see client.Transport. It is empty before the server has started: make the transport when
// the first request comes. What shares them has to be over before they can end, see
// [Server.Shutdown]. Any goroutine may call it.
func (srv *Server) EventLoops() []*conn.Loop {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	var loops []*conn.Loop
	for _, w := range srv.workers {
		loops = append(loops, w.loop)
	}
	return loops
}
