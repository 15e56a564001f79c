package ringkit

import (
	"strings"
	"testing"
	"time"
)

// Timers run once and not early, unless they are stopped; Stop says which it was. A
// timer's function may block, or panic, and harms nobody.
func TestAfterFunc(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		for _, mode := range []Mode{Auto, Goroutine} {
			s := serve(t, e, &Server{Mode: mode, Handler: askers()})
			s.dial().get("/fast")
			const n = 500
			began := time.Now()
			fired := make(chan time.Duration, n)
			var timers []*Timer
			for i := range n {
				d := time.Duration(i%50) * time.Millisecond
				timers = append(timers, s.AfterFunc(d, func() { fired <- time.Since(began) - d }))
			}
			never := s.AfterFunc(time.Hour, func() { t.Error("a timer was early") })
			for range n {
				if late := expect(t, "a timer", fired); late < 0 {
					t.Fatalf("a timer was %v early", -late)
				}
			}
			for _, timer := range timers {
				if timer.Stop() {
					t.Fatal("Stop of a timer that has fired reports true")
				}
			}
			if !never.Stop() || never.Stop() {
				t.Error("Stop of a timer that waits has to report true, once")
			}

			release := make(chan bool)
			s.AfterFunc(0, func() { <-release })
			s.AfterFunc(0, func() { panic("in a timer") })
			s.dial().get("/fast") // while the first blocks
			close(release)
			if !eventually(func() bool { return strings.Contains(s.log.String(), "in a timer") }) {
				t.Error("a panic was not logged")
			}
		}
	})
}

// Before the server runs, and after, timers work as those of the time package do.
func TestAfterFuncWithoutServer(t *testing.T) {
	var srv Server
	fired := make(chan bool, 1)
	srv.AfterFunc(time.Millisecond, func() { fired <- true })
	expect(t, "the timer", fired)
	if !srv.AfterFunc(time.Hour, func() {}).Stop() {
		t.Error("Stop reports false")
	}
}
