package clients

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Client is a client under measurement.
type Client struct {
	// keep keeps one request or message in flight until over, on a goroutine of its own if
	// it needs one, and says what has become of each, and when the last is answered.
	keep func(p *phase)

	// close ends its connections.
	close func()
}

// phase is some time of sending.
type phase struct {
	over     atomic.Bool
	kept     sync.WaitGroup
	answered atomic.Int64
	failed   atomic.Int64
	once     sync.Once
	first    error
}

// count takes what has become of a request, and reports whether to go on: who fails does
// not try for ever.
func (p *phase) count(err error) (more bool) {
	if err == nil {
		p.answered.Add(1)
		return !p.over.Load()
	}
	p.failed.Add(1)
	p.once.Do(func() { p.first = err })
	return false
}

// blocking is for a client that waits for each answer: ask returns what sends a request
// again and again.
func blocking(ask func() func() error) func(p *phase) {
	return func(p *phase) {
		go func() {
			defer p.kept.Done()
			for one := ask(); p.count(one()); {
			}
		}()
	}
}

// Ready is the line that Run prints when the client is warm; it then waits for one before
// it goes on, so that its processor time can be read.
const Ready = "ready"

// Run does what c says with a client, and has told report the result before it closes
// the connections.
func Run(c Config, client Client, in io.Reader, out io.Writer, report func(Result) error) error {
	if err := c.check(); err != nil {
		return err
	}
	defer client.close()
	if warm, err := c.run(client, c.WarmUp); err != nil {
		return err
	} else if err := warm.Err(); err != nil {
		return fmt.Errorf("warming up: %w", err)
	}
	if _, err := fmt.Fprintln(out, Ready); err != nil {
		return err
	}
	if _, err := bufio.NewReader(in).ReadString('\n'); err != nil {
		return fmt.Errorf("waiting to go on: %w", err)
	}
	result, err := c.run(client, c.Duration)
	if err != nil {
		return err
	}
	return report(result)
}

var errStalled = errors.New("not everything was answered")

func (c Config) run(client Client, d time.Duration) (Result, error) {
	p := new(phase)
	p.kept.Add(c.InFlight)
	began := time.Now()
	timer := time.AfterFunc(d, func() { p.over.Store(true) })
	defer timer.Stop()
	for range c.InFlight {
		client.keep(p)
	}
	ended := make(chan struct{})
	go func() {
		p.kept.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(d + stallTime):
		return Result{}, errStalled
	}
	result := Result{Elapsed: time.Since(began), Requests: p.answered.Load(), Errors: p.failed.Load()}
	if p.first != nil {
		result.First = p.first.Error()
	}
	return result, nil
}
