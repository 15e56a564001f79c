package ringkit

import (
	"errors"
	"io"
	"log"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/wsock"
)

// frailRing is a ring that fails when it is told to.
type frailRing struct {
	conn.Ring
	broken *atomic.Bool
}

var errRing = errors.New("deliberate")

func (r frailRing) Enter(d time.Duration) error {
	if r.broken.Load() {
		return errRing
	}
	return r.Ring.Enter(d)
}

// serveFrail starts a server with one loop, whose ring fails when fail is called.
func serveFrail(t *testing.T, e engine, srv *Server) (s *site, fail func()) {
	t.Helper()
	broken := new(atomic.Bool)
	l := listenTCP(t)
	s = &site{TB: t, Server: srv, network: "tcp", addr: l.Addr().String(), served: make(chan error, 1)}
	srv.Loops, srv.ErrorLog = 1, log.New(io.Discard, "", 0)
	srv.newRing = func() (conn.Ring, error) {
		r, err := e.newRing()
		return frailRing{r, broken}, err
	}
	go func() { s.served <- srv.Serve(l) }()
	t.Cleanup(func() { within(t, "Close", func() { srv.Close() }) })
	return s, func() {
		broken.Store(true)
		w := loopsOf(s)[0]
		w.loop.Do(func(*conn.Loop) {})
		if err := expect(t, "Serve returning", s.served); !errors.Is(err, errRing) {
			t.Errorf("Serve = %v", err)
		}
	}
}

// The ring of a loop fails, which only the kernel can bring about. Its channels are told,
// once, whatever they do at the time, and whatever the Close of another one does.
func TestChannelRingFails(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		for _, mode := range []Mode{Auto, Goroutine, Inline} {
			for _, f := range append(failures, failures[0]) {
				blocks := make(chan struct{})
				var told atomic.Int32
				closed := make(chan wsock.CloseInfo, 10)
				channels := make(chan *Channel, 10)
				events := func() Events {
					return Events{
						Open: func(ch *Channel) { channels <- ch },
						Close: func(_ *Channel, why wsock.CloseInfo) {
							n := told.Add(1) // before the test hears of it, which counts
							closed <- why
							switch n {
							case 1:
								if mode != Inline { // where nobody takes the loop from who blocks
									<-blocks
								}
							case 2:
								f.fail()
							}
						},
					}
				}
				s, fail := serveFrail(t, e, &Server{Mode: mode, Handler: channelsWith(&ChannelOptions{}, events)})
				const each = 2
				for range each {
					for _, kind := range handlerKinds {
						s.webSocket(kind, false)
					}
					s.dial().send(ask("GET", "/native"))
				}
				var all []*Channel
				for range each * (len(handlerKinds) + 1) {
					all = append(all, expect(t, "Open", channels))
				}
				fail()
				for range all {
					if why := expect(t, "Close", closed); why.Code != wsock.CloseAbnormal || !errors.Is(why.Err, errRing) {
						t.Errorf("%v: %+v", mode, why)
					}
				}
				close(blocks)
				for _, ch := range all {
					expect(t, "Done", ch.Done())
					if err := ch.Send(Text("late")); err != ErrChannelClosed {
						t.Errorf("%v: Send: %v", mode, err)
					}
				}
				s.Close()
				if n := int(told.Load()); n != len(all) {
					t.Errorf("%v: Close was called %d times for %d channels", mode, n, len(all))
				}
			}
		}
	})
}

// The ring fails while user code of a channel runs: Close is called behind it.
func TestChannelRingFailsMeanwhile(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		for _, mode := range []Mode{Auto, Goroutine} {
			for _, stage := range []string{"handler", "Open", "Message"} {
				for _, kind := range handlerKinds {
					d := newLogbook()
					there, goOn := make(chan *Channel, 1), make(chan struct{})
					at := func(ch *Channel, place string) {
						if place == stage {
							there <- ch
							<-goOn
						}
					}
					events := d.events(Events{
						Open:    func(ch *Channel) { at(ch, "Open") },
						Message: func(ch *Channel, _ wsock.Message) { at(ch, "Message") },
					})
					s, fail := serveFrail(t, e, &Server{Mode: mode, Handler: channels(func(w http.ResponseWriter, r *http.Request, x *Exchange) (*Channel, error) {
						ch, err := open(w, r, x, events)
						at(ch, "handler")
						return ch, err
					})})
					p := s.webSocket0(kind, stage == "handler")
					if stage == "Message" {
						p.send(frameOf(wsock.Text, "a"))
					}
					ch := expect(t, "being there", there)
					fail()
					expect(t, "Done", ch.Done())
					close(goOn)
					d.expect(t, "open")
					if stage == "Message" {
						d.expect(t, "text a")
					}
					if got := expect(t, "Close", d.lines); !strings.HasPrefix(got, "close 1006 ") {
						t.Errorf("%v, %s of %s: %q", mode, stage, kind, got)
					}
					s.Close()
					if len(d.lines) > 0 {
						t.Errorf("%v, %s of %s: then %q", mode, stage, kind, <-d.lines)
					}
				}
			}
		}
	})
}

// A handler opens its channel when the loop has ended already, with its server or because
// its ring failed: the channel is over, and says so.
func TestChannelOpenedTooLate(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		for _, how := range []string{"Close", "the ring"} {
			for _, mode := range []Mode{Auto, Goroutine} {
				for _, kind := range handlerKinds {
					d := newLogbook()
					there, goOn := make(chan bool, 1), make(chan struct{})
					opened := make(chan *Channel, 1)
					o := &ChannelOptions{Overflow: OverflowWait, HighWater: 100}
					s, fail := serveFrail(t, e, &Server{Mode: mode, Handler: channels(func(w http.ResponseWriter, r *http.Request, x *Exchange) (ch *Channel, err error) {
						there <- true
						<-goOn
						if x != nil {
							ch, err = o.OpenExchange(x, d.events(Events{}))
						} else {
							ch, err = o.Open(w, r, d.events(Events{}))
						}
						if err != nil {
							t.Errorf("%s, %v, %s: %v", how, mode, kind, err)
							close(opened)
							return nil, err
						}
						for ch.Send(Text(pattern(100))) == nil {
						}
						opened <- ch
						return ch, nil
					})})
					s.webSocket0(kind, true)
					expect(t, "the handler", there)
					if how == "Close" {
						within(t, "Close", func() { s.Close() })
					} else {
						fail()
					}
					close(goOn)
					ch := expect(t, "Send to fail", opened)
					if ch == nil {
						continue
					}
					expect(t, "Done", ch.Done())
					d.expect(t, "open")
					if got := expect(t, "Close", d.lines); !strings.HasPrefix(got, "close 1006 ") {
						t.Errorf("%s, %v, %s: %q", how, mode, kind, got)
					}
					s.Close()
					if len(d.lines) > 0 {
						t.Errorf("%s, %v, %s: then %q", how, mode, kind, <-d.lines)
					}
				}
			}
		}
	})
}
