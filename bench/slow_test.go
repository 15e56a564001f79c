package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/ringkit/ringkit/bench/internal/client"
)

// Every connection gets as many bytes as the time asks for, and they are those of a
// request's head.
func TestDrip(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const n = 5
	got := make(chan []byte, n)
	var sockets []client.Socket
	for range n {
		s, err := client.DialSocket(l.Addr().(*net.TCPAddr).Port)
		if err != nil {
			t.Fatal(err)
		}
		sockets = append(sockets, s)
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			defer c.Close()
			b, _ := io.ReadAll(c)
			got <- b
		}()
	}
	const interval, duration = 10 * time.Millisecond, 300 * time.Millisecond
	sent, err := drip(t.Context(), sockets, "/", interval, duration)
	closeAll(sockets)
	if err != nil || sent < n*int(duration/interval)-n || sent > n*int(duration/interval)+n {
		t.Errorf("sent %d bytes, %v", sent, err)
	}
	head := client.Request("/")
	head = append(head[:len(head)-2:len(head)-2], "X: aaaaaaaaaaaaaaaaaaaa"...)
	total := 0
	for range n {
		b := <-got
		if total += len(b); !bytes.HasPrefix(head, b[:min(len(b), len(head))]) {
			t.Errorf("got %q, want the beginning of %q", b, head)
		}
	}
	if total != sent {
		t.Errorf("%d bytes arrived, %d were sent", total, sent)
	}
}

func TestSlowArguments(t *testing.T) {
	for _, args := range [][]string{{"-n", "0"}, {"-interval", "1ms"}, {"-for", "1ms"}, {"-subject", "none"}, {"more"}} {
		if code := run(context.Background(), append([]string{"slow"}, args...), io.Discard, io.Discard); code != 2 {
			t.Errorf("slow %q: status %d, want 2", args, code)
		}
	}
}
