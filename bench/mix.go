package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/ringkit/ringkit/bench/internal/load"
	"github.com/ringkit/ringkit/bench/internal/mix"
	"github.com/ringkit/ringkit/bench/internal/procfs"
	"github.com/ringkit/ringkit/bench/internal/report"
	"github.com/ringkit/ringkit/bench/internal/server"
)

// generatorSource is the program that sends requests of which some take longer.
const generatorSource = "./mixload"

// learning is the time after which a server that watches its handlers should know
// them, in a measurement of d.
func learning(d time.Duration) time.Duration { return min(d/2, time.Second) }

// counterTimeout bounds asking for counters: a server that is stalled has none.
const counterTimeout = 5 * time.Second

// mixLoad puts a mixture on a server.
type mixLoad struct {
	program     string
	cpu         int
	mixture     mixture
	connections int
	base        time.Duration // with fast requests only
	duration    time.Duration // with the mixture
}

// measure warms the server up with fast requests, measures it with them, and then
// with the mixture, which it has not seen before: what it costs to learn belongs to
// the figures.
func (l mixLoad) measure(ctx context.Context, srv *server.Server, route string) (sample, error) {
	fast := load.Config{Port: srv.Port, Connections: l.connections, Duration: warmUp(l.base), Path: route, Seed: 1}
	if _, err := load.Start(ctx, l.program, fast, l.cpu); err != nil {
		return sample{}, fmt.Errorf("warming up: %w", err)
	}
	fast.Duration = l.base
	base, err := l.run(ctx, srv.PID, fast)
	if err != nil {
		return sample{}, fmt.Errorf("all fast: %w", err)
	}

	mixed := fast
	mixed.Duration = l.duration
	mixed.Path, mixed.Slow = l.mixture.path, l.mixture.slow
	if mixed.Slow != "" {
		mixed.Share = l.mixture.share
	}
	before := readCounters(ctx, srv)
	learned := make(chan *mix.Counters, 1)
	go func() {
		if before == nil || sleep(ctx, learning(l.duration)) != nil {
			learned <- nil
			return
		}
		learned <- readCounters(ctx, srv)
	}()
	s, err := l.run(ctx, srv.PID, mixed)
	atLearned := <-learned // also after an error: nothing may go on asking
	if err != nil {
		return sample{}, err
	}
	s.Mix.AllFastRate = base.Rate
	s.Mix.AllFastCPUMicros = base.CPUMicros
	after := readCounters(ctx, srv)
	s.Mix.Counters = between(before, after)
	s.Mix.Later = between(atLearned, after)
	return s, nil
}

// run runs the generator once and measures the server meanwhile.
func (l mixLoad) run(ctx context.Context, pid int, c load.Config) (sample, error) {
	var result load.Result
	cpu, memory, err := during(pid, func() (err error) {
		result, err = load.Start(ctx, l.program, c, l.cpu)
		return err
	})
	if err != nil {
		return sample{}, err
	}
	return newMixSample(result, cpu, memory), nil
}

func newMixSample(result load.Result, cpu procfs.CPU, memory procfs.Memory) sample {
	used, threadsEnded := cpu.Used()
	return sample{
		Requests:     result.Requests(),
		CPUMicros:    micros(used) / float64(max(1, result.Requests())),
		Rate:         result.Rate(),
		P50Micros:    micros(result.Fast.P50),
		P99Micros:    micros(result.Fast.P99),
		Busy:         used.Seconds() / result.Elapsed.Seconds(),
		Waited:       cpu.Waited.Seconds() / result.Elapsed.Seconds(),
		ThreadsEnded: threadsEnded,
		Memory:       memory,
		Mix: &report.MixFigures{
			MaxMicros:     micros(result.Fast.Max),
			SlowRequests:  result.Slow.Requests,
			SlowP50Micros: micros(result.Slow.P50),
			Unanswered:    result.Unanswered,
		},
	}
}

// readCounters asks a server for its counters. It returns nil if it has none, as
// all but ringkit.
func readCounters(ctx context.Context, srv *server.Server) *mix.Counters {
	ctx, cancel := context.WithTimeout(ctx, counterTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL(mix.Stats), nil)
	if err != nil {
		return nil
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil
	}
	defer response.Body.Close()
	counters := new(mix.Counters)
	if json.NewDecoder(response.Body).Decode(counters) != nil {
		return nil
	}
	return counters
}

// between returns what was counted between two readings, nil if one is missing.
func between(before, after *mix.Counters) *mix.Counters {
	if before == nil || after == nil {
		return nil
	}
	counted := after.Sub(*before)
	return &counted
}
