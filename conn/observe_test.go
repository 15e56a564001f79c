package conn_test

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringkit/ringkit/conn"
)

// A loop can be looked at whatever it does: while it sleeps, while user code blocks on
// it, from that code, and when it has ended.
func TestObserve(t *testing.T) {
	for _, watch := range []bool{true, false} {
		for _, tr := range rings {
			name := tr.name
			if !watch {
				name += ", not watched"
			}
			t.Run(name, func(t *testing.T) {
				var e *engine
				release, blocks := make(chan struct{}), make(chan struct{})
				look := func() string {
					var n conn.Counters
					var by [conn.Marks]int
					if !e.loops[0].Observe(time.Minute, func() {
						n = e.loops[0].Counters()
						by, _ = e.loops[0].Marked()
					}) {
						return "in vain"
					}
					if n.Turns == 0 || n.Completions == 0 || n.Opened != 2 || by[0] != 2 {
						return "nothing"
					}
					return "seen"
				}
				p := &asking{run: func(line string, _ conn.Lead) string {
					if line == "block" {
						close(blocks)
						<-release
					}
					if line == "begin" {
						return "" // the other connection may not have arrived
					}
					return look()
				}}
				e = newEngine(t, 1, tr.make, conn.Config{Watch: watch})
				a, b := e.ask(p), e.ask(p)
				a.ask("begin", "")
				b.ask("hello", "seen")
				if got := look(); got != "seen" { // it sleeps
					t.Error(got)
				}
				if taken, left := e.loops[0].Takeovers(); left != 0 {
					t.Errorf("the lead was taken %d times and left %d times", taken, left)
				}
				a.write("block\n")
				<-blocks
				if got := look(); got != "seen" {
					t.Error(got)
				}
				close(release)
				a.expect("block=seen\n")
			})
		}
	}
}

// Who looks at a loop disturbs neither its user code nor the change of its lead. Where
// nobody watches, a lead that was lost by mistake is lost for good.
func TestObserveDisturbsNobody(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	for _, watch := range []bool{true, false} {
		for _, tr := range rings {
			t.Run(fmt.Sprintf("%s/watch %v", tr.name, watch), func(t *testing.T) {
				var i atomic.Int32
				p := &asking{run: func(line string, lead conn.Lead) string {
					switch i.Add(1) % 64 {
					case 0:
						time.Sleep(3 * time.Millisecond) // loses the lead, if watched
					case 1:
						if lead.Hold() {
							lead.Leave()
						}
					case 2, 3, 4, 5, 6, 7:
						if lead.Hold() {
							lead.Continue()
						}
					default:
						for range i.Load() % 8 {
							runtime.Gosched()
						}
					}
					return line
				}}
				observeDuring(newEngine(t, 1, tr.make, conn.Config{Watch: watch}), p)
			})
		}
	}
}

func observeDuring(e *engine, p *asking) {
	e.Helper()
	const calls = 500
	l := e.loops[0]
	stop := make(chan struct{})
	var observers sync.WaitGroup
	for range 2 {
		observers.Go(func() {
			for last := uint64(0); ; {
				select {
				case <-stop:
					return
				default:
				}
				var n conn.Counters
				if !l.Observe(20*time.Second, func() { n = l.Counters() }) || n.Completions < last {
					e.Errorf("%d completions after %d", n.Completions, last)
					return
				}
				last = n.Completions
			}
		})
	}
	defer observers.Wait()
	defer close(stop)
	a := e.ask(p)
	a.SetDeadline(time.Now().Add(20 * time.Second))
	for range calls {
		a.ask("hello", "hello")
	}
	if taken, left := l.Takeovers(); left > calls/64+1 {
		e.Errorf("the lead was taken %d times and left %d times", taken, left)
	}
}

// It is in vain while a callback keeps the loop, and later no more.
func TestObserveInVain(t *testing.T) {
	for _, tr := range rings {
		t.Run(tr.name, func(t *testing.T) {
			e := newEngine(t, 1, tr.make, conn.Config{Watch: true})
			l := e.loops[0]
			runs, release := make(chan struct{}), make(chan struct{})
			l.Do(func(*conn.Loop) { close(runs); <-release })
			<-runs
			late := false
			if l.Observe(5*time.Millisecond, func() { late = true }) {
				t.Error("not in vain")
			}
			close(release)
			if seen := false; !l.Observe(time.Minute, func() { seen = true }) || !seen {
				t.Error("in vain")
			}
			if late {
				t.Error("what was given up has run")
			}
		})
	}
}

// A loop that has ended is looked at where it was left.
func TestObserveTheEnd(t *testing.T) {
	for _, tr := range rings {
		t.Run(tr.name, func(t *testing.T) {
			r, err := tr.make()
			if err != nil {
				t.Skip(err)
			}
			l := conn.NewLoop(conn.Config{Ring: r})
			l.Do((*conn.Loop).Quit)
			if err := l.Run(); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				var n conn.Counters
				if !l.Observe(time.Minute, func() { n = l.Counters() }) || n.Turns == 0 {
					t.Errorf("%+v", n)
				}
			}
		})
	}
}
