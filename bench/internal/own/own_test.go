package own

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringkit/ringkit/bench/internal/proc"
)

// build builds the program.
func build(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds a program")
	}
	path := filepath.Join(t.TempDir(), "load")
	cmd := exec.Command("go", "build", "-o", path, Source)
	cmd.Dir = "../.."
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRun(t *testing.T) {
	program := build(t)
	var served, conns, closes atomic.Int64
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		if r.Close {
			closes.Add(1)
		}
		if r.URL.Path == "/gone" {
			w.WriteHeader(http.StatusGone)
		}
	}))
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	srv.Start()
	defer srv.Close()
	l := Load{URL: srv.URL, Connections: 3, WarmUp: 50 * time.Millisecond, Duration: 200 * time.Millisecond, CPU: proc.AnyCPU}
	var during int64
	around := func(pid int, run func() error) error {
		before := served.Load()
		err := run()
		during = served.Load() - before
		return err
	}
	r, err := Run(context.Background(), program, l, around)
	if err != nil || r.Requests != during || during == 0 || r.Rate() != float64(r.InTime)/0.2 || r.P50() <= 0 || r.P99() < r.P50() {
		t.Errorf("%d requests: %+v, %v", during, r, err)
	}
	if conns.Load() != 3 || closes.Load() != 0 {
		t.Errorf("%d connections, %d requests that close", conns.Load(), closes.Load())
	}
	l.Close = true
	if r, err = Run(context.Background(), program, l, around); err != nil || r.Requests != during || closes.Load() <= during {
		t.Errorf("%d requests that close, %d in all: %+v, %v", closes.Load(), during, r, err)
	}
	l.URL += "/gone"
	if _, err = Run(context.Background(), program, l, around); err == nil || !strings.Contains(err.Error(), "responses with status 410") {
		t.Errorf("got %v", err)
	}
	srv.Close()
	if _, err = Run(context.Background(), program, l, around); err == nil || !strings.Contains(err.Error(), "refused") || strings.Contains(err.Error(), "nothing was answered") {
		t.Errorf("got %v", err)
	}
}

func TestResult(t *testing.T) {
	good := Result{Seconds: 2, InTime: 100, Statuses: map[int]int64{200: 101, 204: 2}}
	if good.Err() != nil || good.Rate() != 50 {
		t.Errorf("%v, %v", good.Err(), good.Rate())
	}
	for want, bad := range map[string]Result{
		"nothing was answered":        {},
		"3 responses with status 503": {InTime: 9, Statuses: map[int]int64{200: 6, 503: 3}},
		"4 not answered":              {InTime: 9, Missing: 4},
		"2 times: read: EOF":          {InTime: 9, Errors: map[string]int64{"read: EOF": 2}},
	} {
		if err := bad.Err(); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestArgs(t *testing.T) {
	args := Load{URL: "ws://x/", Connections: 7, Size: 64, Room: true, WarmUp: time.Second, Duration: time.Minute}.args()
	if got := strings.Join(args, " "); got != "-wait -c 7 -p 1 -warm-up 1s -d 1m0s -loops 1 -insecure -room -size 64 ws://x/" {
		t.Errorf("%s", got)
	}
	if args := (Load{Close: true, Pipeline: 16}).args(); !slices.Contains(args, "Connection: close") || !slices.Contains(args, "16") {
		t.Errorf("%q", args)
	}
	args = Load{URL: "http://x/events", Connections: 7, Publish: "http://x/publish", Expect: "data"}.args()
	if got := strings.Join(args, " "); !strings.HasSuffix(got, " -receive -publish http://x/publish -expect data http://x/events") {
		t.Errorf("%s", got)
	}
}
