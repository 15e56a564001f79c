package ringkit

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	helpLine   = regexp.MustCompile(`^# HELP (ringkit_[a-z_]+) [A-Z][^\n]*\.$`)
	typeLine   = regexp.MustCompile(`^# TYPE (ringkit_[a-z_]+) (counter|gauge)$`)
	sampleLine = regexp.MustCompile(`^(ringkit_[a-z_]+)(\{[a-z]+="(?:[^"\\\n]|\\\\|\\"|\\n)*"(?:,[a-z]+="(?:[^"\\\n]|\\\\|\\"|\\n)*")*\})? (\d+)$`)
)

// parseExposition reads the Prometheus text format, version 0.0.4, strictly: each
// family once, with HELP, TYPE and samples in this order, no sample twice, names by the
// rules, every line ended.
func parseExposition(t testing.TB, text string) map[string]int {
	t.Helper()
	if !strings.HasSuffix(text, "\n") {
		t.Fatalf("the last line is not ended: %q", text)
	}
	values := make(map[string]int)
	families := make(map[string]bool)
	family, kind := "", ""
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		if m := helpLine.FindStringSubmatch(line); m != nil {
			if families[m[1]] {
				t.Fatalf("%s comes twice", m[1])
			}
			family, kind, families[m[1]] = m[1], "", true
			continue
		}
		if m := typeLine.FindStringSubmatch(line); m != nil {
			if kind != "" || m[1] != family || (m[2] == "counter") != strings.HasSuffix(family, "_total") {
				t.Fatalf("%q in the family %s", line, family)
			}
			kind = m[2]
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil || m[1] != family || kind == "" {
			t.Fatalf("%q in the family %s", line, family)
		}
		if _, twice := values[m[1]+m[2]]; twice {
			t.Fatalf("%q comes twice", line)
		}
		value, err := strconv.Atoi(m[3])
		if err != nil {
			t.Fatal(err)
		}
		values[m[1]+m[2]] = value
	}
	return values
}

// statsNames are the names that users rely on: those of JSON, and those of the text
// format. They do not change.
const statsNames = `accept_waits completions connections connections_closed direct_descriptors file_table_full loops.direct_descriptors loops.file_table_full
connections connections_hijacked connections_opened
handlers_inline handlers_panicked handlers_predicted handlers_queued handlers_running handlers_spawned
loops loops.accept_waits loops.completions loops.connections loops.connections_closed loops.connections_hijacked loops.connections_opened
loops.engine loops.engine.features loops.engine.name loops.engine.tier loops.engine.why
loops.handlers_inline loops.handlers_predicted loops.received_bytes loops.receives_starved loops.released loops.requests loops.requests_rejected
loops.responses loops.responses.1xx loops.responses.2xx loops.responses.3xx loops.responses.4xx loops.responses.5xx loops.responses.other
loops.sent_bytes loops.states loops.states.closing loops.states.handling loops.states.idle loops.states.reading loops.states.streaming
loops.takeovers loops.timeouts loops.timeouts.header loops.timeouts.idle loops.timeouts.read loops.timeouts.write loops.turns
received_bytes receives_starved released requests requests_refused requests_rejected
responses responses.1xx responses.2xx responses.3xx responses.4xx responses.5xx responses.other
sent_bytes states states.closing states.handling states.idle states.reading states.streaming
takeovers timeouts timeouts.header timeouts.idle timeouts.read timeouts.write turns`

const metricNames = `ringkit_accept_waits_total ringkit_completions_total ringkit_connections ringkit_connections_closed_total
ringkit_connections_hijacked_total ringkit_connections_opened_total ringkit_handlers_inline_total ringkit_handlers_panicked_total
ringkit_handlers_predicted_total ringkit_handlers_queued ringkit_handlers_running ringkit_handlers_spawned_total ringkit_loop_info
ringkit_received_bytes_total ringkit_receives_starved_total ringkit_released_total ringkit_requests_refused_total
ringkit_requests_rejected_total ringkit_requests_total ringkit_responses_total ringkit_sent_bytes_total ringkit_takeovers_total
ringkit_timeouts_total ringkit_turns_total`

func namesIn(prefix string, v any, names map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			names[prefix+name] = true
			namesIn(prefix+name+".", value, names)
		}
	case []any:
		for _, element := range v {
			namesIn(prefix, element, names)
		}
	}
}

// sameNames checks that all names are there, however many others have been added.
func sameNames(t *testing.T, got map[string]bool, want string) {
	t.Helper()
	for name := range strings.FieldsSeq(want) {
		if !got[name] {
			t.Errorf("%s is missing", name)
		}
	}
}

// The handler works on this server and on net/http's, in both formats.
func TestStatsHandler(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		srv := &Server{Name: "ringkit", Loops: 2}
		h := srv.StatsHandler()
		srv.Handler = h
		s := serve(t, e, srv)
		other := httptest.NewServer(h)
		defer other.Close()
		for _, url := range []string{s.url("/"), other.URL} {
			for _, c := range []struct {
				method, query, accept string
				status                int
				kind                  string
			}{
				{"GET", "", "", 200, "application/json"},
				{"GET", "", "*/*", 200, "application/json"},
				{"GET", "", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", 200, "application/json"},
				{"GET", "", "application/json, text/plain, */*", 200, "application/json"},
				{"GET", "", "text/plain", 200, PrometheusContentType},
				{"GET", "", "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1", 200, PrometheusContentType},
				{"GET", "", "text/plain; q=0.5, application/json ; q=0.4", 200, PrometheusContentType},
				{"GET", "", "text/plain; q=nonsense", 200, "application/json"},
				{"GET", "?format=json", "text/plain", 200, "application/json"},
				{"GET", "?format=prometheus", "application/json", 200, PrometheusContentType},
				{"HEAD", "?format=prometheus", "", 200, PrometheusContentType},
				{"HEAD", "", "", 200, "application/json"},
				{"GET", "?format=xml", "", 400, "text/plain; charset=utf-8"},
				{"POST", "", "", 405, "text/plain; charset=utf-8"},
				{"DELETE", "?format=json", "", 405, "text/plain; charset=utf-8"},
			} {
				r, err := http.NewRequest(c.method, url+c.query, nil)
				if err != nil {
					t.Fatal(err)
				}
				if c.accept != "" {
					r.Header.Set("Accept", c.accept)
				}
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != c.status || resp.Header.Get("Content-Type") != c.kind {
					t.Errorf("%+v: %d %q, %v", c, resp.StatusCode, resp.Header, err)
				}
				if allow := resp.Header.Get("Allow"); (c.status == 405) != (allow == "GET, HEAD") {
					t.Errorf("%+v: Allow: %q", c, allow)
				}
				switch {
				case c.status != 200:
				case c.method == "HEAD":
					if len(body) != 0 || resp.ContentLength < 100 {
						t.Errorf("%+v: %d bytes of %d", c, len(body), resp.ContentLength)
					}
				case c.kind == PrometheusContentType:
					names := make(map[string]bool)
					for name, value := range parseExposition(t, string(body)) {
						family, _, _ := strings.Cut(name, "{")
						names[family] = true
						if family == "ringkit_loop_info" && value != 1 {
							t.Errorf("%s is %d", name, value)
						}
					}
					sameNames(t, names, metricNames)
				default:
					var v any
					if err := json.Unmarshal(body, &v); err != nil {
						t.Errorf("%+v: %v in %q", c, err, body)
					}
					names := make(map[string]bool)
					namesIn("", v, names)
					sameNames(t, names, statsNames)
				}
			}
		}
	})
}

// The labels say which loop, and what it runs on, whatever there is in their values.
func TestStatsExposition(t *testing.T) {
	s := Stats{Queued: 7, Loops: []LoopStats{
		{Engine: LoopEngine{Name: IOUring, Tier: "a\"b\\c\nd"}, States: ConnStates{Idle: 3, Closing: 4}},
		{Engine: LoopEngine{Name: Epoll}, Counters: Counters{Takeovers: 5}},
	}}
	s.Timeouts.Idle, s.Takeovers = 6, 5
	var b strings.Builder
	if err := s.writePrometheus(&b); err != nil {
		t.Fatal(err)
	}
	got := parseExposition(t, b.String())
	for name, want := range map[string]int{
		`ringkit_loop_info{loop="0",engine="io_uring",tier="a\"b\\c\nd"}`: 1,
		`ringkit_loop_info{loop="1",engine="epoll",tier=""}`:              1,
		`ringkit_connections{loop="0",state="idle"}`:                      3,
		`ringkit_connections{loop="0",state="closing"}`:                   4,
		`ringkit_connections{loop="1",state="idle"}`:                      0,
		`ringkit_takeovers_total{loop="1"}`:                               5,
		`ringkit_timeouts_total{kind="idle"}`:                             6,
		`ringkit_handlers_queued`:                                         7,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %d, want %d\n%s", name, v, want, b.String())
		}
	}
	if n := strings.Count(b.String(), "\nringkit_takeovers_total"); n != 2 {
		t.Errorf("%d samples of takeovers, want one for each loop:\n%s", n, b.String())
	}
	if _, ok := got["ringkit_connections"]; ok || slices.Contains(strings.Fields(b.String()), "ringkit_states") {
		t.Errorf("connections are counted twice:\n%s", b.String())
	}
}
