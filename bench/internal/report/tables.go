package report

import (
	"fmt"

	"github.com/ringkit/ringkit/bench/internal/mix"
	"github.com/ringkit/ringkit/bench/internal/stats"
	"github.com/ringkit/ringkit/bench/internal/subject"
	"github.com/ringkit/ringkit/bench/internal/table"
)

// references are the subjects that tables give ratios to, where they were measured, too.
var references = map[Kind][]string{
	Requests: {subject.Uring, subject.Epoll, subject.NetHTTP, subject.FastHTTP},
	Messages: {subject.Gorilla, subject.NetHTTP},
	Clients:  {subject.NetHTTPClient, subject.FastHTTPClient, subject.GorillaClient, subject.GWSClient},
}

// column is one of a table: what it says of a subject.
type column struct {
	head string
	cell func(s *Subject) string
}

// Table returns the figures of a scenario, a row for each subject.
func (sc *Scenario) Table() *table.Table {
	columns := []column{{"engine", func(s *Subject) string { return s.Valid()[0].Engine }}}
	switch sc.Kind {
	case Mixture:
		columns = append(columns, mixColumns()...)
	case Idle:
		columns = append(columns, sc.idleColumns()...)
	default:
		columns = append(columns, sc.loadColumns()...)
	}
	head := []string{"subject"}
	for _, c := range columns {
		head = append(head, c.head)
	}
	tab := table.New(head...)
	for _, s := range sc.Subjects {
		if len(s.Valid()) == 0 {
			tab.Add(s.Label(), "-", "invalid")
			continue
		}
		row := []string{s.Label()}
		for _, c := range columns {
			row = append(row, c.cell(s))
		}
		tab.Add(row...)
	}
	return tab
}

// Label returns the name of a subject, with a star if its answer is canned.
func (s *Subject) Label() string {
	if kind, _, _ := subject.About(s.Name); kind == subject.Canned {
		return s.Name + "*"
	}
	return s.Name
}

// loadColumns are those of a load of one kind of requests or messages.
func (sc *Scenario) loadColumns() []column {
	unit := "req"
	if sc.Unit != "request" {
		unit = "msg"
	}
	columns := []column{number("CPU µs/"+unit, cpuMicros, "%.2f")}
	ratios := func(f figure) {
		for _, name := range references[sc.Kind] {
			if base := sc.Find(name); len(base.Valid()) > 0 {
				columns = append(columns, column{"÷ " + name, func(s *Subject) string { return Ratio(f, s, base).format("%.2f") }})
			}
		}
	}
	ratios(cpuMicros)
	if sc.Kind == Messages {
		if best := sc.bestPeer(); best != nil {
			columns = append(columns, column{"÷ best peer", func(s *Subject) string { return Ratio(cpuMicros, s, best).format("%.2f") }})
		}
		columns = append(columns, column{unit + " per CPU s", func(s *Subject) string { return fmt.Sprintf("%.0f", over(1e6, s.median(cpuMicros))) }})
	}
	columns = append(columns, plain(unit+"/s", rate, "%.0f", 1))
	if sc.Kind == Clients {
		ratios(rate)
	}
	if sc.known(p50Micros) {
		columns = append(columns, plain("p50 ms", p50Micros, "%.3f", 1e-3), plain("p99 ms", p99Micros, "%.3f", 1e-3))
	}
	return append(columns, plain("busy", busy, "%.0f %%", 100), plain("RSS MiB", rss, "%.1f", 1.0/(1<<20)))
}

// known reports whether a figure is known of one of the subjects.
func (sc *Scenario) known(f figure) bool {
	for _, s := range sc.Subjects {
		if s.median(f) > 0 {
			return true
		}
	}
	return false
}

// number is a column with a spread.
func number(head string, f figure, verb string) column {
	return column{head, func(s *Subject) string { return s.spread(f).format(verb) }}
}

// plain is a column with a median only, times unit; 0 stands for one that is not known.
func plain(head string, f figure, verb string, unit float64) column {
	return column{head, func(s *Subject) string {
		v := s.median(f)
		if v == 0 {
			return "-"
		}
		return fmt.Sprintf(verb, v*unit)
	}}
}

func mixColumns() []column {
	longest := func(s *Subject) string {
		_, most := stats.Spread(s.values(maxMicros))
		return fmt.Sprintf("%.3f", most/1000)
	}
	return []column{
		plain("req/s", rate, "%.0f", 1),
		number("÷ all fast", rateShare, "%.2f"),
		plain("CPU µs/req", cpuMicros, "%.2f", 1),
		plain("CPU ÷ all fast", cpuTimes, "%.2f", 1),
		plain("p50 ms", p50Micros, "%.3f", 1e-3),
		plain("p99 ms", p99Micros, "%.3f", 1e-3),
		{"max ms", longest},
		plain("slow p50 ms", slowP50Micros, "%.3f", 1e-3),
		{"takeovers", takeovers(func(f *MixFigures) *mix.Counters { return f.Counters })},
		{"later", takeovers(func(f *MixFigures) *mix.Counters { return f.Later })},
		plain("busy", busy, "%.0f %%", 100),
	}
}

// takeovers formats how often the loop was taken from a handler, the median of
// the rounds in which it is known.
func takeovers(counted func(*MixFigures) *mix.Counters) func(*Subject) string {
	return func(s *Subject) string {
		var values []float64
		for _, one := range s.Valid() {
			if c := counted(one.Mix); c != nil {
				values = append(values, float64(c.Takeovers))
			}
		}
		if values == nil {
			return "-"
		}
		return fmt.Sprintf("%.0f", stats.Median(values))
	}
}

// idleColumns are the bytes for each connection, one column for each number of them.
func (sc *Scenario) idleColumns() []column {
	var columns []column
	for _, n := range sc.idleSizes() {
		columns = append(columns, column{fmt.Sprintf("bytes each of %d", n), func(s *Subject) string { return s.idleAt(n).format("%.0f") }})
	}
	return append(columns, plain("RSS MiB", rss, "%.1f", 1.0/(1<<20)))
}

// idleSizes returns the numbers of connections that were held.
func (sc *Scenario) idleSizes() (sizes []int) {
	for _, s := range sc.Subjects {
		for _, one := range s.Valid() {
			if len(one.Idle) > len(sizes) {
				sizes = nil
				for _, f := range one.Idle {
					sizes = append(sizes, f.Connections)
				}
			}
		}
	}
	return sizes
}

// idleAt returns the bytes for each of n connections.
func (s *Subject) idleAt(n int) Spread {
	var values []float64
	for _, one := range s.Valid() {
		for _, f := range one.Idle {
			if f.Connections == n {
				values = append(values, f.PerConnection())
			}
		}
	}
	return newSpread(values)
}
