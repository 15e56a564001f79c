// Package wrk runs the load generator wrk and reads what it prints.
package wrk

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Result is what one run of wrk reports.
type Result struct {
	Requests int64
	Elapsed  time.Duration
	P50, P75 time.Duration
	P90, P99 time.Duration
	CPU      time.Duration // processor time that wrk has taken itself

	// Anything but zero makes the run worthless for a comparison.
	ConnectErrors, ReadErrors, WriteErrors, Timeouts int64
	BadStatus                                        int64 // neither 2xx nor 3xx
}

// Rate returns requests per second.
func (r Result) Rate() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(r.Requests) / r.Elapsed.Seconds()
}

// Errors returns how many requests, or connections, went wrong.
func (r Result) Errors() int64 {
	return r.ConnectErrors + r.ReadErrors + r.WriteErrors + r.Timeouts + r.BadStatus
}

// Err returns what went wrong during the run, nil if nothing did.
func (r Result) Err() error {
	var parts []string
	for _, count := range []struct {
		n    int64
		what string
	}{
		{r.ConnectErrors, "connect errors"},
		{r.ReadErrors, "read errors"},
		{r.WriteErrors, "write errors"},
		{r.Timeouts, "timeouts"},
		{r.BadStatus, "responses that are not 2xx"},
	} {
		if count.n != 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count.n, count.what))
		}
	}
	if r.Requests == 0 {
		parts = append(parts, "no request answered")
	}
	if parts == nil {
		return nil
	}
	return errors.New(strings.Join(parts, ", "))
}

// Parse reads the output of "wrk --latency".
func Parse(output string) (Result, error) {
	var r Result
	var err error
	seen := make(map[string]bool)
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		fields := strings.Fields(line)
		switch {
		case len(fields) == 2 && r.quantile(fields[0]) != nil:
			*r.quantile(fields[0]), err = parseDuration(fields[1])
			seen[fields[0]] = true
		case strings.Contains(line, " requests in "):
			err = r.parseTotals(fields)
			seen["requests in"] = true
		case strings.HasPrefix(line, "Socket errors:"):
			_, err = fmt.Sscanf(line, "Socket errors: connect %d, read %d, write %d, timeout %d",
				&r.ConnectErrors, &r.ReadErrors, &r.WriteErrors, &r.Timeouts)
		case strings.HasPrefix(line, "Non-2xx or 3xx responses:"):
			_, err = fmt.Sscanf(line, "Non-2xx or 3xx responses: %d", &r.BadStatus)
		}
		if err != nil {
			return Result{}, fmt.Errorf("wrk output %q: %w", line, err)
		}
	}
	for _, want := range []string{"50%", "75%", "90%", "99%", "requests in"} {
		if !seen[want] {
			return Result{}, fmt.Errorf("wrk output has no line with %q", want)
		}
	}
	return r, nil
}

// quantile returns where a quantile belongs, nil if it is none that is kept.
func (r *Result) quantile(name string) *time.Duration {
	switch name {
	case "50%":
		return &r.P50
	case "75%":
		return &r.P75
	case "90%":
		return &r.P90
	case "99%":
		return &r.P99
	}
	return nil
}

// parseTotals reads "234795 requests in 2.00s, 29.56MB read".
func (r *Result) parseTotals(fields []string) (err error) {
	if len(fields) < 4 {
		return errors.New("too short")
	}
	if r.Requests, err = strconv.ParseInt(fields[0], 10, 64); err != nil {
		return err
	}
	r.Elapsed, err = parseDuration(strings.TrimSuffix(fields[3], ","))
	return err
}

// parseDuration reads wrk's times: a decimal number and us, ms, s, m or h.
func parseDuration(text string) (time.Duration, error) {
	number := strings.TrimRight(text, "umsh")
	unit, known := map[string]time.Duration{
		"us": time.Microsecond,
		"ms": time.Millisecond,
		"s":  time.Second,
		"m":  time.Minute,
		"h":  time.Hour,
	}[text[len(number):]]
	value, err := strconv.ParseFloat(number, 64)
	if !known || err != nil || value < 0 || math.IsInf(value, 0) || math.IsNaN(value) {
		return 0, fmt.Errorf("not a time: %q", text)
	}
	return time.Duration(math.Round(value * float64(unit))), nil
}
