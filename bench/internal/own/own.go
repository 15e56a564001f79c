// Package own runs bench/load, the load generator on this project's client.
package own

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ringkit/ringkit/bench/internal/proc"
)

// Source is the program.
const Source = "./load"

// Load describes one run: a closed loop.
type Load struct {
	URL         string // its scheme says whether requests are sent, or messages on WebSockets
	Connections int
	Pipeline    int    // in flight on each, 0 for one
	Close       bool   // each request asks for the end of its connection
	Size        int    // bytes of a message, or of the body of a POST
	Room        bool   // one WebSocket sends, and all get it
	Publish     string // the URL that has an event sent to all who have asked for the other one
	Expect      string // the data of these events
	Loops       int    // 0 for one
	WarmUp      time.Duration
	Duration    time.Duration
	CPU         int // processor to run on, or proc.AnyCPU
}

// Result is what one run reports.
type Result struct {
	Seconds  float64          `json:"seconds"`
	InTime   int64            `json:"requests"` // answered in that time; or messages that came back
	Requests int64            `json:"answered"` // with those that were later
	Statuses map[int]int64    `json:"statuses"` // of all these requests
	Failed   int64            `json:"failed"`
	Errors   map[string]int64 `json:"errors"`
	Missing  int64            `json:"unanswered"`
	Latency  struct {
		P50 int64 `json:"p50"` // in microseconds
		P75 int64 `json:"p75"`
		P90 int64 `json:"p90"`
		P99 int64 `json:"p99"`
	} `json:"latency_us"`
}

// Rate returns requests or messages per second.
func (r Result) Rate() float64 {
	if r.Seconds <= 0 {
		return 0
	}
	return float64(r.InTime) / r.Seconds
}

// P50 to P99 are latencies.
func (r Result) P50() time.Duration { return time.Duration(r.Latency.P50) * time.Microsecond }
func (r Result) P75() time.Duration { return time.Duration(r.Latency.P75) * time.Microsecond }
func (r Result) P90() time.Duration { return time.Duration(r.Latency.P90) * time.Microsecond }
func (r Result) P99() time.Duration { return time.Duration(r.Latency.P99) * time.Microsecond }

// Err returns what went wrong during the run, nil if nothing did. Any status but 2xx is wrong.
func (r Result) Err() error {
	var all []error
	for what, n := range r.Errors {
		all = append(all, fmt.Errorf("%d times: %s", n, what))
	}
	for status, n := range r.Statuses {
		if status < 200 || status > 299 {
			all = append(all, fmt.Errorf("%d responses with status %d", n, status))
		}
	}
	if r.Missing > 0 {
		all = append(all, fmt.Errorf("%d not answered", r.Missing))
	}
	if r.InTime == 0 {
		all = append(all, errors.New("nothing was answered"))
	}
	return errors.Join(all...)
}

// args returns the arguments of the program.
func (l Load) args() []string {
	args := []string{
		"-wait",
		"-c", strconv.Itoa(l.Connections),
		"-p", strconv.Itoa(max(1, l.Pipeline)),
		"-warm-up", l.WarmUp.String(),
		"-d", l.Duration.String(),
		"-loops", strconv.Itoa(max(1, l.Loops)),
		"-insecure", // the certificates of the servers are their own
	}
	if l.Close {
		args = append(args, "-H", "Connection: close")
	}
	if l.Room {
		args = append(args, "-room")
	}
	if l.Publish != "" {
		args = append(args, "-receive", "-publish", l.Publish, "-expect", l.Expect)
	}
	if l.Size > 0 {
		args = append(args, "-size", strconv.Itoa(l.Size))
	}
	return append(args, l.URL)
}

// slack is what connecting, and what is late at the end, may take in all.
const slack = 2 * time.Minute

// Run runs the program, on a processor of its own. around is called when the connections are
// open and warm, and has to call the function it gets: that goes on, and returns when the
// load is over and the connections are still there.
func Run(ctx context.Context, program string, l Load, around func(pid int, run func() error) error) (r Result, err error) {
	ctx, cancel := context.WithTimeout(ctx, l.WarmUp+l.Duration+slack)
	defer cancel()
	err = proc.Measured(ctx, program, l.args(), l.CPU, &r, around)
	if err != nil && r.Seconds == 0 {
		return r, err // it has not come to measuring, and says why
	}
	return r, errors.Join(r.Err(), err)
}
