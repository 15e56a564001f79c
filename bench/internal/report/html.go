package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/ringkit/ringkit/bench/internal/subject"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// page is what the template shows.
type page struct {
	*Report
	Summary  string
	Warnings []string
	Tiles    []tile
	Goals    []Outcome
	Sections []section
	Method   []string
	Facts    []Version
}

// tile is a figure to be seen first.
type tile struct{ Figure, What string }

// section is scenarios of a kind.
type section struct {
	ID, Title string
	Plots     []plot // of all of them
	Scenarios []shown
}

// shown is a scenario on a page.
type shown struct {
	Name, About string
	Open        bool // its table
	Head        []string
	Rows        []row
	Notes       []string
}

type row struct {
	Class string
	Cells []cell
}

// cell is a text with a range below.
type cell struct{ Text, Range string }

// HTML returns the report as a page that needs nothing but itself.
func (r *Report) HTML() ([]byte, error) {
	p := page{Report: r, Summary: r.summary(), Warnings: r.warnings(), Tiles: r.tiles(), Goals: r.Goals(), Sections: r.sections(), Method: r.method(), Facts: r.facts()}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, p); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// sections returns the scenarios by their sections, in their order.
func (r *Report) sections() []section {
	var list []section
	for _, sc := range r.Scenarios {
		n := len(list)
		if n == 0 || list[n-1].Title != sc.Section {
			list = append(list, section{ID: anchor(sc.Section), Title: sc.Section})
			n++
		}
		s := &list[n-1]
		if sc.Name == "plain" {
			s.Plots = append(s.Plots, r.sweepPlots()...)
		}
		s.Plots = append(s.Plots, sc.plots()...)
		s.Scenarios = append(s.Scenarios, sc.shownOn())
	}
	return list
}

// anchor makes an identifier of a title.
func anchor(title string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			return c
		case c == ' ':
			return '-'
		}
		return -1
	}, strings.ToLower(title))
}

func (sc *Scenario) shownOn() shown {
	tab := sc.Table()
	s := shown{Name: sc.Name, About: sc.About, Open: sc.Name == "plain", Head: tab.Head(), Notes: sc.Notes()}
	for i, cells := range tab.Rows() {
		one := row{Class: rowClass(sc.Subjects[i])}
		for _, text := range cells {
			value, spread, _ := strings.Cut(text, " (")
			one.Cells = append(one.Cells, cell{value, strings.TrimSuffix(spread, ")")})
		}
		s.Rows = append(s.Rows, one)
	}
	return s
}

func rowClass(s *Subject) string {
	switch kind, _, _ := subject.About(s.Name); kind {
	case subject.Own:
		return "own"
	case subject.Floor, subject.Canned:
		return "floor"
	}
	return ""
}

// summary is the report in a sentence.
func (r *Report) summary() string {
	took := (time.Duration(r.Took) * time.Second).String()
	return fmt.Sprintf("%s. %d scenarios, %s of %g s (memory: one), in %s.", r.Time.Format("2 January 2006, 15:04 UTC"),
		len(r.Scenarios), plural(max(1, r.Rounds()), "round"), r.Seconds, took)
}

// warnings are what a reader has to know before quoting anything.
func (r *Report) warnings() []string {
	var list []string
	if r.Quick {
		list = append(list, "A quick run: fewer subjects and connections, short measurements. Too short to quote.")
	} else if r.Rounds() < 3 {
		list = append(list, "Fewer than three rounds: medians of so few say little.")
	}
	if r.Interrupted {
		list = append(list, "Interrupted: what was measured until then.")
	}
	var busy []string
	for _, sc := range r.Scenarios {
		for _, s := range sc.Subjects {
			if s.median(waited) > disturbed && !sc.Shared && sc.Kind != Idle {
				busy = append(busy, sc.Name)
				break
			}
		}
	}
	if len(busy) > 0 && 3*len(busy) > len(r.Scenarios) {
		list = append(list, fmt.Sprintf("The machine was not quiet: in %d of %d scenarios something was kept from its processor for more than %.0f %% of the time.", len(busy), len(r.Scenarios), 100*disturbed))
	}
	return list
}

// tiles are the ratios that say most.
func (r *Report) tiles() []tile {
	var list []tile
	add := func(s Spread, verb, what string) {
		if s.Rounds > 0 && s.Median > 0 {
			list = append(list, tile{fmt.Sprintf(verb, s.Median), what})
		}
	}
	plain := r.Scenario("plain")
	add(Ratio(cpuMicros, plain.Find(subject.Ringkit), plain.Find(subject.NetHTTP)), "×%.2f", "processor time of net/http per request, native handler")
	add(Ratio(cpuMicros, plain.Find(subject.RingkitStd), plain.Find(subject.NetHTTP)), "×%.2f", "of net/http, the same http.Handler")
	add(Ratio(cpuMicros, plain.Find(subject.Ringkit), plain.Find(subject.FastHTTP)), "×%.2f", "of fasthttp, native handler")
	add(Ratio(cpuMicros, plain.Find(subject.Ringkit), plain.Find(subject.Uring)), "×%.2f", "of a floor in C on io_uring")
	add(r.Scenario("idle-http").Find(subject.Ringkit).spread(perConnection), "%.0f B", "memory of an idle keep-alive connection")
	add(of(rateShare, subject.Ringkit, 100)(r, r.Scenario("mix2")), "%.0f %%", "of the throughput left when 2 % of the requests block for 2 ms")
	return list
}

// method is how it was measured.
func (r *Report) method() []string {
	server, load := processor(r.ServerCPU), processor(r.LoadCPU)
	return []string{
		"The figure is processor time per request: what the threads of the server ran (/proc/PID/task/*/schedstat) during the load, divided by the requests that were answered. It depends on what else the machine does far less than rates and latencies do.",
		fmt.Sprintf("The server ran on %s, the load on %s; where a client is measured it is on the processor of the load. “two” pins nothing. Go servers have the GOMAXPROCS that Go finds for that; ringkit has one loop.", server, load),
		"Requests that all take the same came from " + r.generator() + ", which sends one when another has been answered; a server that stalls is asked less meanwhile. All else came from programs of bench/: they compare every byte that comes back.",
		"Rounds are interleaved: each measures every subject of a scenario once, in turn, and goes over all scenarios. Each measurement starts the program afresh, asks it once and leaves it out if the answer is not the benchmark's, warms it up with the same load, and measures.",
		"Figures are medians of the rounds, with the least and the greatest behind. Ratios are those of the medians, with the least and the greatest ratio of a round. A difference smaller than the spread is none.",
		"A round with an error, a timeout, a wrong answer or a status that is not 2xx does not count, and a note says so.",
		"The floors are C programs with the same answer on bare io_uring and epoll that look for blank lines and nothing else. gnet* is not a server for HTTP: it answers blank lines, too, and parses nothing.",
		"On loopback a send runs the receiver's TCP code, too, so that a part of what a server is charged for is its client's network stack. That pulls all ratios towards 1.",
		"WebSockets do not offer compression. A message that is sent to a room counts once for each member that gets it.",
		"Memory is what the resident set of the server has grown by since it answered its first request, divided by connections that have each had one answer and been left alone.",
	}
}

// generator names what has sent requests that all take the same.
func (r *Report) generator() string {
	if r.Generator == "own" {
		return "bench/load, a program on ringkit's client"
	}
	return "wrk"
}

func processor(cpu int) string {
	if cpu < 0 {
		return "any processor"
	}
	return fmt.Sprintf("processor %d", cpu)
}

// facts are the machine and the versions.
func (r *Report) facts() []Version {
	h := r.Host
	list := []Version{
		{"Processor", fmt.Sprintf("%s, %d of them, %s", orUnknown(h.CPU), h.Processors, h.Arch)},
		{"Memory", fmt.Sprintf("%d MiB", h.MemoryMiB)},
		{"System", orUnknown(h.System)},
		{"Kernel", "Linux " + orUnknown(h.Kernel)},
		{"io_uring", "tier " + orUnknown(h.Tier)},
	}
	return append(list, r.Versions...)
}

func orUnknown(text string) string {
	if text == "" {
		return "unknown"
	}
	return text
}
