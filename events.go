package ringkit

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ringkit/ringkit/internal/talk"
	"github.com/ringkit/ringkit/wsock"
)

// DefaultHeartbeat is how often a client that gets events hears something at least.
const DefaultHeartbeat = 15 * time.Second

// ServerEvent is an event of a stream of server-sent events, as the HTML standard has
// them (section 9.2).
type ServerEvent struct {
	// Name is the type of the event; "" means "message".
	Name string

	// Data may have several lines.
	Data string

	// ID is what the client sends as Last-Event-ID when it comes back; "" leaves that as
	// it was.
	ID string

	// Retry is how long the client waits before it comes back, in whole milliseconds; 0
	// leaves that as it was.
	Retry time.Duration
}

// oneLine takes out of s what would end a line, and NUL, which an ID must not have.
var oneLine = strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ", "\x00", "")

// Append appends the event as it is sent.
func (e *ServerEvent) Append(dst []byte) []byte {
	if e.Name != "" {
		dst = append(append(append(dst, "event: "...), oneLine.Replace(e.Name)...), '\n')
	}
	if e.ID != "" {
		dst = append(append(append(dst, "id: "...), oneLine.Replace(e.ID)...), '\n')
	}
	if e.Retry > 0 {
		dst = append(dst, "retry: "...)
		dst = append(strconv.AppendInt(dst, e.Retry.Milliseconds(), 10), '\n')
	}
	for rest, more := e.Data, true; more; {
		var line string
		line, rest, more = cutLine(rest)
		dst = append(append(append(dst, "data: "...), line...), '\n')
	}
	return append(dst, '\n')
}

// cutLine cuts s behind its first line, which CRLF, LF or CR ends.
func cutLine(s string) (line, rest string, more bool) {
	i := strings.IndexAny(s, "\r\n")
	if i < 0 {
		return s, "", false
	}
	line = s[:i]
	if strings.HasPrefix(s[i:], "\r\n") {
		i++
	}
	return line, s[i+1:], true
}

// SendEvent sends an event on an HTTP channel: the first one makes the answer a stream of
// events, with its Content-Type and no caching, which gets a comment as a heartbeat when
// there is nothing else to send. On a WebSocket it sends the data as a text message.
func (ch *Channel) SendEvent(e ServerEvent) error {
	if ch.ws != nil {
		return ch.Send(Text(e.Data))
	}
	ch.StartEvents()
	return ch.Send(wsock.Message{Kind: wsock.Text, Data: e.Append(nil)})
}

// StartEvents makes the answer of an HTTP channel a stream of events and sends its head,
// before there is an event. It does nothing when something was sent already.
func (ch *Channel) StartEvents() {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	s := ch.stream
	if s == nil || s.events || s.headSent || ch.order.Phase != talk.Open {
		return
	}
	s.events = true
	if s.has&hasContentType == 0 {
		s.has |= hasContentType
		s.lines = append(s.lines, "Content-Type: text/event-stream\r\nCache-Control: no-store\r\n"...)
	}
	_ = ch.enqueue(Text(":\n\n"), false) // fails when the channel is over
}

// LastEventID returns where a client of events has been, when it comes back: its
// Last-Event-ID, or the parameter lastEventId of the query, or "".
func LastEventID(r *http.Request) string {
	if id := r.Header.Get("Last-Event-Id"); id != "" {
		return id
	}
	return r.URL.Query().Get("lastEventId")
}
