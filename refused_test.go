package ringkit

import (
	"testing"
	"time"

	"github.com/ringkit/ringkit/http1"
)

// A request that is refused after its native handler has delegated it leaves an
// idle connection behind, which ends in time.
func TestRefusedDelegateLeavesIdleConnection(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		e.notBlocking(t, "they forget what is predicted")
		srv := &Server{IdleTimeout: tick, MaxConcurrent: 1, MaxQueued: -1}
		srv.Handler = HandlerFunc(func(x *Exchange) {
			// What it delegates to is going to run on a goroutine, for which there is no place.
			srv.predict.blocked(routeOfPath(http1.GET, "/"), time.Now())
			x.Delegate(std(ok))
		})
		s := serve(t, e, srv)
		if !eventually(func() bool { return len(s.Addrs()) == 1 }) {
			t.Fatal("the server does not start")
		}
		s.pool.run(func() {})
		p := s.dial()
		if a := p.get("/"); a.status != 503 {
			t.Fatalf("answer %d, want 503", a.status)
		}
		p.expectEnd()
	})
}
