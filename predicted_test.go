package ringkit

import (
	"net/http"
	"testing"
	"time"

	"github.com/ringkit/ringkit/http1"
)

// A native handler that only delegates stays on the loop: what it delegates to is what
// blocks, and takes one goroutine.
func TestPredictedDelegateTakesOneGoroutine(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		slow := HandlerFunc(func(x *Exchange) { time.Sleep(5 * time.Millisecond) })
		s := serve(t, e, &Server{Loops: 1, Handler: HandlerFunc(func(x *Exchange) { x.Delegate(slow) })})
		p := s.dial()
		for range 100 {
			if p.get("/"); s.Stats().Spawned > 0 {
				break
			}
		}
		before := s.Stats()
		const calls = 20
		for range calls {
			p.get("/")
		}
		if after := s.Stats(); after.Spawned-before.Spawned != calls || after.Predicted-before.Predicted != calls {
			t.Errorf("%d calls: before %+v, after %+v", calls, before, after)
		}
	})
}

// Requests that find no place are not among those that were run on goroutines.
func TestRefusedIsNotPredicted(t *testing.T) {
	for name, h := range map[string]http.Handler{
		"native":   HandlerFunc(func(*Exchange) {}),
		"standard": std(ok),
	} {
		t.Run(name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, e engine) {
				s := serve(t, e, &Server{MaxConcurrent: 1, MaxQueued: -1, Handler: h})
				if !eventually(func() bool { return len(s.Addrs()) == 1 }) {
					t.Fatal("the server does not start")
				}
				p := s.dial()
				s.pool.run(func() {}) // it never ends
				now := time.Now()
				s.predict.blocked(routeOfPath(http1.GET, "/"), now)
				s.predict.blocked(routeOfNative(http1.GET, []byte("/")), now)
				for range 5 {
					if a := p.get("/"); a.status != 503 {
						t.Fatalf("answer %d, want 503", a.status)
					}
				}
				if st := s.Stats(); st.Predicted != 0 || st.Refused != 5 {
					t.Errorf("%+v, want 5 refused and none predicted", st)
				}
			})
		})
	}
}
