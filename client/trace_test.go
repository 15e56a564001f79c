package client

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"testing"
)

// traced is what the hooks of package httptrace were told, in order.
type traced struct {
	mu  sync.Mutex
	all []string
}

func (tr *traced) add(format string, args ...any) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.all = append(tr.all, fmt.Sprintf(format, args...))
}

func (tr *traced) told() []string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return slices.Clone(tr.all)
}

func (tr *traced) context(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:              func(addr string) { tr.add("GetConn %s", addr) },
		DNSStart:             func(i httptrace.DNSStartInfo) { tr.add("DNSStart %s", i.Host) },
		DNSDone:              func(i httptrace.DNSDoneInfo) { tr.add("DNSDone %v %v", i.Addrs, i.Err) },
		ConnectStart:         func(network, addr string) { tr.add("ConnectStart %s %s", network, addr) },
		ConnectDone:          func(network, addr string, err error) { tr.add("ConnectDone %s %s %v", network, addr, err) },
		TLSHandshakeStart:    func() { tr.add("TLSHandshakeStart") },
		TLSHandshakeDone:     func(s tls.ConnectionState, err error) { tr.add("TLSHandshakeDone %q %v", s.NegotiatedProtocol, err) },
		GotConn:              func(i httptrace.GotConnInfo) { tr.add("GotConn %v %v", i.Reused, i.WasIdle) },
		WroteHeaders:         func() { tr.add("WroteHeaders") },
		WroteRequest:         func(i httptrace.WroteRequestInfo) { tr.add("WroteRequest %v", i.Err) },
		GotFirstResponseByte: func() { tr.add("GotFirstResponseByte") },
	})
}

// The making of a connection is told step by step, to who it is made for; what is there
// already, only that it is. net/http tells the same.
func TestTraceOfDialing(t *testing.T) {
	srv, named := origin(t, "https", http.NotFoundHandler())
	port := srv.Listener.Addr().(*net.TCPAddr).Port
	resolver := nameserver(t, map[string][]string{"example.com.": {"127.0.0.1"}})
	step := fmt.Sprint("tcp 127.0.0.1:", port)
	addr := strings.TrimPrefix(named, "https://")
	want := [][]string{{
		"GetConn " + addr, "DNSStart example.com", "DNSDone [{127.0.0.1 }] <nil>", "ConnectStart " + step, "ConnectDone " + step + " <nil>",
		"TLSHandshakeStart", `TLSHandshakeDone "http/1.1" <nil>`, "GotConn false false", "WroteHeaders", "WroteRequest <nil>", "GotFirstResponseByte",
	}, {
		"GetConn " + addr, "GotConn true true", "WroteHeaders", "WroteRequest <nil>", "GotFirstResponseByte",
	}}
	ask := func(t *testing.T, rt http.RoundTripper) []string {
		t.Helper()
		var events traced
		req, _ := http.NewRequestWithContext(events.context(t.Context()), "GET", named, nil)
		resp, err := rt.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		return events.told()
	}
	std := &http.Transport{DialContext: (&net.Dialer{Resolver: resolver}).DialContext, TLSClientConfig: trust()}
	std.TLSClientConfig.NextProtos = []string{"http/1.1"}
	defer std.CloseIdleConnections()
	for _, w := range want {
		got := ask(t, std)
		if w = slices.Clone(w); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(w))) {
			t.Errorf("net/http:\n got %q\nwant %q", got, w)
		}
	}
	onEngines(t, func(t *testing.T, tr *Transport) {
		tr.Resolver, tr.TLSClientConfig = resolver, trust()
		for _, w := range want {
			if got := ask(t, tr); !slices.Equal(got, w) {
				t.Errorf("\n got %q\nwant %q", got, w)
			}
			expectQuiet(t, tr)
		}
	})
}

// Requests that begin together have each the trace of one connection.
func TestTraceOfManyDials(t *testing.T) {
	onEngines(t, func(t *testing.T, tr *Transport) {
		const n = 8
		var there sync.WaitGroup
		there.Add(n)
		srv, _ := origin(t, "http", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { there.Done(); there.Wait() }))
		// Until all are under way nobody finds a connection that is not its own.
		all := make(chan bool)
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			<-all
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
		var events [n]traced
		var futures []*Future
		for i := range events {
			req, _ := http.NewRequestWithContext(events[i].context(t.Context()), "GET", srv.URL, nil)
			futures = append(futures, (&Client{Transport: tr}).Go(req))
		}
		close(all)
		for _, f := range futures {
			if _, err := f.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for i := range events {
			dials := 0
			for _, e := range events[i].told() {
				if strings.HasPrefix(e, "ConnectDone ") {
					dials++
				}
			}
			if dials != 1 {
				t.Errorf("request %d was told of %d connections: %q", i, dials, events[i].told())
			}
		}
	})
}
