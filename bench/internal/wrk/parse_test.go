package wrk

import (
	"strings"
	"testing"
	"time"
)

const healthy = `Running 2s test @ http://127.0.0.1:41675/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   392.41us  547.67us  10.86ms   97.27%
    Req/Sec   118.05k    12.50k  136.61k    80.00%
  Latency Distribution
     50%  303.00us
     75%  403.00us
     90%  541.00us
     99%    2.09ms
  234795 requests in 2.00s, 29.56MB read
Requests/sec: 117180.77
Transfer/sec:     14.75MB
`

func TestParse(t *testing.T) {
	r, err := Parse(healthy)
	want := Result{
		Requests: 234795,
		Elapsed:  2 * time.Second,
		P50:      303 * time.Microsecond,
		P75:      403 * time.Microsecond,
		P90:      541 * time.Microsecond,
		P99:      2090 * time.Microsecond,
	}
	if err != nil || r != want {
		t.Errorf("got %+v, %v; want %+v", r, err, want)
	}
	if r.Err() != nil {
		t.Errorf("healthy run reports %v", r.Err())
	}
	if rate := r.Rate(); rate != 117397.5 {
		t.Errorf("rate %v", rate)
	}
}

func TestParseErrorLines(t *testing.T) {
	r, err := Parse(strings.Replace(healthy, "Requests/sec:",
		"  Socket errors: connect 1, read 22, write 3, timeout 4\n  Non-2xx or 3xx responses: 55\nRequests/sec:", 1))
	if err != nil {
		t.Fatal(err)
	}
	if r.ConnectErrors != 1 || r.ReadErrors != 22 || r.WriteErrors != 3 || r.Timeouts != 4 || r.BadStatus != 55 {
		t.Errorf("got %+v", r)
	}
	if r.Err() == nil {
		t.Error("a run with errors reports none")
	}
}

func TestErrWithoutRequests(t *testing.T) {
	if (Result{}).Err() == nil {
		t.Error("a run without requests reports no error")
	}
}

func TestParseRejects(t *testing.T) {
	for name, output := range map[string]string{
		"empty":           "",
		"cannot connect":  "unable to connect to 127.0.0.1:1 Connection refused\n",
		"no distribution": strings.ReplaceAll(healthy, "99%    2.09ms", ""),
		"no totals":       strings.ReplaceAll(healthy, "requests in", "requests within"),
		"bad unit":        strings.ReplaceAll(healthy, "303.00us", "303.00ns"),
		"bad count":       strings.ReplaceAll(healthy, "234795", "234795k"),
		"bad errors":      healthy + "Socket errors: connect x, read 0\n",
	} {
		if r, err := Parse(output); err == nil {
			t.Errorf("%s: no error, got %+v", name, r)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0.00us":   0,
		"853.20us": 853200 * time.Nanosecond,
		"1.01ms":   1010 * time.Microsecond,
		"5.00s":    5 * time.Second,
		"1.50m":    90 * time.Second,
		"2.00h":    2 * time.Hour,
	} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%s: got %v, %v; want %v", text, got, err, want)
		}
	}
	for _, bad := range []string{"", "us", "1", "1.0", "1ns", "1sm", "-1s", "NaNs", "x1s"} {
		if got, err := parseDuration(bad); err == nil {
			t.Errorf("%q: no error, got %v", bad, got)
		}
	}
}
