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
func (m *engineMaker) open(e Engine) (r conn.Ring, what string, err error) {
	var why error
	if e != Epoll {
		r, tier, err := m.uring()
		if err == nil {
			return r, describeTier(tier), nil
		}
		if e == IOUring {
			return nil, "", fmt.Errorf("engine io_uring: %w; engine auto would run on epoll", err)
		}
		why = err
	}
	r, err = m.fallback()
	switch {
	case err != nil && why != nil:
		return nil, "", fmt.Errorf("no engine: %w; and epoll: %w", why, err)
	case err != nil:
		return nil, "", fmt.Errorf("engine epoll: %w", err)
	case why != nil:
		return r, fmt.Sprintf("engine epoll: %v", why), nil
	}
	return r, "engine epoll, as asked for", nil
}

func describeTier(tier string) string {
	what := "engine io_uring, tier " + tier
	var missing []string
	for _, f := range uring.Probe().Findings {
		if tier != "full" && !f.Available() {
			missing = append(missing, fmt.Sprintf("%s (%v)", f.Name, f.Err))
		}
	}
	if len(missing) == 0 {
		return what
	}
	return what + ": without " + strings.Join(missing, ", ")
}

// openRing makes the ring of one loop. Each loop chooses for itself: one that finds
// no memory for io_uring runs on epoll beside others that did.
func (srv *Server) openRing() (r conn.Ring, what string, err error) {
	if srv.newRing != nil {
		r, err = srv.newRing()
		return r, "engine of a test", err
	}
	e, err := srv.engine()
	if err != nil {
		return nil, "", err
	}
	m := srv.engines
	if m == nil {
		m = kernelEngines
	}
	if r, what, err = m.open(e); err != nil {
		return nil, "", err
	}
	if _, again := m.said.LoadOrStore(what, true); !again {
		srv.announce(what)
	}
	return r, what, nil
}

// announce says in the log which engine the next loop runs on, and why not on a
// better one.
func (srv *Server) announce(what string) {
	if n := len(srv.workers); n > 0 {
		srv.logf("ringkit: event loop %d: %s", n+1, what) // unlike those before
		return
	}
	srv.logf("ringkit: %s", what)
}

// EngineInfo says what each loop runs on, and why not on something better: for
// example "engine io_uring, tier full". It is empty before the server has started.
func (srv *Server) EngineInfo() []string {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	var info []string
	for _, w := range srv.workers {
		info = append(info, w.engine)
	}
	return info
}
