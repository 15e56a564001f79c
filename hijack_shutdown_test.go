package ringkit

import (
	"io"
	"net/http"
	"testing"
)

// A connection that is hijacked while the server shuts down goes to its handler,
// also when it is the last one and the loop ends with it.
func TestHijackWhileShuttingDown(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		for range 20 {
			began, hijacked := make(chan bool), make(chan error)
			s := serve(t, e, &Server{Loops: 1, Mode: Goroutine, Handler: std(func(w http.ResponseWriter, r *http.Request) {
				began <- true
				<-began
				c, _, err := w.(http.Hijacker).Hijack()
				if err == nil {
					io.WriteString(c, "mine")
					c.Close()
				}
				hijacked <- err
			})})
			p := s.dial()
			p.send(smallRequest)
			expect(t, "the handler", began)
			down := make(chan error, 1)
			go func() { down <- s.Shutdown(t.Context()) }()
			if !eventually(s.stopping.Load) {
				t.Fatal("no Shutdown")
			}
			began <- true
			if err := expect(t, "Hijack", hijacked); err != nil {
				t.Fatalf("Hijack: %v", err)
			}
			p.expectData("mine")
			expect(t, "Shutdown", down)
		}
	})
}
