package report

import (
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ringkit/ringkit/bench/internal/mix"
	"github.com/ringkit/ringkit/bench/internal/procfs"
	"github.com/ringkit/ringkit/bench/internal/subject"
)

// rounds returns a subject with a sample of each processor time.
func rounds(name string, cpu ...float64) *Subject {
	s := &Subject{Name: name}
	for i, v := range cpu {
		s.Samples = append(s.Samples, Sample{Round: i + 1, Engine: "epoll", CPUMicros: v, Rate: 1e6 / v, Busy: 0.5,
			P50Micros: 10 * v, P75Micros: 20 * v, P90Micros: 30 * v, P99Micros: 100 * v, Memory: procfs.Memory{RSS: 1 << 20}})
	}
	return s
}

// idleSubject holds connections, each of which takes so many bytes.
func idleSubject(name string, each int64) *Subject {
	one := Sample{Round: 1, Engine: "io_uring"}
	for _, n := range []int{1000, 5000} {
		one.Idle = append(one.Idle, IdleFigure{n, procfs.Memory{RSS: each * int64(n)}})
	}
	return &Subject{Name: name, Samples: []Sample{one}}
}

func mixed(name string, longest float64, takeovers uint64) *Subject {
	s := rounds(name, 10, 12, 14)
	for i := range s.Samples {
		s.Samples[i].Mix = &MixFigures{AllFastRate: 200_000, AllFastCPUMicros: 10, MaxMicros: longest + float64(i), SlowP50Micros: 2500, Unanswered: 1}
		if takeovers > 0 {
			s.Samples[i].Mix.Counters, s.Samples[i].Mix.Later = &mix.Counters{Takeovers: takeovers}, &mix.Counters{}
		}
	}
	return s
}

// broken has no round that counts.
func broken(name string) *Subject {
	return &Subject{Name: name, Samples: []Sample{{Round: 1, CPUMicros: 500, Errors: 3, Invalid: "3 timeouts"}}}
}

// testReport has a scenario of each kind, and texts that have to be escaped.
func testReport() *Report {
	sweep := func(name string, connections int) *Scenario {
		return &Scenario{Name: name, About: "requests & <answers>", Section: "Plain text", Kind: Requests, Unit: "request", Connections: connections,
			Subjects: []*Subject{rounds(subject.Uring, 5, 4, 9), rounds(subject.Epoll, 6, 6, 6), rounds(subject.Ringkit, 6, 5, 8), rounds(subject.NetHTTP, 20, 10, 30), rounds("gnet", 7), broken(subject.FastHTTP), rounds(`old "1" <&>`, 8)}}
	}
	r := &Report{Time: time.Date(2026, 2, 3, 4, 5, 0, 0, time.UTC), Took: 61, Arguments: []string{"-quick", "-extra", `a=<b>&"c"`}, Seconds: 0.5, LoadCPU: 1,
		Host: ReadHost(), Versions: []Version{{"Go", "go1"}}, NotMeasured: []string{"hertz: <none>"},
		Scenarios: []*Scenario{sweep("plain", 64), sweep("plain1", 1), sweep("plain1024", 1024),
			{Name: "mix2", Section: "Handlers that block", Kind: Mixture, Unit: "request", Connections: 64, Subjects: []*Subject{mixed(subject.Ringkit, 5000, 3), mixed(subject.NetHTTP, 9000, 0), broken(subject.FastHTTP)}},
			{Name: "ws64", Section: "WebSockets", Kind: Messages, Unit: "message", Connections: 64, Subjects: []*Subject{rounds(subject.Ringkit, 4), rounds(subject.Gorilla, 10), rounds("gws", 8), broken("nbio")}},
			{Name: "client64", Section: "Clients", Kind: Clients, Unit: "request", Connections: 64, Subjects: []*Subject{rounds("client-call", 4), rounds(subject.NetHTTPClient, 10), rounds(subject.FastHTTPClient, 5)}},
			{Name: "idle-http", Section: "Memory", Kind: Idle, Unit: "request", Subjects: []*Subject{idleSubject(subject.Ringkit, 400), idleSubject(subject.NetHTTP, 20_000), broken("nginx")}},
		}}
	r.Settle()
	return r
}

// rows returns the lines of a table, blanks made one.
func rows(sc *Scenario) (list []string) {
	var b strings.Builder
	sc.Table().WriteTo(&b)
	for line := range strings.Lines(b.String()) {
		list = append(list, strings.Join(strings.Fields(line), " "))
	}
	return list
}

func TestTables(t *testing.T) {
	r := testReport()
	for name, want := range map[string][]string{
		"plain": {
			"subject engine CPU µs/req ÷ uring ÷ epoll ÷ nethttp req/s p50 ms p99 ms busy RSS MiB", "",
			"uring epoll 5.00 (4.00–9.00) 1.00 (1.00–1.00) 0.83 (0.67–1.50) 0.25 (0.25–0.40) 200000 0.050 0.500 50 % 1.0", "",
			"ringkit epoll 6.00 (5.00–8.00) 1.20 (0.89–1.25) 1.00 (0.83–1.33) 0.30 (0.27–0.50) 166667 0.060 0.600 50 % 1.0", "",
			"gnet* epoll 7.00 1.40 1.17 0.35 142857 0.070 0.700 50 % 1.0",
			"fasthttp - invalid",
		},
		"mix2": {
			"subject engine req/s ÷ all fast CPU µs/req CPU ÷ all fast p50 ms p99 ms max ms slow p50 ms takeovers later busy", "",
			"ringkit epoll 83333 0.42 (0.36–0.50) 12.00 1.20 0.120 1.200 5.002 2.500 3 0 50 %",
			"nethttp epoll 83333 0.42 (0.36–0.50) 12.00 1.20 0.120 1.200 9.002 2.500 - - 50 %",
			"fasthttp - invalid",
		},
		"ws64": {
			"subject engine CPU µs/msg ÷ gorilla ÷ best peer msg per CPU s msg/s p50 ms p99 ms busy RSS MiB", "",
			"ringkit epoll 4.00 0.40 0.50 250000 250000 0.040 0.400 50 % 1.0",
			"gorilla epoll 10.00 1.00 1.25 100000 100000 0.100 1.000 50 % 1.0",
			"gws epoll 8.00 0.80 1.00 125000 125000 0.080 0.800 50 % 1.0",
		},
		"client64": {
			"subject engine CPU µs/req ÷ nethttp-client ÷ fasthttp-client req/s ÷ nethttp-client ÷ fasthttp-client p50 ms p99 ms busy RSS MiB", "",
			"client-call epoll 4.00 0.40 0.80 250000 2.50 1.25 0.040 0.400 50 % 1.0",
		},
		"idle-http": {
			"subject engine bytes each of 1000 bytes each of 5000 RSS MiB", "",
			"ringkit io_uring 400 400 -",
		},
	} {
		got := rows(r.Scenario(name))
		for i, line := range want {
			if line != "" && got[i] != line {
				t.Errorf("%s, line %d:\n got %s\nwant %s", name, i, got[i], line)
			}
		}
	}
}

func TestNotes(t *testing.T) {
	sc := &Scenario{Subjects: []*Subject{
		{Name: "a", Samples: []Sample{{Waited: 0.3}, {Waited: 0.2}, {Waited: 0}}},
		{Name: "b", Samples: []Sample{{ThreadsEnded: true, Mix: &MixFigures{Unanswered: 7}}, {Invalid: "3 timeouts", Errors: 3}}},
		{Name: "c", Samples: []Sample{{Waited: 0.5}, {}, {}}},
		{Name: "d", Samples: []Sample{{Waited: 0.5}}},
	}}
	want := []string{
		"b: 1 of 2 rounds invalid and left out: 3 timeouts",
		"b: 3 errors in all rounds",
		"b: threads ended in 1 rounds, whose processor time is exact to 10 ms only",
		"b: 7 requests had no answer 2 s after the end",
		"threads waited for a processor, since other work ran there or they waited for one another: a 20 %, d 50 % of the time",
	}
	if got := sc.Notes(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q", got)
	}
	sc.Shared = true
	if got := sc.Notes(); !reflect.DeepEqual(got, want[:4]) {
		t.Errorf("the load runs there, too: got %q", got)
	}
}

func TestRatioIsOfRoundsThatBothHave(t *testing.T) {
	a, b := rounds("a", 4, 100, 6), rounds("b", 8, 9, 6)
	b.Samples[1].Invalid = "no luck"
	if got, want := Ratio(cpuMicros, a, b), (Spread{6.0 / 7, 0.5, 1, 2}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := Ratio(cpuMicros, a, nil); got != (Spread{}) {
		t.Errorf("of nothing: %+v", got)
	}
}

// What is written can be read, and says the same.
func TestWriteAndRead(t *testing.T) {
	r, dir := testReport(), filepath.Join(t.TempDir(), "new")
	if err := r.Write(dir); err != nil {
		t.Fatal(err)
	}
	got, err := Read(filepath.Join(dir, JSONFile))
	if err != nil || !reflect.DeepEqual(got, r) {
		t.Errorf("%v\n got %+v\nwant %+v", err, got, r)
	}
	for name, want := range map[string][]byte{HTMLFile: page1(t, got), MarkdownFile: []byte(got.Markdown())} {
		if data, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(data) != string(want) {
			t.Errorf("%s differs when it is made again: %v", name, err)
		}
	}
	if _, err := Read(filepath.Join(dir, HTMLFile)); err == nil {
		t.Error("a page is no result")
	}
}

func page1(t *testing.T, r *Report) []byte {
	t.Helper()
	text, err := r.HTML()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// elements parses a page as XML but for what HTML leaves open, and returns how many there
// are of each element.
func elements(t *testing.T, text string) map[string]int {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(strings.Replace(text, "<!DOCTYPE html>", "", 1)))
	d.Strict, d.AutoClose, d.Entity = true, []string{"meta"}, xml.HTMLEntity
	count := make(map[string]int)
	for {
		token, err := d.Token()
		if err == io.EOF {
			return count
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok {
			count[e.Name.Local]++
		}
	}
}

var (
	meta    = regexp.MustCompile(`<meta [^>]*>`)
	svgText = regexp.MustCompile(`(?s)<svg.*?</svg>`)
	outside = regexp.MustCompile(`(?i)https?://|\b(src|xlink:href|action)=|url\(|@import|<script|<link|<iframe`)
)

func TestHTML(t *testing.T) {
	for name, r := range map[string]*Report{"full": testReport(), "empty": {}, "quick": {Quick: true, Interrupted: true}} {
		text := string(page1(t, r))
		count := elements(t, meta.ReplaceAllString(text, ""))
		// Nothing is loaded: the one address is the name of the namespace of SVG.
		if found := outside.FindAllString(strings.ReplaceAll(text, "http://www.w3.org/2000/svg", ""), -1); found != nil {
			t.Errorf("%s: the page needs %q", name, found)
		}
		for _, drawing := range svgText.FindAllString(text, -1) {
			elements(t, drawing)
			if strings.Contains(drawing, "NaN") || strings.Contains(drawing, "Inf") {
				t.Errorf("%s: no figure in %s", name, drawing)
			}
		}
		if name == "full" {
			// Two over connections, two of quantiles, bars of five scenarios, two of a mixture, one of memory.
			if count["figure"] != 2+2+5+2+1 || count["details"] != len(r.Scenarios) {
				t.Errorf("%v", count)
			}
			for _, want := range []string{"requests &amp; &lt;answers&gt;", "hertz: &lt;none&gt;", "3 February 2026", "3 timeouts", "gnet*", ">missed<", "µs per request", "bytes of RSS each", "prefers-color-scheme: dark", `width=device-width`} {
				if !strings.Contains(text, want) {
					t.Errorf("no %q in the page", want)
				}
			}
		}
	}
	if text := string(page1(t, &Report{Quick: true, Interrupted: true})); !strings.Contains(text, "Too short to quote") || !strings.Contains(text, "Interrupted") {
		t.Error("no warnings")
	}
}

func TestMarkdown(t *testing.T) {
	text := testReport().Markdown()
	for _, want := range []string{"### mix2\n", "| subject | engine |", "|---|--:|", "| ringkit | epoll | 6.00 (5.00–8.00) |", "\n* fasthttp: 1 of 1 rounds invalid", "| memory of an idle keep-alive connection (idle-http) | ≤ 512 B | 400 B | reached |", "* hertz: <none>"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestGoals(t *testing.T) {
	verdicts := make(map[string]Outcome)
	for _, o := range testReport().Goals() {
		verdicts[o.What] = o
	}
	for what, want := range map[string]string{
		"native handler ÷ net/http (plain)":                           "0.30 (0.27–0.50): reached, not in every round",
		"native handler ÷ floor on io_uring (plain)":                  "1.20 (0.89–1.25): missed, reached in some rounds",
		"native handler ÷ fasthttp (plain)":                           "-: not measured",
		"median latency of 1 connection ÷ the better floor (plain1)":  "1.20 (0.89–1.25): missed, reached in some rounds",
		"memory of an idle keep-alive connection (idle-http)":         "400 B: reached",
		"memory of an idle WebSocket (idle-ws)":                       "-: not measured",
		"throughput left when 2 % sleep 2 ms (mix2)":                  "42 (36–50) %: missed",
		"echo of 64 bytes ÷ gorilla (ws64)":                           "0.40: reached",
		"echo of 64 bytes ÷ the best peer (ws64)":                     "0.50: reached",
		"client's requests per second ÷ net/http's client (client64)": "2.50: reached",
		"1 000 000 connections at once":                               "by go run ./million: not measured here",
	} {
		o, ok := verdicts[what]
		if got := o.Measured + ": " + o.Verdict; !ok || got != want {
			t.Errorf("%s: got %s, want %s", what, got, want)
		}
	}
}

func TestField(t *testing.T) {
	if got := field("processor\t: 0\nmodel name\t: A: B\nmodel name\t: C\n", "model name", ":"); got != "A: B" {
		t.Errorf("got %q", got)
	}
	if got := field("processor : 0\n", "model name", ":"); got != "" {
		t.Errorf("got %q", got)
	}
}
