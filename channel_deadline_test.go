package ringkit

import (
	"net/http"
	"testing"
	"time"
)

// Deadlines that were set with a ResponseController are for the handler's own answer and
// body. A channel keeps its own time: whether they are set before or behind OpenChannel, for
// the past or for later, it goes on.
func TestChannelKeepsItsOwnTime(t *testing.T) {
	deadlines := map[string]time.Duration{"past": -time.Second, "future": tick}
	eachTransport(t, func(t *testing.T, e engine) {
		opened := make(chan *Channel, 1)
		mux := http.NewServeMux()
		mux.HandleFunc("/{when}/{deadline}", func(w http.ResponseWriter, r *http.Request) {
			deadline := time.Now().Add(deadlines[r.PathValue("deadline")])
			set := func(want error) {
				rc := http.NewResponseController(w)
				if read, write := rc.SetReadDeadline(deadline), rc.SetWriteDeadline(deadline); read != want || write != want {
					t.Errorf("%s: SetReadDeadline %v, SetWriteDeadline %v, want %v", r.URL, read, write, want)
				}
			}
			if r.PathValue("when") == "before" {
				set(nil)
			}
			ch, err := OpenChannel(w, r, Events{Message: echo})
			if err != nil {
				t.Errorf("OpenChannel: %v", err)
				return
			}
			if r.PathValue("when") == "behind" {
				set(http.ErrHijacked)
			}
			opened <- ch
		})
		s := serve(t, e, &Server{Handler: mux})
		type pair struct {
			p  *wsPeer
			ch *Channel
		}
		var sockets, answers []pair
		for _, path := range []string{"/before/past", "/before/future", "/behind/past", "/behind/future"} {
			p := s.webSocket(path, false)
			sockets = append(sockets, pair{p, expect(t, "the channel", opened)})
			p = &wsPeer{peer: s.dial()}
			p.send(ask("GET", path))
			answers = append(answers, pair{p, expect(t, "the channel", opened)})
		}
		sockets[0].p.expectSilence(2 * tick) // the deadlines pass
		for _, each := range sockets {
			each.p.say(Text("hello"))
			each.p.expectMessage(Text("hello"))
			if err := each.ch.Send(Text("late")); err != nil {
				t.Error(err)
			}
			each.p.expectMessage(Text("late"))
		}
		for _, each := range answers {
			if err := each.ch.SendLast(Text("late")); err != nil {
				t.Error(err)
			}
			each.p.expectAnswer(200, "late")
		}
	})
}
