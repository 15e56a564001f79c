package peer

import (
	"io"
	"net/http"
	"sync"

	"github.com/ringkit/ringkit/bench/internal/client"
	"github.com/ringkit/ringkit/bench/internal/ws"
)

// queuedEvents is how many events may wait for a stream to be written.
const queuedEvents = 16

// Hub has the streams of events of a server that writes each on a goroutine of its own.
type Hub struct {
	mu      sync.Mutex
	streams map[chan []byte]struct{}
}

// Join returns what brings the events of a new stream. It leaves with the second function.
func (h *Hub) Join() (events <-chan []byte, leave func()) {
	c := make(chan []byte, queuedEvents)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.streams == nil {
		h.streams = make(map[chan []byte]struct{})
	}
	h.streams[c] = struct{}{}
	return c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.streams, c)
	}
}

// Publish gives an event to all streams; one that has too many waiting misses it.
func (h *Hub) Publish() {
	event := ws.Event()
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.streams {
		select {
		case c <- event:
		default:
		}
	}
}

// WithEvents serves streams of events besides what a handler of net/http does.
func WithEvents(next http.HandlerFunc) http.HandlerFunc {
	h := new(Hub)
	return func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case ws.Events:
			h.serve(w, r)
		case ws.Publish:
			h.Publish()
			w.Header().Set("Content-Type", client.ContentType)
			io.WriteString(w, client.Body)
		default:
			next(w, r)
		}
	}
}

func (h *Hub) serve(w http.ResponseWriter, r *http.Request) {
	events, leave := h.Join()
	defer leave()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	flush := http.NewResponseController(w)
	for {
		if flush.Flush() != nil {
			return
		}
		select {
		case event := <-events:
			if _, err := w.Write(event); err != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}
