package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// report is the content of the -json file.
type report struct {
	Time        time.Time        `json:"time"`
	Host        host             `json:"host"`
	Rounds      int              `json:"rounds"`
	Seconds     float64          `json:"seconds_per_measurement"`
	Connections int              `json:"connections"`
	ServerCPU   int              `json:"server_cpu"`
	LoadCPU     int              `json:"load_cpu"`
	GoMaxProcs  int              `json:"gomaxprocs,omitempty"`
	NotMeasured []string         `json:"not_measured,omitempty"`
	Scenarios   []scenarioReport `json:"scenarios"`
}

type scenarioReport struct {
	Name        string          `json:"name"`
	Connections int             `json:"connections"`
	Pipeline    int             `json:"requests_per_write"`
	Subjects    []subjectReport `json:"subjects"`
}

type subjectReport struct {
	Name      string   `json:"name"`
	CPUMicros float64  `json:"median_cpu_us_per_request"`
	Rate      float64  `json:"median_requests_per_second"`
	P50Micros float64  `json:"median_p50_us,omitzero"`
	P99Micros float64  `json:"median_p99_us,omitzero"`
	RSS       float64  `json:"median_rss_bytes"`
	Samples   []sample `json:"samples"`
}

// host is what one needs to know to compare reports.
type host struct {
	Kernel     string `json:"kernel"`
	Arch       string `json:"arch"`
	CPU        string `json:"cpu,omitempty"`
	Processors int    `json:"processors"`
	Go         string `json:"go"`
}

func newReport(o options, notMeasured []string) *report {
	return &report{
		Time:        time.Now().UTC().Truncate(time.Second),
		Host:        readHost(),
		Rounds:      o.rounds,
		Seconds:     o.duration.Seconds(),
		Connections: o.connections,
		ServerCPU:   o.serverCPU,
		LoadCPU:     o.loadCPU,
		GoMaxProcs:  o.goMaxProcs,
		NotMeasured: notMeasured,
	}
}

func (r *report) add(sc scenario, outcomes []outcome) {
	result := scenarioReport{Name: sc.name, Connections: sc.connections(r.Connections), Pipeline: sc.pipeline}
	for _, o := range outcomes {
		result.Subjects = append(result.Subjects, subjectReport{
			Name:      o.subject,
			CPUMicros: o.median(cpuMicros),
			Rate:      o.median(rate),
			P50Micros: o.median(p50Micros),
			P99Micros: o.median(p99Micros),
			RSS:       o.median(rss),
			Samples:   o.samples,
		})
	}
	r.Scenarios = append(r.Scenarios, result)
}

func (r *report) write(path string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("results: %w", err)
	}
	if err := os.WriteFile(path, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing results: %w", err)
	}
	return nil
}

func readHost() host {
	h := host{Arch: runtime.GOARCH, Processors: runtime.NumCPU(), Go: runtime.Version()}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		h.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		h.CPU = cpuModel(string(info))
	}
	return h
}

// cpuModel returns the first "model name" of /proc/cpuinfo; not every
// architecture has one.
func cpuModel(info string) string {
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
