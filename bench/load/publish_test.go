package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// serveEvents serves streams of events, to which publish sends something when the nth event
// is asked for, and returns their URL and that which asks.
func serveEvents(t *testing.T, publish func(w http.ResponseWriter, stream, n int)) (events, asks string) {
	var mu sync.Mutex
	var streams []http.ResponseWriter
	n := 0
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		switch r.URL.Path {
		case "/events":
			defer func() { <-r.Context().Done() }()
			defer mu.Unlock()
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, ": hello\n\n")
			w.(http.Flusher).Flush()
			streams = append(streams, w)
		case "/publish":
			defer mu.Unlock()
			n++
			for i, s := range streams {
				publish(s, i, n)
				s.(http.Flusher).Flush()
			}
		default:
			mu.Unlock()
			http.NotFound(w, r)
		}
	})
	return url + "/events", url + "/publish"
}

func TestPublish(t *testing.T) {
	for _, engine := range []string{"auto", "epoll"} {
		events, asks := serveEvents(t, func(w http.ResponseWriter, _, _ int) { fmt.Fprint(w, "data: same\n\n") })
		r, code, said := load(t, t.Context(), "-engine", engine, "-c", "7", "-d", "100ms", "-warm-up", "20ms", "-receive", "-publish", asks, "-expect", "same", events)
		if code != 0 || said != "" || r.Unit != "events" || r.Answered == 0 || r.Answered%7 != 0 {
			t.Errorf("%s: %d, %+v, %s: some are missing", engine, code, r, said)
		}
		if r.Bytes != 4*r.Requests || r.Latency.P50 < 1 || r.Receive {
			t.Errorf("%s: %+v", engine, r)
		}
	}
}

func TestPublishFails(t *testing.T) {
	for want, publish := range map[string]func(w http.ResponseWriter, stream, n int){
		errOtherEvent.Error(): func(w http.ResponseWriter, stream, n int) {
			if stream == 1 && n == 3 {
				fmt.Fprint(w, "data: other\n\n")
				return
			}
			fmt.Fprint(w, "data: same\n\n")
		},
		errManyEvents.Error(): func(w http.ResponseWriter, stream, n int) {
			fmt.Fprint(w, "data: same\n\n")
			if stream == 1 && n == 3 {
				fmt.Fprint(w, "data: same\n\n")
			}
		},
		"": func(w http.ResponseWriter, stream, n int) { // missed by one
			if stream != 1 || n != 3 {
				fmt.Fprint(w, "data: same\n\n")
			}
		},
	} {
		events, asks := serveEvents(t, publish)
		r, code, said := load(t, t.Context(), "-c", "3", "-d", "100ms", "-timeout", "200ms", "-receive", "-publish", asks, "-expect", "same", events)
		if want == "" && (code != 1 || r.Unanswered != 1) || want != "" && (code != 1 || r.Errors[want] != 1) {
			t.Errorf("%q: %d, %+v, %s", want, code, r, said)
		}
	}
	events, asks := serveEvents(t, nil)
	if _, code, said := load(t, t.Context(), "-c", "3", "-d", "100ms", "-receive", "-publish", asks+"/none", events); code != 1 || said == "" {
		t.Errorf("no publisher: %d, %s", code, said)
	}
	if _, code, _ := load(t, t.Context(), "-c", "3", "-d", "100ms", "-receive", "-publish", asks, events+"/none"); code != 1 {
		t.Errorf("no events: %d", code)
	}
}

func TestPublishUsage(t *testing.T) {
	for _, args := range []string{
		"-publish http://h/ http://h/",
		"-receive -publish http://h/ ws://h/",
		"-receive -publish ftp://h/ http://h/",
		"-receive -publish http://h/ -rate 5 http://h/",
		"-receive -publish http://h/ -p 5 http://h/",
		"-receive -expect x http://h/",
	} {
		if _, err := parse(strings.Fields(args), nil); err == nil {
			t.Errorf("%s: no error", args)
		}
	}
}
