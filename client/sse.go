package client

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// Event is an event of a stream of server-sent events, as the HTML standard has them
// (section 9.2, Server-sent events).
type Event struct {
	// ID is the last ID the stream has had up to this event, which is what to come back
	// with as Last-Event-ID; "" if it has had none.
	ID string

	// Name is the type of the event; "" means "message".
	Name string

	// Data are the lines of data, with LF between them.
	Data string

	// Retry is how long to wait before coming back, if the event says so; otherwise 0.
	Retry time.Duration
}

// Limits of an [EventParser], in bytes.
const (
	DefaultMaxEventLine = 1 << 20
	DefaultMaxEvent     = 4 << 20
)

// EventTooLargeError is the error of an event, or a line of the stream, that is longer than
// its limit.
type EventTooLargeError struct {
	// Line says that it is a line.
	Line bool

	// Limit is the limit in bytes.
	Limit int
}

// Error implements the error interface.
func (e *EventTooLargeError) Error() string {
	what := "event"
	if e.Line {
		what = "line of an event stream"
	}
	return fmt.Sprintf("client: %s longer than %d bytes", what, e.Limit)
}

// EventParser parses a stream of server-sent events, text/event-stream (HTML standard,
// section 9.2.6), from its bytes, however they are split. It does no I/O. The zero value
// is ready for a new stream. It is not for several goroutines at once.
type EventParser struct {
	// MaxLine is the longest line in bytes, without its end. 0 means DefaultMaxEventLine.
	MaxLine int

	// MaxEvent is how many bytes the data of an event may have, with an end for each of
	// its lines. 0 means DefaultMaxEvent.
	MaxEvent int

	line    []byte // the beginning of a line that is not complete
	data    []byte // of the event, each line with LF
	name    string // of the event
	id      string // becomes lastID with the end of the event
	lastID  string
	retry   time.Duration // that the event says, 0 if none
	waiting time.Duration // that the stream has said last, 0 if never
	begun   bool          // the first line has been complete
	afterCR bool          // LF belongs to the line end before
	err     error
}

// Next parses in up to the end of an event. It returns the event and true, or false if
// all of in has been consumed without that; n is how much has been consumed. What was
// consumed is not needed any more. So:
//
//	for len(in) > 0 {
//		ev, n, ok, err := p.Next(in)
//		...
//		in = in[n:]
//	}
//
// An event that is not complete when the stream ends is to be forgotten. Text that is no
// UTF-8 is replaced by U+FFFD. The error is an *[EventTooLargeError], and stays.
func (p *EventParser) Next(in []byte) (ev Event, n int, ok bool, err error) {
	for n < len(in) && p.err == nil {
		if p.afterCR {
			p.afterCR = false
			if in[n] == '\n' {
				n++
				continue
			}
		}
		line, size, complete := p.nextLine(in[n:])
		n += size
		if !complete {
			break
		}
		if len(line) > 0 {
			p.field(line)
		} else if ev, ok = p.dispatch(); ok {
			break
		}
	}
	return ev, n, ok, p.err
}

// nextLine returns the line which ends in in, if there is one, and how many bytes of in
// have been consumed.
func (p *EventParser) nextLine(in []byte) (line []byte, n int, complete bool) {
	end := bytes.IndexAny(in, "\r\n")
	complete = end >= 0
	if !complete {
		end = len(in)
	}
	if limit := orDefault(p.MaxLine, DefaultMaxEventLine); end > limit-len(p.line) {
		p.err = &EventTooLargeError{true, limit}
		return nil, end, false
	}
	if !complete {
		p.line = append(p.line, in...)
		return nil, end, false
	}
	line = in[:end]
	if len(p.line) > 0 {
		line = append(p.line, line...)
		p.line = shrink(line)
	}
	if !p.begun {
		p.begun = true
		line = bytes.TrimPrefix(line, []byte("\ufeff"))
	}
	p.afterCR = in[end] == '\r'
	return line, end + 1, true
}

// field takes a line of a field or a comment.
func (p *EventParser) field(line []byte) {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "data":
		limit := orDefault(p.MaxEvent, DefaultMaxEvent)
		if len(value)+1 > limit-len(p.data) {
			p.err = &EventTooLargeError{false, limit}
			return
		}
		p.data = append(append(p.data, value...), '\n')
	case "event":
		p.name = text(value)
	case "id":
		if bytes.IndexByte(value, 0) < 0 {
			p.id = text(value)
		}
	case "retry":
		if d, ok := milliseconds(value); ok {
			p.retry, p.waiting = d, d
		}
	}
}

// dispatch ends an event. One without data is none.
func (p *EventParser) dispatch() (ev Event, ok bool) {
	p.lastID = p.id
	ev = Event{ID: p.lastID, Name: p.name, Retry: p.retry}
	p.name, p.retry = "", 0
	if len(p.data) == 0 {
		return Event{}, false
	}
	ev.Data = text(p.data[:len(p.data)-1])
	p.data = shrink(p.data)
	return ev, true
}

// LastEventID returns the ID to come back with: that of the last event, or of what has
// ended like an event and had no data.
func (p *EventParser) LastEventID() string { return p.lastID }

// Retry returns how long to wait before coming back, 0 if the stream has not said.
func (p *EventParser) Retry() time.Duration { return p.waiting }

// milliseconds returns a time of only digits, at most a century. None at all, 0, becomes
// 1 ns, for 0 says that there is no time.
func milliseconds(digits []byte) (time.Duration, bool) {
	const most = 100 * 365 * 24 * time.Hour
	if len(digits) == 0 {
		return 0, false
	}
	d := time.Duration(0)
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		d = min(d*10+time.Duration(c-'0'), most/time.Millisecond)
	}
	return max(1, d*time.Millisecond), true
}

// text returns a copy of b in UTF-8.
func text(b []byte) string { return strings.ToValidUTF8(string(b), "\ufffd") }

// shrink returns b empty, to be used again unless it has grown.
func shrink(b []byte) []byte {
	if cap(b) > 64<<10 {
		return nil
	}
	return b[:0]
}
