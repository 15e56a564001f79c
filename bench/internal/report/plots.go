package report

import (
	"fmt"
	"html/template"
	"slices"
	"strconv"

	"github.com/ringkit/ringkit/bench/internal/subject"
)

// plot is a drawing with its heading.
type plot struct {
	Title  string
	Note   string
	SVG    template.HTML
	Legend template.HTML
}

func (c lineChart) plot(note string) plot {
	return plot{c.title, note, template.HTML(c.render()), template.HTML(legend(c.series))}
}

func (c barChart) plot(note string) plot {
	return plot{c.title, note, template.HTML(c.render()), ""}
}

// sweep returns the scenarios that differ in their connections only, by those.
func (r *Report) sweep() []*Scenario {
	var list []*Scenario
	for _, name := range []string{"plain", "plain1", "plain8", "plain256", "plain1024"} {
		if sc := r.Scenario(name); sc != nil {
			list = append(list, sc)
		}
	}
	slices.SortFunc(list, func(a, b *Scenario) int { return a.Connections - b.Connections })
	return list
}

// across plots a figure over the connections of a sweep, times unit.
func across(list []*Scenario, f figure, unit float64, c lineChart) lineChart {
	c.x, c.logX = "connections", true
	for _, sc := range list {
		c.ticks = append(c.ticks, tick{float64(sc.Connections), strconv.Itoa(sc.Connections)})
		for _, s := range sc.Subjects {
			spread := s.spread(f)
			if spread.Median <= 0 {
				continue
			}
			i := slices.IndexFunc(c.series, func(one series) bool { return one.name == s.Label() })
			if i < 0 {
				i = len(c.series)
				c.series = append(c.series, series{name: s.Label()})
			}
			p := point{float64(sc.Connections), spread.Median * unit, spread.Min * unit, spread.Max * unit}
			c.series[i].points = append(c.series[i].points, p)
		}
	}
	return c
}

// sweepPlots are those over connections.
func (r *Report) sweepPlots() []plot {
	list := r.sweep()
	if len(list) < 2 {
		return nil
	}
	return []plot{
		across(list, rate, 1, lineChart{title: "Throughput over connections", y: "requests per second"}).plot("More is better. One processor for the server, one for the load."),
		across(list, cpuMicros, 1, lineChart{title: "Processor time over connections", y: "µs per request"}).plot("Less is better: the figure that survives a noisy machine."),
	}
}

// quantilePlot is of the latencies of a scenario.
func (sc *Scenario) quantilePlot() plot {
	c := lineChart{title: fmt.Sprintf("Latency quantiles, %s", plural(sc.Connections, "connection")), x: "share of requests that were answered sooner", y: "latency, ms", logY: true}
	quantiles := []struct {
		name string
		of   figure
	}{{"50 %", p50Micros}, {"75 %", p75Micros}, {"90 %", p90Micros}, {"99 %", p99Micros}}
	for i, q := range quantiles {
		c.ticks = append(c.ticks, tick{float64(i), q.name})
	}
	for _, s := range sc.Subjects {
		one := series{name: s.Label()}
		for i, q := range quantiles {
			if spread := s.spread(q.of); spread.Median > 0 {
				one.points = append(one.points, point{float64(i), spread.Median / 1e3, spread.Min / 1e3, spread.Max / 1e3})
			}
		}
		if len(one.points) > 0 {
			c.series = append(c.series, one)
		}
	}
	return c.plot("Less is better. In a closed loop: one request when another has been answered.")
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// bars returns a plot of one figure of each subject, times unit.
func (sc *Scenario) bars(title, x string, f figure, unit float64, verb string) barChart {
	c := barChart{title: title, x: x}
	for _, s := range sc.Subjects {
		spread := s.spread(f)
		if spread.Rounds == 0 || spread.Median <= 0 {
			continue
		}
		spread.Median, spread.Min, spread.Max = spread.Median*unit, spread.Min*unit, spread.Max*unit
		c.bars = append(c.bars, bar{s.Label(), spread, fmt.Sprintf(verb, spread.Median)})
	}
	return c
}

// plots returns those of one scenario.
func (sc *Scenario) plots() []plot {
	switch sc.Kind {
	case Mixture:
		return []plot{
			sc.bars(sc.Name+": latency of the fast requests, 99 %", "ms", p99Micros, 1e-3, "%.2f").plot(sc.About + ". Less is better."),
			sc.bars(sc.Name+": throughput", "% of that without slow requests", rateShare, 100, "%.0f %%").plot(sc.About + ". More is better."),
		}
	case Idle:
		return []plot{sc.idlePlot()}
	}
	unit := sc.Unit
	var more []plot
	if sc.Name == "plain1" || sc.Name == "plain" {
		more = append(more, sc.quantilePlot())
	}
	c := sc.bars(sc.Name+": processor time per "+unit, "µs per "+unit, cpuMicros, 1, "%.2f")
	if base := sc.base(); base != nil {
		for i, s := range sc.shown() {
			c.bars[i].text += fmt.Sprintf("\u2002×%.2f", Ratio(cpuMicros, s, base).Median)
		}
		return append(more, c.plot(sc.About+". Less is better; × is the multiple of "+base.Name+"."))
	}
	return append(more, c.plot(sc.About+". Less is better."))
}

// shown returns the subjects that have a bar of processor time.
func (sc *Scenario) shown() []*Subject {
	return slices.DeleteFunc(slices.Clone(sc.Subjects), func(s *Subject) bool { return s.median(cpuMicros) <= 0 })
}

// base returns the subject that others are a multiple of.
func (sc *Scenario) base() *Subject {
	for _, name := range []string{subject.NetHTTP, subject.Gorilla, subject.NetHTTPClient, subject.GorillaClient} {
		if s := sc.Find(name); len(s.Valid()) > 0 {
			return s
		}
	}
	return nil
}

// idlePlot is memory over connections.
func (sc *Scenario) idlePlot() plot {
	c := lineChart{title: sc.Name + ": memory for each connection", x: "idle connections", y: "bytes of RSS each", logY: true, logX: true}
	sizes := sc.idleSizes()
	for _, n := range sizes {
		c.ticks = append(c.ticks, tick{float64(n), strconv.Itoa(n)})
	}
	for _, s := range sc.Subjects {
		one := series{name: s.Label()}
		for _, n := range sizes {
			if spread := s.idleAt(n); spread.Median > 0 {
				one.points = append(one.points, point{float64(n), spread.Median, spread.Min, spread.Max})
			}
		}
		if len(one.points) > 0 {
			c.series = append(c.series, one)
		}
	}
	return c.plot(sc.About + ". Less is better; the kernel's memory for sockets is not in it.")
}
