package ringkit

import "fmt"

// State is where a server is in its life.
type State uint8

const (
	// StateNew is a server that has not been started.
	StateNew State = iota
	// StateServing is a server that accepts connections.
	StateServing
	// StateDraining is a server after Shutdown or Close: it accepts nothing, and
	// has connections left.
	StateDraining
	// StateClosed is a server after that.
	StateClosed
)

var stateNames = []string{"new", "serving", "draining", "closed"}

// String returns "new", "serving", "draining" or "closed".
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// State returns the state of the server. That it serves does not mean that all
// calls of Serve have got so far: see Ready.
func (srv *Server) State() State {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	running := 0
	for _, w := range srv.workers {
		select {
		case <-w.loop.Done():
		default:
			running++
		}
	}
	switch stopping := srv.stopping.Load(); {
	case stopping && running > 0:
		return StateDraining
	case stopping || running < len(srv.workers):
		return StateClosed
	case running > 0:
		return StateServing
	}
	return StateNew
}

// Ready returns a channel that is closed when the server has begun to accept
// connections: Addrs then has an address to connect to. A server that cannot be
// started never does, its Serve returns an error instead.
func (srv *Server) Ready() <-chan struct{} {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	return srv.readiness()
}

// readiness returns the channel of Ready; srv.mu is held.
func (srv *Server) readiness() chan struct{} {
	if srv.ready == nil {
		srv.ready = make(chan struct{})
	}
	return srv.ready
}
