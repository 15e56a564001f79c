package client

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ringkit/ringkit/internal/autobahn"
	"github.com/ringkit/ringkit/wsock"
)

// The cases of the Autobahn test suite, whose fuzzing server sends what an echo client
// answers, in one piece and in many.
func TestWebSocketAutobahn(t *testing.T) {
	cases := autobahn.Cases()
	type heard struct{ got, pongs []string }
	answers := make(chan heard, 1)
	srv := wsServer(t, false, nil, func(p *wsPeer) {
		i, _ := strconv.Atoi(p.req.URL.Path[1:])
		c := cases[i]
		go func() { // who sends all before it reads may wait for ever
			input := c.FromServer()
			for n := 1 + i%7; i%2 == 1 && len(input) < 2000 && len(input) > n; input = input[n:] {
				p.say(input[:n])
			}
			p.say(input)
		}()
		var h heard
		for len(h.got)+len(h.pongs) < len(c.Answers) {
			switch ev := p.next(); ev.Op {
			case wsock.Close:
				h.got = append(h.got, fmt.Sprintf("close %d %q", ev.Code, ev.Data))
			case wsock.Pong: // may come before the answer to an earlier message
				h.pongs = append(h.pongs, fmt.Sprintf("pong %q", ev.Data))
			case 0:
				h.got = append(h.got, "the end")
			default:
				h.got = append(h.got, fmt.Sprintf("%v %q", ev.Op, ev.Data))
			}
		}
		closeWrite(p)
		io.Copy(io.Discard, p.Conn)
		answers <- h
	})
	onEngines(t, func(t *testing.T, tr *Transport) {
		o := &WebSocketOptions{Client: &Client{Transport: tr}, Overflow: OverflowWait}
		for i, c := range cases {
			ws := dial(t, o, fmt.Sprintf("%s/%d", wsURL(srv), i), Events{Message: func(ws *WebSocket, m wsock.Message) { ws.Send(m) }})
			var want, pongs []string
			for _, a := range c.Answers {
				if strings.HasPrefix(a, "pong ") {
					pongs = append(pongs, a)
				} else {
					want = append(want, a)
				}
			}
			select {
			case h := <-answers:
				if !autobahn.Fit(h.got, want) || !autobahn.Fit(h.pongs, pongs) {
					t.Errorf("%s: %.200q and %.200q, want %.200q", c.ID, h.got, h.pongs, c.Answers)
				}
			case <-time.After(patience):
				t.Fatalf("%s: the connection goes on", c.ID)
			}
			if why := waitDone(t, ws); why.Clean == (why.Err != nil) {
				t.Errorf("%s: %+v", c.ID, why)
			}
		}
	})
}
