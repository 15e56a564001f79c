package main

import (
	"fmt"
	"io"

	"github.com/ringkit/ringkit/bench/internal/stats"
	"github.com/ringkit/ringkit/bench/internal/subject"
	"github.com/ringkit/ringkit/bench/internal/table"
)

// valid returns the samples that count.
func (o outcome) valid() []sample {
	var valid []sample
	for _, s := range o.samples {
		if s.Invalid == "" {
			valid = append(valid, s)
		}
	}
	return valid
}

// values returns one figure of every valid sample.
func (o outcome) values(figure func(sample) float64) []float64 {
	var values []float64
	for _, s := range o.valid() {
		values = append(values, figure(s))
	}
	return values
}

func (o outcome) median(figure func(sample) float64) float64 {
	return stats.Median(o.values(figure))
}

func cpuMicros(s sample) float64 { return s.CPUMicros }
func rate(s sample) float64      { return s.Rate }
func p50Micros(s sample) float64 { return s.P50Micros }
func p99Micros(s sample) float64 { return s.P99Micros }
func busy(s sample) float64      { return s.Busy }
func waited(s sample) float64    { return s.Waited }
func rss(s sample) float64       { return float64(s.RSS) }

// references are the subjects that the table gives ratios to.
var references = []string{subject.Uring, subject.NetHTTP, subject.FastHTTP}

// writeSummary writes the table of the scenario and what is to be known about it.
func (s scenario) writeSummary(w io.Writer, outcomes []outcome) error {
	write := summary
	switch {
	case s.mixed():
		write = mixSummary
	case s.isSockets():
		write = socketSummary
	case s.asksSockets():
		write = socketClientSummary
	case s.isClients():
		write = clientSummary
	}
	if _, err := write(outcomes).WriteTo(w); err != nil {
		return err
	}
	for _, o := range outcomes {
		for _, note := range o.notes(s) {
			if _, err := fmt.Fprintf(w, "%s: %s\n", o.subject, note); err != nil {
				return err
			}
		}
	}
	return nil
}

func summary(outcomes []outcome) *table.Table {
	head := []string{"subject", "engine", "CPU µs/req", "min–max"}
	for _, name := range references {
		head = append(head, "÷ "+name)
	}
	head = append(head, "req/s", "p50 ms", "p99 ms", "busy", "RSS MiB")
	tab := table.New(head...)
	for _, o := range outcomes {
		tab.Add(summaryRow(o, outcomes)...)
	}
	return tab
}

func summaryRow(o outcome, all []outcome) []string {
	if len(o.valid()) == 0 {
		return []string{o.subject, "-", "invalid"}
	}
	least, greatest := stats.Spread(o.values(cpuMicros))
	row := []string{
		o.subject,
		o.valid()[0].Engine,
		fmt.Sprintf("%.2f", o.median(cpuMicros)),
		fmt.Sprintf("%.2f–%.2f", least, greatest),
	}
	for _, name := range references {
		row = append(row, ratio(o, find(all, name)))
	}
	return append(row,
		fmt.Sprintf("%.0f", o.median(rate)),
		millis(o.median(p50Micros)),
		millis(o.median(p99Micros)),
		fmt.Sprintf("%.0f %%", 100*o.median(busy)),
		fmt.Sprintf("%.1f", o.median(rss)/(1<<20)),
	)
}

// millis formats a latency; 0 stands for one that is not known.
func millis(micros float64) string {
	if micros == 0 {
		return "-"
	}
	return fmt.Sprintf("%.3f", micros/1000)
}

func find(outcomes []outcome, name string) outcome {
	for _, o := range outcomes {
		if o.subject == name {
			return o
		}
	}
	return outcome{}
}

// ratio returns processor time per request of o as a multiple of reference's.
func ratio(o, reference outcome) string { return ratioOf(cpuMicros, o, reference) }

// ratioOf returns a figure of o as a multiple of reference's.
func ratioOf(figure func(sample) float64, o, reference outcome) string {
	base := reference.median(figure)
	if base == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", o.median(figure)/base)
}

// disturbed is the share of time kept from the processor above which a reader
// should know that the machine was not quiet.
const disturbed = 0.1

func (o outcome) notes(sc scenario) []string {
	var notes []string
	invalid, ended, unanswered := 0, 0, int64(0)
	why := ""
	for _, s := range o.samples {
		if s.Invalid != "" {
			invalid++
			why = s.Invalid
			continue
		}
		if s.ThreadsEnded {
			ended++
		}
		if s.Mix != nil {
			unanswered += s.Mix.Unanswered
		}
	}
	if invalid > 0 {
		notes = append(notes, fmt.Sprintf("%d of %d rounds invalid and left out: %s", invalid, len(o.samples), why))
	}
	if ended > 0 {
		notes = append(notes, fmt.Sprintf("threads ended in %d rounds, whose processor time is exact to 10 ms only", ended))
	}
	if unanswered > 0 {
		notes = append(notes, fmt.Sprintf("%d requests had no answer 2 s after the end", unanswered))
	}
	// Where the load has the same processors, waiting for them is no news.
	if share := o.median(waited); share > disturbed && !sc.two {
		notes = append(notes, fmt.Sprintf("threads waited for a processor %.0f %% of the time: other work ran there, or they waited for one another", 100*share))
	}
	return notes
}
