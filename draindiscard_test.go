package ringkit

import (
	"io"
	"net/http"
	"testing"
)

// A connection whose request was answered before its body had come ends with it
// when the server shuts down.
func TestShutdownWhileDiscarding(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: std(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "answer")
		})})
		p := s.dial()
		const n = 100_000
		p.send(ask("POST", "/", withLength(n)), pattern(n/2))
		p.expectAnswer(200, "answer")
		down := make(chan error, 1)
		go func() { down <- s.Shutdown(t.Context()) }()
		if !eventually(func() bool { return s.stopping.Load() }) {
			t.Fatal("no Shutdown")
		}
		p.expectSilence(tick / 10)
		p.send(pattern(n / 2))
		p.expectEnd()
		if err := expect(t, "Shutdown", down); err != nil {
			t.Errorf("Shutdown = %v", err)
		}
	})
}
