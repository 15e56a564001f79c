package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ringkit/ringkit/bench/internal/subject"
)

func TestProxyFlags(t *testing.T) {
	for _, args := range [][]string{{"-c", "0"}, {"-rounds", "0"}, {"-duration", "1500ms"}, {"-server-cpu", "100000"}, {"-bogus"}} {
		var out, said bytes.Buffer
		if code := run(context.Background(), append([]string{"proxy"}, args...), &out, &said); code != 2 {
			t.Errorf("%q: status %d, %q", args, code, said.String())
		}
	}
	var out bytes.Buffer
	if code := run(context.Background(), []string{"proxy", "-h"}, &out, &out); code != 0 || !strings.Contains(out.String(), "nginx") {
		t.Errorf("-h: status %d, %q", code, out.String())
	}
}

// The command for nginx leads to a server that answers what the one behind it does.
func TestNginxIsAProxy(t *testing.T) {
	if _, err := subject.Installed("nginx"); err != nil {
		t.Skip(err)
	}
	if testing.Short() {
		t.Skip("builds programs")
	}
	if _, err := subject.Installed("wrk"); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var out bytes.Buffer
	o := proxyOptions{rounds: 1, connections: 2, duration: time.Second, serverCPU: -1, loadCPU: -1}
	if err := compareProxies(ctx, o, t.TempDir(), &out, os.Stderr); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ringkit io_uring", "ringkit epoll", "nginx"} {
		if !strings.Contains(out.String(), name) {
			t.Errorf("no row %q in\n%s", name, out.String())
		}
	}
}
