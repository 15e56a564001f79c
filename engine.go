package ringkit

import (
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/fallback"
	"github.com/ringkit/ringkit/uring"
)

// Engine is how a server talks to the kernel. Auto is io_uring where it works for
// this process, otherwise epoll; which of them and why is said once in the error log.
type Engine uint8

const (
	// IOUring is io_uring or an error that says why there is none.
	IOUring Engine = iota + 1
	// Epoll is epoll, which every Linux has.
	Epoll
)

// EngineVariable is the environment variable with which operators override
// [Server].Engine: "auto", "io_uring" or "epoll".
const EngineVariable = "RINGKIT_ENGINE"

var engineNames = []string{"auto", "io_uring", "epoll"}

// String returns the name that EngineVariable understands.
func (e Engine) String() string {
	if int(e) < len(engineNames) {
		return engineNames[e]
	}
	return fmt.Sprintf("Engine(%d)", uint8(e))
}

// MarshalText implements encoding.TextMarshaler with the name.
func (e Engine) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// ParseEngine returns the engine with the given name.
func ParseEngine(name string) (Engine, error) {
	for e, n := range engineNames {
		if name == n {
			return Engine(e), nil
		}
	}
	return Auto, fmt.Errorf("ringkit: no engine is called %q: there are %s", name, strings.Join(engineNames, ", "))
}

// engine returns the engine asked for: by the operator, else by the program.
func (srv *Server) engine() (Engine, error) {
	if name := os.Getenv(EngineVariable); name != "" {
		e, err := ParseEngine(name)
		if err != nil {
			return e, fmt.Errorf("%w (environment variable %s)", err, EngineVariable)
		}
		return e, nil
	}
	if int(srv.Engine) >= len(engineNames) {
		return Auto, fmt.Errorf("ringkit: %v is no engine", srv.Engine)
	}
	return srv.Engine, nil
}

// engineMaker makes the rings of a server's loops. The two functions are package
// uring's and fallback's; tests put others in their place.
type engineMaker struct {
	uring    func() (r conn.Ring, tier string, err error)
	fallback func() (conn.Ring, error)

	said sync.Map // what has been logged: once for all servers is enough
}

var kernelEngines = &engineMaker{
	uring: func() (conn.Ring, string, error) {
		r, err := uring.New(uring.Config{})
		if err != nil {
			return nil, "", err
		}
		return r, r.Tier(), nil
	},
	fallback: func() (conn.Ring, error) {
		r, err := fallback.New(fallback.Config{})
		if err != nil {
			return nil, err
		}
		return r, nil
	},
}

// open makes one ring. what says which, and why it is not a better one.
func (m *engineMaker) open(e Engine) (r conn.Ring, what LoopEngine, err error) {
	var why error
	if e != Epoll {
		r, tier, err := m.uring()
		if err == nil {
			return r, describeTier(tier), nil
		}
		if e == IOUring {
			return nil, what, fmt.Errorf("engine io_uring: %w; engine auto would run on epoll", err)
		}
		why = err
	}
	r, err = m.fallback()
	switch {
	case err != nil && why != nil:
		return nil, what, fmt.Errorf("no engine: %w; and epoll: %w", why, err)
	case err != nil:
		return nil, what, fmt.Errorf("engine epoll: %w", err)
	case why != nil:
		return r, LoopEngine{Name: Epoll, Why: why.Error()}, nil
	}
	return r, LoopEngine{Name: Epoll, Why: asAskedFor}, nil
}

func describeTier(tier string) LoopEngine {
	what := LoopEngine{Name: IOUring, Tier: tier}
	var missing []string
	for _, f := range uring.Probe().Findings {
		if tier != "full" && !f.Available() {
			missing = append(missing, fmt.Sprintf("%s (%v)", f.Name, f.Err))
		}
	}
	if len(missing) > 0 {
		what.Why = "without " + strings.Join(missing, ", ")
	}
	return what
}

// LoopEngine is what an event loop runs on.
type LoopEngine struct {
	Name     Engine `json:"name"`     // IOUring or Epoll
	Tier     string `json:"tier"`     // of io_uring: "full", or "base" where something is missing that makes it faster
	Features string `json:"features"` // of io_uring that are in use, see uring.Feature
	Why      string `json:"why"`      // why it is not a better engine or tier
}

const asAskedFor = "as asked for"

// String describes the engine in one line.
func (e LoopEngine) String() string {
	s := "engine " + e.Name.String()
	if e.Tier != "" {
		s += ", tier " + e.Tier
	}
	switch e.Why {
	case "":
		return s
	case asAskedFor:
		return s + ", " + e.Why
	}
	return s + ": " + e.Why
}

// openRing makes the ring of one loop. Each loop chooses for itself: one that finds
// no memory for io_uring runs on epoll beside others that did.
func (srv *Server) openRing() (r conn.Ring, what LoopEngine, err error) {
	if srv.newRing != nil {
		r, err = srv.newRing()
		return r, LoopEngine{Why: "for a test"}, err
	}
	e, err := srv.engine()
	if err != nil {
		return nil, what, err
	}
	m := srv.engines
	if m == nil {
		m = kernelEngines
	}
	if r, what, err = m.open(e); err != nil {
		return nil, what, err
	}
	if u, ok := r.(*uring.Ring); ok {
		what.Features = u.Features().String()
	}
	if _, again := m.said.LoadOrStore(what.String(), true); !again {
		srv.logEngine(what, len(srv.workers))
	}
	return r, what, nil
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
