package conn

import (
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/ringkit/ringkit/fallback"
	"github.com/ringkit/ringkit/uring"
)

// Engine is how a loop talks to the kernel. The zero value, automatic, is io_uring
// where it works for this process, otherwise epoll.
type Engine uint8

const (
	// IOUring is io_uring or an error that says why there is none.
	IOUring Engine = iota + 1
	// Epoll is epoll, which every Linux has.
	Epoll
)

// EngineVariable is the environment variable with which operators override what a
// program asks for: "auto", "io_uring" or "epoll".
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
	return 0, fmt.Errorf("ringkit: no engine is called %q: there are %s", name, strings.Join(engineNames, ", "))
}

// Chosen returns the engine asked for: by the operator, else e.
func (e Engine) Chosen() (Engine, error) {
	if name := os.Getenv(EngineVariable); name != "" {
		e, err := ParseEngine(name)
		if err != nil {
			return e, fmt.Errorf("%w (environment variable %s)", err, EngineVariable)
		}
		return e, nil
	}
	if int(e) >= len(engineNames) {
		return 0, fmt.Errorf("ringkit: %v is no engine", e)
	}
	return e, nil
}

// Engines makes the rings of loops. Its functions are those of the engines; tests put
// others in their place.
type Engines struct {
	// IOUring makes a ring of io_uring and tells its tier, see uring.Ring.Tier. An error
	// has the loop run on epoll, unless IOUring was asked for.
	IOUring func() (r Ring, tier string, err error)

	// Epoll makes a ring over epoll. It fails only for want of descriptors or memory.
	Epoll func() (Ring, error)

	said sync.Map // what First was asked about
}

// KernelEngines are package uring's and package fallback's.
var KernelEngines = &Engines{
	IOUring: func() (Ring, string, error) {
		r, err := uring.New(uring.Config{})
		if err != nil {
			return nil, "", err
		}
		return r, r.Tier(), nil
	},
	Epoll: func() (Ring, error) {
		r, err := fallback.New(fallback.Config{})
		if err != nil {
			return nil, err
		}
		return r, nil
	},
}

// Open makes one ring. What says which, and why it is not a better one.
func (m *Engines) Open(e Engine) (r Ring, what LoopEngine, err error) {
	var why error
	if e != Epoll {
		r, tier, err := m.IOUring()
		if err == nil {
			what = DescribeTier(tier)
			if u, ok := r.(*uring.Ring); ok {
				what.Features = u.Features().String()
			}
			return r, what, nil
		}
		if e == IOUring {
			return nil, what, fmt.Errorf("engine io_uring: %w; engine auto would run on epoll", err)
		}
		why = err
	}
	r, err = m.Epoll()
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

// First reports whether this is asked for the first time about such an engine: to say
// once for all loops what they run on is enough.
func (m *Engines) First(what LoopEngine) bool {
	_, again := m.said.LoadOrStore(what.String(), true)
	return !again
}

// DescribeTier describes io_uring with the given tier, and what that lacks.
func DescribeTier(tier string) LoopEngine {
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
