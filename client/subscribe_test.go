package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

const eventStream = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"

// eventScript answers the requests for a stream one after the other, each on a connection
// of its own, and notes their Last-Event-ID.
func eventScript(t *testing.T, asked chan<- string, all ...string) *script {
	return scripted(t, func(s *scene) {
		req, err := http.ReadRequest(s.r)
		if err != nil {
			return
		}
		asked <- fmt.Sprintf("%s %q", req.Header.Get("Accept"), req.Header.Get("Last-Event-ID"))
		answer := "HTTP/1.1 204 No Content\r\n\r\n"
		if s.num < len(all) {
			answer = all[s.num]
		}
		switch answer {
		case "reset":
			s.reset()
		case "refuse":
		default:
			s.say(answer)
		}
	})
}

func subscribe(tr *Transport, url string, o *SubscribeOptions) (told []string) {
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		panic(err)
	}
	o.Client = &Client{Transport: tr}
	for ev, err := range o.Subscribe(req) {
		if err != nil {
			return append(told, err.Error())
		}
		told = append(told, strings.TrimSpace(ev.Name+" "+ev.ID+" "+ev.Data))
	}
	return told
}

func expectTold(t *testing.T, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%q, want %q", got, want)
	}
	for i := range got {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("%q, want %q", got[i], want[i])
		}
	}
}

// A stream that ends in every way is asked for again, with the last ID and the time it has
// said, until the server wants no more.
func TestSubscribe(t *testing.T) {
	onEngines(t, func(t *testing.T, tr *Transport) {
		asked := make(chan string, 20)
		s := eventScript(t, asked,
			eventStream+"\r\nretry: 5\n\ndata: one\nid: 1\n\nevent: news\ndata: two\ndata: lines\n\n", // no ID: that of before
			eventStream+"Transfer-Encoding: chunked\r\n\r\n10\r\nid: 2\ndata: cut\n\r\n",              // cut short
			"reset",
			"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
			eventStream+"Content-Length: 21\r\n\r\ndata: again\n\nid: lost", // not complete, so never told
		)
		var lost []string
		told := subscribe(tr, s.url, &SubscribeOptions{Lost: func(err error, wait time.Duration) {
			if wait < 5*time.Millisecond || wait > time.Second {
				t.Errorf("%v until the next request", wait)
			}
			lost = append(lost, fmt.Sprint(err))
		}})
		expectTold(t, told, "1 one", "news 1 two\nlines", "1 again")
		expectTold(t, lost, "<nil>", "read body", "the server closed the connection", "status 503", "<nil>")
		for i, want := range []string{"", "1", "1", "1", "1", "1"} {
			if got := <-asked; got != fmt.Sprintf("text/event-stream %q", want) {
				t.Errorf("request %d: %s, want %q", i, got, want)
			}
		}
	})
}

// What ends the range, and how.
func TestSubscribeEnds(t *testing.T) {
	retry := eventStream + "\r\nretry: 1\ndata: x\n\n"
	for _, c := range []struct {
		name    string
		answers []string
		want    []string
	}{
		{"204", nil, nil},
		{"404", []string{"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"}, []string{"status 404"}},
		{"404 later", []string{retry, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"}, []string{"x", "status 404"}},
		{"503 at first", []string{"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n"}, []string{"status 503"}},
		{"no stream", []string{"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n"}, []string{`"text/html"`}},
		{"reset at first", []string{"reset"}, []string{"the server closed the connection"}},
		{"too large", []string{retry, eventStream + "\r\ndata: " + strings.Repeat("x", 1000)}, []string{"x", "longer than 500 bytes"}},
		{"failures", []string{retry, "reset", "reset", "reset", "reset", "reset"}, []string{"x", "the server closed the connection"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			onEngines(t, func(t *testing.T, tr *Transport) {
				asked := make(chan string, 20)
				s := eventScript(t, asked, c.answers...)
				got := subscribe(tr, s.url, &SubscribeOptions{MaxLine: 500, MaxFailures: 3})
				expectTold(t, got, c.want...)
				if c.name == "failures" && len(asked) != 4 {
					t.Errorf("%d requests", len(asked))
				}
			})
		})
	}
}

// The context ends it at any time, and so does who ranges over it; the connection is not
// left open.
func TestSubscribeStops(t *testing.T) {
	onEngines(t, func(t *testing.T, tr *Transport) {
		asked := make(chan string, 20)
		s := scripted(t, func(s *scene) {
			s.request()
			s.say(eventStream + "\r\nretry: 3600000\ndata: x\n\n")
			if asked <- ""; s.num < 2 {
				io.Copy(io.Discard, s.r)
			}
		})
		c := &Client{Transport: tr}
		for range 2 { // while it waits for an event, then between two connections
			ctx, cancel := context.WithCancelCause(context.Background())
			req, _ := http.NewRequestWithContext(ctx, "GET", s.url, nil)
			var last error
			n, enough := 0, errors.New("enough")
			for ev, err := range c.Subscribe(req) {
				if n++; err == nil && ev.Data == "x" {
					time.AfterFunc(tick/5, func() { cancel(enough) })
				}
				last = err
			}
			if cancel(nil); n != 2 || !errors.Is(last, enough) {
				t.Errorf("%d, %v", n, last)
			}
			req, _ = http.NewRequest("GET", s.url, nil)
			for range c.Subscribe(req) {
				break
			}
		}
		if !eventually(func() bool { return tr.Stats().Conns == 0 }) {
			t.Errorf("%+v", tr.Stats())
		}
	})
}

func TestReadEvents(t *testing.T) {
	onEngines(t, func(t *testing.T, tr *Transport) {
		s := answers(t, eventStream+"Content-Length: 20\r\n\r\ndata: 1\n\ndata: 2\n\nda", "HTTP/1.1 204 No Content\r\n\r\n",
			eventStream+"Content-Length: 200\r\n\r\ndata: 3\n\n")
		c, told := &Client{Transport: tr}, ""
		for range 3 {
			resp, err := c.Get(context.Background(), s.url)
			if err != nil {
				t.Fatal(err)
			}
			for ev, err := range ReadEvents(resp) {
				if told += ev.Data + ";"; err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Error(err)
				}
			}
		}
		if told != "1;2;3;;" {
			t.Errorf("%q", told)
		}
	})
}
