package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"net/http"
	"time"
)

// SubscribeOptions are settings of streams of events. The zero value of each is a good
// one. They may be shared, and must not be changed while they are used.
type SubscribeOptions struct {
	// Client sends the requests; nil means DefaultClient. Its Timeout, and ReadTimeout
	// and MaxBodyBytes of its transport, end a stream, which is then asked for again.
	Client *Client

	// LastEventID is the last event that is known already, "" for none.
	LastEventID string

	// MaxFailures is how many failures in a row to have a stream again end the range, with
	// the last error. 0 means that none do.
	MaxFailures int

	// MaxLine and MaxEvent are limits of the [EventParser], in bytes.
	MaxLine, MaxEvent int

	// Lost, if set, is called when the stream was lost, or could not be had again: with
	// the reason, which is nil when the server has ended it as it should, and the time
	// until it is asked for again.
	Lost func(err error, wait time.Duration)
}

// Subscribe is [SubscribeOptions.Subscribe] with default options.
func (c *Client) Subscribe(req *http.Request) iter.Seq2[Event, error] {
	return (&SubscribeOptions{Client: c}).Subscribe(req)
}

// Subscribe returns the events of a stream of server-sent events (HTML standard, section
// 9.2), which is asked for with req as soon as they are ranged over, and each time anew.
//
// A stream that ends is asked for again, with the ID of the last event as Last-Event-ID:
// after the time that the stream has said, or 3 s, which doubles with each failure up to
// a minute, and up to a quarter longer at random. So is one that cannot be had again
// because the connection fails, or with the statuses 429, 502, 503 and 504.
//
// The range ends without an error when the server answers 204 (No Content), that is to
// say does not want the client back. It ends with an error, as the last thing, when the
// context of the request ends, when the stream cannot be had at first, when what comes is
// no stream of events, an *[EventStreamError], or exceeds a limit, an
// *[EventTooLargeError]. A request with a body needs GetBody to be sent again.
func (o *SubscribeOptions) Subscribe(req *http.Request) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		s := &subscription{o: o, c: o.Client, req: req, lastID: o.LastEventID, yield: yield}
		if s.c == nil {
			s.c = DefaultClient
		}
		if err := s.run(); err != nil && !s.broken {
			yield(Event{}, err)
		}
	}
}

// ReadEvents returns the events of a response, which is closed behind the last of them, or
// when they are not ranged over to the end. That comes with an error unless the server has
// ended the stream as it should: see [SubscribeOptions.Subscribe].
func ReadEvents(resp *http.Response) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		s := &subscription{o: &SubscribeOptions{}, yield: yield}
		defer resp.Body.Close()
		err := checkEventStream(resp)
		if err == nil {
			err = s.read(resp)
		}
		if err == io.EOF {
			err = nil
		}
		if err != nil && !s.broken {
			yield(Event{}, err)
		}
	}
}

// subscription is one range over a stream of events.
type subscription struct {
	o      *SubscribeOptions
	c      *Client
	req    *http.Request
	yield  func(Event, error) bool
	lastID string
	retry  time.Duration // that the stream has said last
	again  reconnect
	had    bool // the stream, once
	broken bool // nobody wants more
}

// run reads the stream, again and again. It returns nil when there is to be no more.
func (s *subscription) run() error {
	for {
		opened, err := s.once()
		switch {
		case s.broken:
			return nil
		case err == io.EOF && !opened: // a 204
			return nil
		case s.req.Context().Err() != nil:
			return context.Cause(s.req.Context())
		case err != io.EOF && s.ends(err):
			return err
		}
		if err == io.EOF {
			err = nil
		}
		if most := s.o.MaxFailures; most > 0 && s.again.failures >= most && !opened {
			return err
		}
		if err := s.pause(err); err != nil {
			return err
		}
	}
}

// once asks for the stream and reads it to its end. The error is io.EOF if it has ended as
// it should, or, when it was not opened, if the server wants no more requests.
func (s *subscription) once() (opened bool, err error) {
	req := s.req.Clone(s.req.Context())
	if s.had && req.Body != nil && req.Body != http.NoBody {
		if req.GetBody == nil {
			return false, errNoBody
		}
		if req.Body, err = req.GetBody(); err != nil {
			return false, fmt.Errorf("ringkit/client: the body of the request: %w", err)
		}
	}
	if req.Header == nil {
		req.Header = make(http.Header)
	}
	setEventHeader(req.Header, s.lastID)
	resp, err := s.c.Do(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	if err := checkEventStream(resp); err != nil {
		return false, err
	}
	s.had = true
	s.again.opened()
	return true, s.read(resp)
}

var errNoBody = errorString("the body of the request for a stream of events cannot be had again")

// read tells the events of a response to its end.
func (s *subscription) read(resp *http.Response) error {
	p := EventParser{
		MaxLine: s.o.MaxLine, MaxEvent: s.o.MaxEvent,
		id: s.lastID, lastID: s.lastID, waiting: s.retry, // they outlive a connection
	}
	buf := make([]byte, 4<<10)
	for {
		n, err := resp.Body.Read(buf)
		for in := buf[:n]; len(in) > 0; {
			ev, used, ok, tooLarge := p.Next(in)
			s.lastID, s.retry = p.LastEventID(), p.Retry()
			if tooLarge != nil {
				return tooLarge
			}
			if in = in[used:]; ok && !s.yield(ev, nil) {
				s.broken = true
				return nil
			}
		}
		if err != nil {
			return err
		}
	}
}

// ends reports whether there is no use in trying again after an error.
func (s *subscription) ends(err error) bool {
	var status *EventStreamError
	var large *EventTooLargeError
	var e *Error
	switch {
	case !s.had, err == errNoBody, errors.Is(err, ErrClosed), errors.As(err, &large):
		return true
	case errors.As(err, &status):
		switch status.StatusCode {
		case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return false
		}
		return true
	case errors.As(err, &e):
		return e.Op == string(opRequest) && !e.Timeout()
	}
	return false
}

// pause waits until the stream is to be asked for again.
func (s *subscription) pause(err error) error {
	wait := s.again.wait(s.retry, rand.Float64())
	if s.o.Lost != nil {
		s.o.Lost(err, wait)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-s.req.Context().Done():
		return context.Cause(s.req.Context())
	}
}
