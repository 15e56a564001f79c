package report

import (
	"fmt"
	"math"
	"strings"

	"github.com/ringkit/ringkit/bench/internal/stats"
	"github.com/ringkit/ringkit/bench/internal/subject"
)

// figure is one of the figures of a sample; 0 stands for one that is not known.
type figure func(Sample) float64

func cpuMicros(s Sample) float64 { return s.CPUMicros }
func rate(s Sample) float64      { return s.Rate }
func p50Micros(s Sample) float64 { return s.P50Micros }
func p75Micros(s Sample) float64 { return s.P75Micros }
func p90Micros(s Sample) float64 { return s.P90Micros }
func p99Micros(s Sample) float64 { return s.P99Micros }
func busy(s Sample) float64      { return s.Busy }
func waited(s Sample) float64    { return s.Waited }
func rss(s Sample) float64       { return float64(s.RSS) }

// Those of a load in which some requests take longer than others.
func rateShare(s Sample) float64     { return over(s.Rate, s.Mix.AllFastRate) }
func cpuTimes(s Sample) float64      { return over(s.CPUMicros, s.Mix.AllFastCPUMicros) }
func maxMicros(s Sample) float64     { return s.Mix.MaxMicros }
func slowP50Micros(s Sample) float64 { return s.Mix.SlowP50Micros }

// perConnection is for the most connections that were held.
func perConnection(s Sample) float64 {
	if len(s.Idle) == 0 {
		return 0
	}
	return s.Idle[len(s.Idle)-1].PerConnection()
}

func over(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func median(values []float64) float64 { return stats.Median(values) }

// Valid returns the samples that count.
func (s *Subject) Valid() []Sample {
	var valid []Sample
	if s == nil {
		return nil
	}
	for _, one := range s.Samples {
		if one.Invalid == "" {
			valid = append(valid, one)
		}
	}
	return valid
}

// values returns one figure of every valid sample.
func (s *Subject) values(f figure) []float64 {
	var values []float64
	for _, one := range s.Valid() {
		values = append(values, f(one))
	}
	return values
}

func (s *Subject) median(f figure) float64 { return stats.Median(s.values(f)) }

// Spread is a median with the least and the greatest of the rounds.
type Spread struct {
	Median, Min, Max float64
	Rounds           int
}

// spread is of a figure.
func (s *Subject) spread(f figure) Spread { return newSpread(s.values(f)) }

func newSpread(values []float64) Spread {
	least, greatest := stats.Spread(values)
	return Spread{stats.Median(values), least, greatest, len(values)}
}

// format formats a spread, the range in parentheses where there is one.
func (s Spread) format(verb string) string {
	if s.Rounds == 0 || s.Median == 0 && s.Max == 0 {
		return "-"
	}
	text := fmt.Sprintf(verb, s.Median)
	if s.Rounds > 1 {
		text += fmt.Sprintf(" ("+verb+"–"+verb+")", s.Min, s.Max)
	}
	return text
}

// Ratio returns a figure of a as a multiple of b's: that of the medians, and the least and
// the greatest of the rounds that both have, in each of which one was measured a short time
// after the other.
func Ratio(f figure, a, b *Subject) Spread {
	base := b.median(f)
	if base == 0 || len(a.Valid()) == 0 {
		return Spread{}
	}
	r := Spread{Median: a.median(f) / base, Min: math.Inf(1), Max: math.Inf(-1)}
	of := make(map[int]float64)
	for _, one := range b.Valid() {
		of[one.Round] = f(one)
	}
	for _, one := range a.Valid() {
		if base := of[one.Round]; base > 0 {
			r.Rounds++
			r.Min, r.Max = min(r.Min, f(one)/base), max(r.Max, f(one)/base)
		}
	}
	if r.Rounds == 0 {
		r.Min, r.Max, r.Rounds = r.Median, r.Median, 1
	}
	return r
}

// Find returns the subject of a name, nil if there is none.
func (sc *Scenario) Find(name string) *Subject {
	if sc == nil {
		return nil
	}
	for _, s := range sc.Subjects {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// bestPeer returns the cheapest of the subjects that are not this project, nil if there is none.
func (sc *Scenario) bestPeer() (best *Subject) {
	if sc == nil {
		return nil
	}
	for _, s := range sc.Subjects {
		if kind, _, _ := subject.About(s.Name); kind != subject.Peer || len(s.Valid()) == 0 {
			continue
		}
		if best == nil || s.median(cpuMicros) < best.median(cpuMicros) {
			best = s
		}
	}
	return best
}

// rounds returns the most rounds that one of the subjects has had.
func (sc *Scenario) rounds() (n int) {
	for _, s := range sc.Subjects {
		for _, one := range s.Samples {
			n = max(n, one.Round)
		}
	}
	return n
}

// disturbed is the share of time kept from the processor above which a reader
// should know that the machine was not quiet.
const disturbed = 0.1

// Notes returns what there is to be known of a scenario besides its figures.
func (sc *Scenario) Notes() (notes []string) {
	var kept []string
	for _, s := range sc.Subjects {
		for _, note := range s.notes() {
			notes = append(notes, s.Name+": "+note)
		}
		if share := s.median(waited); share > disturbed {
			kept = append(kept, fmt.Sprintf("%s %.0f %%", s.Name, 100*share))
		}
	}
	// Where the load has the same processors, waiting for them is no news.
	if kept != nil && !sc.Shared {
		notes = append(notes, "threads waited for a processor, since other work ran there or they waited for one another: "+strings.Join(kept, ", ")+" of the time")
	}
	return notes
}

func (s *Subject) notes() []string {
	var notes []string
	invalid, ended, unanswered, errors := 0, 0, int64(0), int64(0)
	why := ""
	for _, one := range s.Samples {
		errors += one.Errors
		if one.Invalid != "" {
			invalid++
			why = one.Invalid
			continue
		}
		if one.ThreadsEnded {
			ended++
		}
		if one.Mix != nil {
			unanswered += one.Mix.Unanswered
		}
	}
	if invalid > 0 {
		notes = append(notes, fmt.Sprintf("%d of %d rounds invalid and left out: %s", invalid, len(s.Samples), why))
	}
	if errors > 0 {
		notes = append(notes, fmt.Sprintf("%d errors in all rounds", errors))
	}
	if ended > 0 {
		notes = append(notes, fmt.Sprintf("threads ended in %d rounds, whose processor time is exact to 10 ms only", ended))
	}
	if unanswered > 0 {
		notes = append(notes, fmt.Sprintf("%d requests had no answer 2 s after the end", unanswered))
	}
	return notes
}
