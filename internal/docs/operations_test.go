package docs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ringkit/ringkit"
	"github.com/ringkit/ringkit/client"
	"github.com/ringkit/ringkit/conn"
)

// defaults are those of the code, by the field that they are the default of.
var defaults = map[string]string{
	"Server.ReadHeaderTimeout": seconds(ringkit.DefaultReadHeaderTimeout),
	"Server.ReadTimeout":       seconds(ringkit.DefaultReadTimeout),
	"Server.WriteTimeout":      seconds(ringkit.DefaultWriteTimeout),
	"Server.IdleTimeout":       seconds(ringkit.DefaultIdleTimeout),
	"Server.MaxHeaderBytes":    bytes(ringkit.DefaultMaxHeaderBytes),
	"Server.MaxBodyBytes":      bytes(ringkit.DefaultMaxBodyBytes),
	"Server.MaxConcurrent":     fmt.Sprint(ringkit.DefaultMaxConcurrent),
	"Server.MaxQueued":         fmt.Sprint(ringkit.DefaultMaxQueued),
	"Server.MaxMessageBytes":   bytes(ringkit.DefaultMaxMessageBytes),
	"Server.MaxContextBytes":   bytes(ringkit.DefaultMaxContextBytes),

	"ChannelOptions.HighWater":    bytes(ringkit.DefaultHighWater),
	"ChannelOptions.LowWater":     bytes(ringkit.DefaultLowWater),
	"ChannelOptions.PingInterval": seconds(ringkit.DefaultPingInterval),
	"ChannelOptions.PongWait":     seconds(ringkit.DefaultPongWait),
	"ChannelOptions.CloseWait":    seconds(ringkit.DefaultCloseWait),
	"ChannelOptions.Heartbeat":    seconds(ringkit.DefaultHeartbeat),

	"Transport.DialTimeout":            seconds(client.DefaultDialTimeout),
	"Transport.TLSHandshakeTimeout":    seconds(client.DefaultTLSHandshakeTimeout),
	"Transport.ResponseHeaderTimeout":  seconds(client.DefaultResponseHeaderTimeout),
	"Transport.ExpectContinueTimeout":  seconds(client.DefaultExpectContinueTimeout),
	"Transport.ReadTimeout":            seconds(client.DefaultReadTimeout),
	"Transport.WriteTimeout":           seconds(client.DefaultWriteTimeout),
	"Transport.IdleConnTimeout":        seconds(client.DefaultIdleConnTimeout),
	"Transport.QueueTimeout":           seconds(client.DefaultQueueTimeout),
	"Transport.MaxIdleConns":           fmt.Sprint(client.DefaultMaxIdleConns),
	"Transport.MaxIdleConnsPerHost":    fmt.Sprint(client.DefaultMaxIdleConnsPerHost),
	"Transport.MaxQueued":              fmt.Sprint(client.DefaultMaxQueued),
	"Transport.MaxResponseHeaderBytes": bytes(client.DefaultMaxResponseHeaderBytes),
	"Transport.MaxBodyBytes":           bytes(client.DefaultMaxBodyBytes),
	"Client.MaxRedirects":              fmt.Sprint(client.DefaultMaxRedirects),
}

// unlimited have no limit by default.
var unlimited = []string{"Server.MaxConns", "Server.MaxConnsPerIP", "ChannelOptions.PollTimeout", "Client.Timeout"}

// elsewhereSaid are constants whose value is not in the tables of limits.
var elsewhereSaid = map[string]bool{
	"DefaultUnixMode": true, "DefaultMaxEventLine": true, "DefaultMaxEvent": true, "DefaultTransport": true, "DefaultClient": true,
}

func seconds(d time.Duration) string { return fmt.Sprintf("%d s", d/time.Second) }

func bytes(n int64) string {
	switch {
	case n >= 1<<30 && n%(1<<30) == 0:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}

// TestDefaults compares the tables of limits with the code, both ways.
func TestDefaults(t *testing.T) {
	want := map[string]string{}
	for field, value := range defaults {
		want[field] = value
	}
	for _, field := range unlimited {
		want[field] = "none"
	}
	row := regexp.MustCompile("(?m)^\\| `([A-Za-z]+\\.[A-Za-z]+)` \\| ([^|]+) \\|")
	for _, m := range row.FindAllStringSubmatch(read(t, "docs/operations.md"), -1) {
		if got := strings.TrimSpace(m[2]); want[m[1]] != got {
			t.Errorf("docs/operations.md says %s is %q by default; the code says %q", m[1], got, want[m[1]])
		}
		delete(want, m[1])
	}
	for field, value := range want {
		t.Errorf("docs/operations.md does not say that %s is %s by default", field, value)
	}
	for _, dir := range []string{".", "client"} {
		for _, name := range constants(t, dir) {
			field := strings.TrimPrefix(name, "Default")
			known := elsewhereSaid[name]
			for _, of := range []string{"Server.", "ChannelOptions.", "Transport.", "Client."} {
				known = known || defaults[of+field] != ""
			}
			if !known {
				t.Errorf("%s of package %s is in no table of docs/operations.md", name, dir)
			}
		}
	}
}

// constants are the exported names of a package that begin with Default.
func constants(t *testing.T, dir string) (found []string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			gen, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range gen.Specs {
				if v, ok := spec.(*ast.ValueSpec); ok {
					for _, id := range v.Names {
						if strings.HasPrefix(id.Name, "Default") {
							found = append(found, id.Name)
						}
					}
				}
			}
		}
	}
	return found
}

// TestMetrics compares the metrics that are described with those that there are.
func TestMetrics(t *testing.T) {
	srv := &ringkit.Server{Addr: "127.0.0.1:0", Loops: 1}
	served := make(chan error, 1)
	go func() { served <- srv.ListenAndServe() }()
	select {
	case <-srv.Ready():
	case err := <-served:
		t.Fatal(err)
	}
	defer srv.Close()
	w := httptest.NewRecorder()
	srv.StatsHandler().ServeHTTP(w, httptest.NewRequest("GET", "/?format=prometheus", nil))
	name := regexp.MustCompile(`ringkit_[a-z_]+`)
	there := map[string]bool{}
	for line := range strings.Lines(w.Body.String()) {
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			there[name.FindString(rest)] = true
		}
	}
	described := map[string]bool{}
	for _, m := range name.FindAllString(read(t, "docs/operations.md"), -1) {
		described[m] = true
		if !there[m] {
			t.Errorf("docs/operations.md names %s, which is no metric", m)
		}
	}
	for m := range there {
		if !described[m] {
			t.Errorf("docs/operations.md does not name %s", m)
		}
	}
	if len(there) < 20 {
		t.Errorf("the metrics are %v", there)
	}
}

// TestFields finds fields and functions on pages that are none: in backquotes, as
// Server.Field or Server.Method.
func TestFields(t *testing.T) {
	api, err := os.ReadFile(filepath.Join(root, "api.txt"))
	if err != nil {
		t.Fatal(err)
	}
	mention := regexp.MustCompile("`(Server|Channel|ChannelOptions|Exchange|Group|Reply|Transport|Client|WebSocket|Hooks|Events)\\.([A-Z][A-Za-z]+)")
	n := 0
	for _, page := range documents(t) {
		for _, m := range mention.FindAllStringSubmatch(read(t, page), -1) {
			n++
			field := regexp.MustCompile(`(?m)^pkg (ringkit|client), (type ` + m[1] + ` struct, |method \(\*?` + m[1] + `\) )` + m[2] + `[ (]`)
			if !field.Match(api) && !(m[1] == "Client" && strings.Contains(string(api), "Transport) "+m[2])) {
				t.Errorf("%s: there is no %s.%s", page, m[1], m[2])
			}
		}
	}
	if n == 0 {
		t.Error("no page names a field")
	}
	if conn.EngineVariable != "RINGKIT_ENGINE" || !strings.Contains(read(t, "README.md"), conn.EngineVariable) {
		t.Errorf("README.md names another variable than %s", conn.EngineVariable)
	}
}
