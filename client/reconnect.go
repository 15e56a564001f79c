package client

import (
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"
)

// Times after which a stream of events is asked for again.
const (
	eventRetry     = 3 * time.Second // unless the stream says another
	eventRetryMax  = 24 * time.Hour  // whatever the stream says
	eventBackoffTo = time.Minute     // how far the time grows with failures
)

// EventStreamError is the error of a response that is no stream of events, after which
// there is no trying again (HTML standard, section 9.2.3).
type EventStreamError struct {
	// StatusCode is the status of the response.
	StatusCode int

	// ContentType is its Content-Type, which matters if the status is 200.
	ContentType string
}

// Error implements the error interface.
func (e *EventStreamError) Error() string {
	if e.StatusCode == http.StatusOK {
		return fmt.Sprintf("client: no stream of events: Content-Type %q", e.ContentType)
	}
	return fmt.Sprintf("client: no stream of events: status %d", e.StatusCode)
}

// checkEventStream returns whether resp is a stream of events: nil if it is, io.EOF if the
// server wants the client not to come back (204, No Content), otherwise an
// *[EventStreamError]. After any error the client does not come back.
func checkEventStream(resp *http.Response) error {
	kind := resp.Header.Get("Content-Type")
	if resp.StatusCode == http.StatusNoContent {
		return io.EOF
	}
	media, _, err := mime.ParseMediaType(kind)
	if err == mime.ErrInvalidMediaParameter { // media is right nevertheless
		err = nil
	}
	if resp.StatusCode != http.StatusOK || err != nil || media != "text/event-stream" {
		return &EventStreamError{resp.StatusCode, kind}
	}
	return nil
}

// setEventHeader sets what a request for a stream of events has, for a client that has
// seen the event lastID, "" if none.
func setEventHeader(h http.Header, lastID string) {
	h.Set("Accept", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	if lastID == "" {
		h.Del("Last-Event-Id")
		return
	}
	h.Set("Last-Event-Id", lastID)
}

// reconnect says when to ask for a stream of events again, once it has ended or could not
// be had for reasons of the network. The zero value is that of a new stream.
type reconnect struct {
	failures int // in a row
}

// opened is called when the stream has been had.
func (r *reconnect) opened() { r.failures = 0 }

// wait returns how long to wait now. retry is what the stream has said last, 0 if nothing;
// spread is a random number from 0 up to 1, with which clients that were cut off together
// do not come back together. The time doubles with each failure in a row up to a minute,
// if the stream has not said more, and gets up to a quarter longer.
func (r *reconnect) wait(retry time.Duration, spread float64) time.Duration {
	if retry == 0 {
		retry = eventRetry
	}
	retry = min(retry, eventRetryMax)
	d := retry
	for i := 0; i < r.failures && d < eventBackoffTo; i++ {
		d = min(max(2*d, 10*time.Millisecond), eventBackoffTo)
	}
	r.failures = min(r.failures+1, 64)
	d = max(d, retry)
	return d + time.Duration(spread*float64(d/4))
}
