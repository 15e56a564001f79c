package main

import (
	"fmt"

	"github.com/ringkit/ringkit/bench/internal/mix"
	"github.com/ringkit/ringkit/bench/internal/stats"
	"github.com/ringkit/ringkit/bench/internal/table"
)

// Figures of a load in which some requests take longer than others.
func rateShare(s sample) float64     { return over(s.Rate, s.Mix.AllFastRate) }
func cpuTimes(s sample) float64      { return over(s.CPUMicros, s.Mix.AllFastCPUMicros) }
func maxMicros(s sample) float64     { return s.Mix.MaxMicros }
func slowP50Micros(s sample) float64 { return s.Mix.SlowP50Micros }

func over(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// mixSummary is the table of a scenario in which some requests take longer.
func mixSummary(outcomes []outcome) *table.Table {
	tab := table.New("subject", "engine", "req/s", "÷ all fast", "CPU µs/req", "÷ all fast",
		"p50 ms", "p99 ms", "max ms", "slow p50 ms", "takeovers", "after 1 s", "busy")
	for _, o := range outcomes {
		tab.Add(mixRow(o)...)
	}
	return tab
}

func mixRow(o outcome) []string {
	if len(o.valid()) == 0 {
		return []string{o.subject, "-", "invalid"}
	}
	_, longest := stats.Spread(o.values(maxMicros))
	return []string{
		o.subject,
		o.valid()[0].Engine,
		fmt.Sprintf("%.0f", o.median(rate)),
		fmt.Sprintf("%.2f", o.median(rateShare)),
		fmt.Sprintf("%.2f", o.median(cpuMicros)),
		fmt.Sprintf("%.2f", o.median(cpuTimes)),
		millis(o.median(p50Micros)),
		millis(o.median(p99Micros)),
		millis(longest),
		millis(o.median(slowP50Micros)),
		o.takeovers(func(f *mixFigures) *mix.Counters { return f.Counters }),
		o.takeovers(func(f *mixFigures) *mix.Counters { return f.Later }),
		fmt.Sprintf("%.0f %%", 100*o.median(busy)),
	}
}

// takeovers formats how often the loop was taken from a handler, the median of
// the rounds in which it is known.
func (o outcome) takeovers(counted func(*mixFigures) *mix.Counters) string {
	var values []float64
	for _, s := range o.valid() {
		if c := counted(s.Mix); c != nil {
			values = append(values, float64(c.Takeovers))
		}
	}
	if values == nil {
		return "-"
	}
	return fmt.Sprintf("%.0f", stats.Median(values))
}
