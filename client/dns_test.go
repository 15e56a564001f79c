package client

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

// nameserver returns a resolver that knows these names and no others.
func nameserver(t *testing.T, known map[string][]string) *net.Resolver {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan bool)
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) == nil && len(m.Questions) == 1 {
				if b, err := resolved(m, known).Pack(); err == nil {
					pc.WriteTo(b, from)
				}
			}
		}
	}()
	t.Cleanup(func() { pc.Close(); <-done })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
}

// resolved answers a question (RFC 1035, RFC 3596).
func resolved(m dnsmessage.Message, known map[string][]string) *dnsmessage.Message {
	q := m.Questions[0]
	addrs, ok := known[q.Name.String()]
	a := &dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, RecursionAvailable: true}, Questions: m.Questions}
	if !ok {
		a.RCode = dnsmessage.RCodeNameError
	}
	for _, s := range addrs {
		h := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1}
		switch addr := netip.MustParseAddr(s); {
		case addr.Is4() && q.Type == dnsmessage.TypeA:
			a.Answers = append(a.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: addr.As4()}})
		case addr.Is6() && q.Type == dnsmessage.TypeAAAA:
			a.Answers = append(a.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}})
		}
	}
	return a
}

// blackhole listens at an address, with a port of 0 for any, and lets nobody in: its
// backlog is full, and the kernel ignores who comes then. It returns its port.
func blackhole(t *testing.T, host string, port int) int {
	t.Helper()
	addr := netip.MustParseAddr(host)
	family, sa := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: port})
	if addr.Is4() {
		sa.(*unix.SockaddrInet4).Addr = addr.As4()
	} else {
		family, sa = unix.AF_INET6, &unix.SockaddrInet6{Port: port, Addr: addr.As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		t.Cleanup(func() { unix.Close(fd) })
		err = unix.Bind(fd, sa)
	}
	if err == nil {
		err = unix.Listen(fd, 0)
	}
	if err != nil {
		t.Skipf("listen at %s: %v", host, err)
	}
	sa, _ = unix.Getsockname(fd)
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		port = sa.Port
	case *unix.SockaddrInet6:
		port = sa.Port
	}
	to := net.JoinHostPort(host, strconv.Itoa(port))
	for range 100 {
		nc, err := net.DialTimeout("tcp", to, tick)
		if err != nil {
			return port
		}
		t.Cleanup(func() { nc.Close() })
	}
	t.Skip("the backlog is never full")
	return 0
}
