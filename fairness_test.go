package ringkit

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A client with many requests in its pipeline is served in turns with others: a request
// that comes meanwhile does not wait for all of them.
func TestPipelinesTakeTurns(t *testing.T) {
	const (
		clients  = 3
		requests = 400
	)
	var handled atomic.Int64
	native := HandlerFunc(func(x *Exchange) {
		if x.Path() == "/work" {
			time.Sleep(time.Millisecond)
			handled.Add(1)
		}
	})
	eachKind(t, func(t *testing.T, e engine) {
		for _, h := range []http.Handler{native, std(native.ServeHTTP)} {
			handled.Store(0)
			// Nobody takes the lead from these handlers: what is seen is the loop's doing.
			s := serve(t, e, &Server{Loops: 1, Mode: Inline, Handler: h})
			good := s.dial()
			good.get("/")
			for range clients {
				p := s.dial()
				p.send(strings.Repeat(ask("GET", "/work"), requests))
				go io.Copy(io.Discard, p)
			}
			eventually(func() bool { return handled.Load() > 0 })
			least := int64(clients * requests)
			for range 5 {
				before := handled.Load()
				good.get("/")
				least = min(least, handled.Load()-before)
			}
			if least > requests/4 {
				t.Errorf("%d other requests were handled before the answer", least)
			}
			if n := handled.Load(); n == clients*requests {
				t.Errorf("all of the %d other requests were handled before a few answers", n)
			}
		}
	})
}
