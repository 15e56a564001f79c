package report

import (
	"fmt"

	"github.com/ringkit/ringkit/bench/internal/subject"
)

// goal is something that ringkit aims at.
type goal struct {
	what     string
	scenario string // it is measured in
	limit    float64
	atLeast  bool // and not at most
	unit     string
	measured func(r *Report, sc *Scenario) Spread
}

// Outcome is what has become of a goal.
type Outcome struct {
	What, Aim, Measured, Verdict string
	Class                        string // reached, missed or unknown
}

// cpu is the ratio of processor time of two subjects.
func cpu(name, reference string) func(*Report, *Scenario) Spread {
	return ratioTo(cpuMicros, name, reference)
}

func ratioTo(f figure, name, reference string) func(*Report, *Scenario) Spread {
	return func(_ *Report, sc *Scenario) Spread { return Ratio(f, sc.Find(name), sc.Find(reference)) }
}

// of is a figure of a subject, times unit.
func of(f figure, name string, unit float64) func(*Report, *Scenario) Spread {
	return func(_ *Report, sc *Scenario) Spread {
		s := sc.Find(name).spread(f)
		return Spread{s.Median * unit, s.Min * unit, s.Max * unit, s.Rounds}
	}
}

var goals = []goal{
	{"native handler ÷ floor on io_uring", "plain", 1.15, false, "", cpu(subject.Ringkit, subject.Uring)},
	{"native handler ÷ fasthttp", "plain", 0.75, false, "", cpu(subject.Ringkit, subject.FastHTTP)},
	{"native handler ÷ net/http", "plain", 0.35, false, "", cpu(subject.Ringkit, subject.NetHTTP)},
	{"standard handler ÷ net/http", "plain", 0.40, false, "", cpu(subject.RingkitStd, subject.NetHTTP)},
	{"native handler ÷ fasthttp", "pipeline", 0.40, false, "", cpu(subject.Ringkit, subject.FastHTTP)},
	{"native handler on epoll ÷ floor on epoll", "plain", 1.15, false, "", cpu(subject.RingkitEpoll, subject.Epoll)},
	{"median latency of 1 connection ÷ the better floor", "plain1", 1.10, false, "", bestFloor},
	{"requests per second of two loops ÷ one", "two", 1.8, true, "", twoLoops(rate)},
	{"or, where the load is the limit, processor time of two loops ÷ one", "two", 1.05, false, "", twoLoops(cpuMicros)},
	{"memory of an idle keep-alive connection", "idle-http", 512, false, " B", of(perConnection, subject.Ringkit, 1)},
	{"memory of an idle WebSocket", "idle-ws", 1024, false, " B", of(perConnection, subject.Ringkit, 1)},
	{"native handler over TLS ÷ net/http", "tls", 0.70, false, "", cpu(subject.Ringkit, subject.NetHTTP)},
	{"requests per second for a file ÷ net/http", "static", 1, true, "", ratioTo(rate, subject.RingkitStd, subject.NetHTTP)},
	{"throughput left when 2 % sleep 2 ms", "mix2", 75, true, " %", of(rateShare, subject.Ringkit, 100)},
	{"latency of the fast requests, 99 %, when 2 % sleep 2 ms", "mix2", 3, false, " ms", of(p99Micros, subject.Ringkit, 1e-3)},
	{"latency of the fast requests, 99 %, when 0.1 % sleep 1 s", "mix1s", 5, false, " ms", of(p99Micros, subject.Ringkit, 1e-3)},
	{"echo of 64 bytes ÷ gorilla", "ws64", 0.60, false, "", cpu(subject.Ringkit, subject.Gorilla)},
	{"echo of 64 bytes ÷ the best peer", "ws64", 0.80, false, "", besidePeer(false)},
	{"messages per processor second to 10 000 ÷ the best peer", "broadcast10000", 1.3, true, "", besidePeer(true)},
	{"client's Call ÷ net/http's client", "client64", 0.45, false, "", cpu("client-call", subject.NetHTTPClient)},
	{"client's Call ÷ fasthttp's client", "client64", 0.85, false, "", cpu("client-call", subject.FastHTTPClient)},
	{"client's requests per second ÷ net/http's client", "client64", 1.5, true, "", ratioTo(rate, "client-call", subject.NetHTTPClient)},
}

func bestFloor(_ *Report, sc *Scenario) Spread {
	floor := sc.Find(subject.Uring)
	if other := sc.Find(subject.Epoll); len(floor.Valid()) == 0 || len(other.Valid()) > 0 && other.median(p50Micros) < floor.median(p50Micros) {
		floor = other
	}
	return Ratio(p50Micros, sc.Find(subject.Ringkit), floor)
}

func twoLoops(f figure) func(*Report, *Scenario) Spread {
	return func(r *Report, sc *Scenario) Spread {
		return Ratio(f, sc.Find(subject.Ringkit), r.Scenario("plain").Find(subject.Ringkit))
	}
}

// besidePeer is processor time beside that of the best peer, or the inverse.
func besidePeer(inverse bool) func(*Report, *Scenario) Spread {
	return func(_ *Report, sc *Scenario) Spread {
		if inverse {
			return Ratio(cpuMicros, sc.bestPeer(), sc.Find(subject.Ringkit))
		}
		return Ratio(cpuMicros, sc.Find(subject.Ringkit), sc.bestPeer())
	}
}

// Goals returns what has become of all goals.
func (r *Report) Goals() []Outcome {
	var list []Outcome
	for _, g := range goals {
		list = append(list, g.outcome(r))
	}
	return append(list, Outcome{"1 000 000 connections at once", "held", "by go run ./million", "not measured here", "unknown"})
}

func (g goal) outcome(r *Report) Outcome {
	sign, verb := "≤", "%.2f"
	if g.atLeast {
		sign = "≥"
	}
	if g.unit != "" && g.limit >= 10 {
		verb = "%.0f"
	}
	o := Outcome{What: fmt.Sprintf("%s (%s)", g.what, g.scenario), Aim: sign + " " + fmt.Sprintf(verb, g.limit) + g.unit, Measured: "-", Verdict: "not measured", Class: "unknown"}
	sc := r.Scenario(g.scenario)
	if sc == nil {
		return o
	}
	s := g.measured(r, sc)
	if s.Rounds == 0 || s.Median == 0 {
		return o
	}
	o.Measured = s.format(verb) + g.unit
	holds := func(v float64) bool {
		if g.atLeast {
			return v >= g.limit
		}
		return v <= g.limit
	}
	best, worst := s.Min, s.Max
	if g.atLeast {
		best, worst = worst, best
	}
	switch {
	case holds(s.Median) && holds(worst):
		o.Verdict, o.Class = "reached", "reached"
	case holds(s.Median):
		o.Verdict, o.Class = "reached, not in every round", "reached"
	case holds(best):
		o.Verdict, o.Class = "missed, reached in some rounds", "missed"
	default:
		o.Verdict, o.Class = "missed", "missed"
	}
	return o
}
