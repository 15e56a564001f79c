// Package report is what a comparison has found, and its tables, plots and pages.
package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/ringkit/ringkit/bench/internal/mix"
	"github.com/ringkit/ringkit/bench/internal/procfs"
	"github.com/ringkit/ringkit/bench/internal/subject"
)

// Report is everything that was measured.
type Report struct {
	Time        time.Time   `json:"time"`    // of its start
	Took        float64     `json:"seconds"` // in all
	Arguments   []string    `json:"arguments,omitempty"`
	Quick       bool        `json:"quick,omitzero"`
	Interrupted bool        `json:"interrupted,omitzero"`
	Host        Host        `json:"host"`
	Versions    []Version   `json:"versions"`
	Seconds     float64     `json:"seconds_per_measurement"` // of most scenarios
	Generator   string      `json:"generator"`               // of requests that all take the same
	ServerCPU   int         `json:"server_cpu"`              // -1 for any
	LoadCPU     int         `json:"load_cpu"`
	GoMaxProcs  int         `json:"gomaxprocs,omitzero"` // 0 leaves it to Go
	NotMeasured []string    `json:"not_measured,omitempty"`
	Scenarios   []*Scenario `json:"scenarios"`
}

// Version is that of a program or library.
type Version struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Kind says what a scenario measures, and so what its table shows.
type Kind string

const (
	Requests Kind = "requests" // servers that are asked
	Mixture  Kind = "mixture"  // some requests of which take longer
	Messages Kind = "messages" // servers that are sent messages, or send events
	Clients  Kind = "clients"  // clients that ask
	Idle     Kind = "idle"     // connections that do nothing
)

// Scenario is a kind of load with those that were measured under it.
type Scenario struct {
	Name        string     `json:"name"`
	About       string     `json:"about"` // in words
	Section     string     `json:"section"`
	Kind        Kind       `json:"kind"`
	Unit        string     `json:"unit"` // that is counted: request, message
	Connections int        `json:"connections"`
	Pipeline    int        `json:"requests_per_write,omitzero"`
	Shared      bool       `json:"shared_processors,omitzero"` // by server and load
	Subjects    []*Subject `json:"subjects"`
}

// Subject is a server or a client in a scenario.
type Subject struct {
	Name    string       `json:"name"`
	Kind    subject.Kind `json:"kind"`
	Medians *Medians     `json:"medians,omitempty"` // of the rounds that count; nil if none does
	Samples []Sample     `json:"samples"`           // one of each round
}

// Medians are of the rounds that count.
type Medians struct {
	CPUMicros float64 `json:"cpu_us_per_request,omitzero"`
	Rate      float64 `json:"requests_per_second,omitzero"`
	P50Micros float64 `json:"p50_us,omitzero"`
	P75Micros float64 `json:"p75_us,omitzero"`
	P90Micros float64 `json:"p90_us,omitzero"`
	P99Micros float64 `json:"p99_us,omitzero"`
	Busy      float64 `json:"busy,omitzero"`
	RSS       float64 `json:"rss_bytes,omitzero"`
}

// Sample is one measurement of one subject.
type Sample struct {
	Round        int     `json:"round"`
	Requests     int64   `json:"requests,omitzero"`
	Errors       int64   `json:"errors,omitzero"` // they make it invalid
	CPUMicros    float64 `json:"cpu_us_per_request,omitzero"`
	Rate         float64 `json:"requests_per_second,omitzero"`
	P50Micros    float64 `json:"p50_us,omitzero"`
	P75Micros    float64 `json:"p75_us,omitzero"`
	P90Micros    float64 `json:"p90_us,omitzero"`
	P99Micros    float64 `json:"p99_us,omitzero"`
	Busy         float64 `json:"busy,omitzero"`   // processor time of what is measured ÷ elapsed time
	Waited       float64 `json:"waited,omitzero"` // time it was kept from the processor ÷ elapsed time
	ThreadsEnded bool    `json:"threads_ended,omitzero"`
	Engine       string  `json:"engine,omitempty"`
	procfs.Memory
	Mix     *MixFigures  `json:"mix,omitempty"`
	Idle    []IdleFigure `json:"idle,omitempty"`
	Invalid string       `json:"invalid,omitempty"` // why the sample does not count
}

// MixFigures are what is measured of a load in which some requests take longer,
// besides what is measured of any. The latencies of the sample are those of its
// fast requests.
type MixFigures struct {
	AllFastRate      float64 `json:"all_fast_requests_per_second"` // just before, without slow requests
	AllFastCPUMicros float64 `json:"all_fast_cpu_us_per_request"`
	MaxMicros        float64 `json:"max_us"` // of the fast requests
	SlowRequests     int64   `json:"slow_requests"`
	SlowP50Micros    float64 `json:"slow_p50_us"`
	Unanswered       int64   `json:"unanswered"` // requests, even after the end

	// What ringkit counted; nil for others.
	Counters *mix.Counters `json:"counters,omitempty"`
	Later    *mix.Counters `json:"counters_after_learning,omitempty"`
}

// IdleFigure is what a server has grown by when it holds so many idle connections.
type IdleFigure struct {
	Connections   int `json:"connections"`
	procfs.Memory     // more than at its start
}

// PerConnection returns its bytes of RSS for each connection.
func (f IdleFigure) PerConnection() float64 { return float64(f.RSS) / float64(max(1, f.Connections)) }

// Settle computes what is derived from samples.
func (r *Report) Settle() {
	for _, sc := range r.Scenarios {
		for _, s := range sc.Subjects {
			s.Kind, _, _ = subject.About(s.Name)
			if s.Medians = nil; len(s.Valid()) == 0 {
				continue
			}
			s.Medians = &Medians{s.median(cpuMicros), s.median(rate), s.median(p50Micros), s.median(p75Micros),
				s.median(p90Micros), s.median(p99Micros), s.median(busy), s.median(rss)}
		}
	}
}

// Scenario returns the scenario of a name, nil if it was not measured.
func (r *Report) Scenario(name string) *Scenario {
	for _, sc := range r.Scenarios {
		if sc.Name == name {
			return sc
		}
	}
	return nil
}

// Rounds returns how many of them most scenarios have had: the median.
func (r *Report) Rounds() int {
	var rounds []float64
	for _, sc := range r.Scenarios {
		if sc.Kind != Idle {
			rounds = append(rounds, float64(sc.rounds()))
		}
	}
	return int(median(rounds))
}

// Names of the files that Write makes.
const (
	JSONFile     = "results.json"
	HTMLFile     = "report.html"
	MarkdownFile = "report.md"
)

// Write writes all files into a directory, which it makes.
func (r *Report) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("results: %w", err)
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("results: %w", err)
	}
	page, err := r.HTML()
	if err != nil {
		return fmt.Errorf("results: %w", err)
	}
	for name, content := range map[string][]byte{
		JSONFile:     append(data, '\n'),
		HTMLFile:     page,
		MarkdownFile: []byte(r.Markdown()),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return fmt.Errorf("writing results: %w", err)
		}
	}
	return nil
}

// Read reads the results that Write has written.
func Read(file string) (*Report, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r := new(Report)
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	r.Settle()
	return r, nil
}
