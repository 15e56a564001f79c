package room

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringkit/ringkit"
	"github.com/ringkit/ringkit/uring"
)

const patience = 20 * time.Second

// site is a room that is served.
type site struct {
	*testing.T
	room *Room
	url  string
}

func eachEngine(t *testing.T, test func(s *site)) {
	t.Setenv(ringkit.EngineVariable, "") // the tests name the engine
	for _, e := range []ringkit.Engine{ringkit.IOUring, ringkit.Epoll} {
		t.Run(e.String(), func(t *testing.T) {
			if err := uring.Probe().Err; e == ringkit.IOUring && err != nil {
				t.Skip(err)
			}
			test(serve(t, e))
		})
	}
}

func serve(t *testing.T, e ringkit.Engine) *site {
	r, err := New(nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &ringkit.Server{Handler: r.Handler(), Engine: e}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Error("Shutdown: ", err)
		}
		if err := <-served; err != http.ErrServerClosed {
			t.Error("Serve: ", err)
		}
		r.Close()
	})
	return &site{t, r, "http://" + l.Addr().String()}
}

// visitor is somebody with a session.
type visitor struct {
	*site
	session, name, seen string
	said                int
}

func (s *site) visitor(n int) *visitor {
	return &visitor{site: s, session: fmt.Sprintf("%032x", n+1), name: fmt.Sprint("visitor ", n)}
}

func (v *visitor) get(path string, more url.Values, fields ...string) *http.Response {
	v.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	v.Cleanup(cancel)
	q := url.Values{"session": {v.session}, "name": {v.name}}
	for k, values := range more {
		q[k] = values
	}
	req, _ := http.NewRequestWithContext(ctx, "GET", v.url+path+"?"+q.Encode(), nil)
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		v.Fatal(err)
	}
	v.Cleanup(func() { resp.Body.Close() })
	return resp
}

// poll asks what is new.
func (v *visitor) poll(now bool) []event {
	v.Helper()
	q := url.Values{"lastEventId": {v.seen}}
	if now {
		q.Set("now", "1")
	}
	resp := v.get("/poll", q)
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 && resp.StatusCode != 204 {
		v.Fatalf("poll: %s %q, %v", resp.Status, body, err)
	}
	return v.events(string(body))
}

// events parses lines and notes the last ID.
func (v *visitor) events(lines string) (all []event) {
	v.Helper()
	for line := range strings.SplitSeq(lines, "\n") {
		if line == "" {
			continue
		}
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			v.Fatalf("%q: %v", line, err)
		}
		if e.ID != "" {
			v.seen = e.ID
		}
		all = append(all, e)
	}
	return all
}

// say posts a message and returns the status.
func (v *visitor) say(text string) int {
	v.Helper()
	v.said++
	return v.sayAs(fmt.Sprintf("%032x", v.said), text)
}

// sayAs may be called by any goroutine.
func (v *visitor) sayAs(key, text string) int {
	v.Helper()
	body, _ := json.Marshal(words{Session: v.session, Key: key, Text: text})
	resp, err := http.Post(v.url+"/say", "application/json", bytes.NewReader(body))
	if err != nil {
		v.Error(err)
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

func texts(events []event) (all []string) {
	for _, e := range events {
		if e.Kind == said {
			all = append(all, e.Text)
		}
	}
	return all
}

// stream is a stream of events.
type stream struct {
	*visitor
	lines *bufio.Scanner
	id    string // of the last event
}

func (v *visitor) stream(fields ...string) *stream {
	v.Helper()
	return &stream{v, bufio.NewScanner(v.get("/events", nil, fields...).Body), ""}
}

// stays keeps a visitor in the room until the test ends.
func (v *visitor) stays() {
	v.Helper()
	if resp := v.get("/events", nil); resp.StatusCode != 200 {
		v.Fatal(resp.Status)
	}
}

// until reads until a message comes, and returns all messages.
func (s *stream) until(text string) (all []string) {
	s.Helper()
	for s.lines.Scan() {
		switch field, value, _ := strings.Cut(s.lines.Text(), ": "); field {
		case "id":
			s.id = value
		case "data":
			all = append(all, texts(s.events(value))...)
		case "":
			if slices.Contains(all, text) {
				return all
			}
		}
	}
	s.Fatalf("the stream ended before %q: %v, after %q", text, s.lines.Err(), all)
	return nil
}

// Who comes back with the ID of the last event gets what was said meanwhile, once and in
// order, while others go on talking.
func TestNothingIsMissed(t *testing.T) {
	eachEngine(t, func(s *site) {
		speaker, listener := s.visitor(0), s.visitor(1)
		speaker.stays()
		const rounds, each = 8, 10
		spoken := make(chan struct{})
		go func() {
			defer close(spoken)
			for i := range rounds * each {
				if status := speaker.say(fmt.Sprint(i)); status != 204 {
					t.Errorf("say: %d", status)
				}
			}
		}()
		var heard, want []string
		var fields []string
		for i := range rounds {
			last := fmt.Sprint((i+1)*each - 1)
			if slices.Contains(heard, last) {
				continue // what was missed came in one piece, with more behind it
			}
			stream := listener.stream(fields...)
			heard = append(heard, stream.until(last)...)
			fields = []string{"Last-Event-ID", stream.id}
		}
		for i := range rounds * each {
			want = append(want, fmt.Sprint(i))
		}
		if !slices.Equal(heard, want) {
			t.Errorf("heard %q", heard)
		}
		<-spoken
		poller := s.visitor(2)
		if got := texts(poller.poll(true)); !slices.Equal(got, want) {
			t.Errorf("the history is %q", got)
		}
	})
}

// A poll waits for the next message, and people are seen.
func TestPoll(t *testing.T) {
	eachEngine(t, func(s *site) {
		ann, bob := s.visitor(0), s.visitor(1)
		ann.poll(true)
		bob.stays()
		var names []string
		for len(names) < 2 { // they are told when they have come
			for _, e := range ann.poll(false) {
				names = nil
				for _, p := range e.People {
					names = append(names, p.Name+" "+p.By)
				}
			}
		}
		if !slices.Equal(names, []string{"visitor 0 poll", "visitor 1 events"}) {
			t.Errorf("people: %q", names)
		}
		status := make(chan int)
		go func() { status <- bob.say("hi") }()
		for {
			events := ann.poll(false)
			if heard := texts(events); len(heard) > 0 {
				if !slices.Equal(heard, []string{"hi"}) || events[0].From != "visitor 1" {
					t.Errorf("%+v", events)
				}
				break
			}
		}
		if got := <-status; got != 204 {
			t.Fatalf("say: %d", got)
		}
		if status := bob.sayAs(fmt.Sprintf("%032x", bob.said), "hi"); status != 204 {
			t.Errorf("a message that is sent again: %d", status)
		}
		bob.say("bye")
		if got := texts(bob.poll(true)); !slices.Equal(got, []string{"hi", "bye"}) {
			t.Errorf("heard %q", got)
		}
	})
}

// The history is bounded. Who was away for longer, or saw another run, is told.
func TestGap(t *testing.T) {
	eachEngine(t, func(s *site) {
		v := s.visitor(0)
		v.stays()
		v.say("first")
		v.poll(true)
		early := v.seen
		for i := range MaxHistory {
			v.say(fmt.Sprint(i))
		}
		if e := v.poll(true); len(texts(e)) != MaxHistory || e[0].Kind == gap {
			t.Errorf("%d messages, first event %+v", len(texts(e)), e[0])
		}
		v.say("one more")
		for _, seen := range []string{early, "deadbeef-7", "nonsense", v.room.cursor(1 << 40)} {
			v.seen = seen
			e := v.poll(true)
			if all := texts(e); e[0].Kind != gap || len(all) != MaxHistory || all[0] != "1" || all[MaxHistory-1] != "one more" {
				t.Errorf("after %q: %+v, %q", seen, e[0], all)
			}
		}
	})
}

func TestRefusals(t *testing.T) {
	eachEngine(t, func(s *site) {
		v := s.visitor(0)
		if status := v.say("too early"); status != http.StatusConflict {
			t.Errorf("from nobody: %d", status)
		}
		v.stays()
		for _, text := range []string{"", " \n", strings.Repeat("x", MaxText+1)} {
			if status := v.say(text); status != http.StatusBadRequest {
				t.Errorf("%d bytes: %d", len(text), status)
			}
		}
		if status := v.say(strings.Repeat("x", 10*maxRequest)); status != http.StatusBadRequest {
			t.Errorf("a very long request: %d", status)
		}
		if status := v.sayAs("<script>", "x"); status != http.StatusBadRequest {
			t.Errorf("a bad key: %d", status)
		}
		if status := v.say(strings.Repeat("\x01", MaxText)); status != http.StatusNoContent {
			t.Errorf("the longest message: %d", status)
		}
		for _, bad := range []*visitor{{site: s, session: "1", name: "x"}, {site: s, session: v.session, name: "\u202e \n"}} {
			if resp := bad.get("/events", nil); resp.StatusCode/100 != 4 {
				t.Errorf("session %q, name %q: %d", bad.session, bad.name, resp.StatusCode)
			}
		}
		resp, err := http.Post(s.url+"/say", "text/plain", strings.NewReader("{}"))
		if err != nil || resp.StatusCode != http.StatusUnsupportedMediaType {
			t.Errorf("another type: %v, %v", resp, err)
		}
		if resp := v.get("/socket", nil); resp.StatusCode != http.StatusUpgradeRequired {
			t.Errorf("no WebSocket: %d", resp.StatusCode)
		}
		resp = v.get("/", nil)
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != 200 || !strings.Contains(string(body), "<title>") || resp.Header.Get("Content-Security-Policy") == "" {
			t.Errorf("the page: %d %q", resp.StatusCode, body)
		}
	})
}

// noBus is a bus that cannot be reached.
type noBus struct{ ringkit.LocalBus }

func (*noBus) Publish(string, []byte) error { return errors.New("no broker") }

// What the bus refuses is refused to who said it; who is here is shown all the same.
func TestBusRefuses(t *testing.T) {
	r, err := New(new(noBus))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.enter(strings.Repeat("a", 16), "Ann", "poll"); err != nil {
		t.Fatal(err)
	}
	if err := r.say("Ann", strings.Repeat("b", 16), "hello"); !errors.Is(err, errBus) {
		t.Errorf("say: %v", err)
	}
	r.lost(errors.New("no broker"))
	r.lost(errors.New("no broker"))
	end := time.Now().Add(patience)
	for {
		r.mu.Lock()
		lines, _ := r.since("")
		r.mu.Unlock()
		if strings.Count(lines, `"trouble"`) != 1 {
			t.Fatalf("lost twice: %s", lines)
		}
		if strings.Contains(lines, `"Ann"`) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("nobody is here: %s", lines)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestCleanName(t *testing.T) {
	for in, want := range map[string]string{
		"Ann": "Ann", "  Ann \t Lee\n": "Ann Lee", "\x00\u202eevil\u200b": "evil", "\xff": "",
		strings.Repeat("ü", 100): strings.Repeat("ü", MaxName), "": "",
	} {
		if got := cleanName(in); got != want {
			t.Errorf("cleanName(%q) = %q, want %q", in, got, want)
		}
	}
}
