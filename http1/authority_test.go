package http1

import (
	"net/netip"
	"strings"
	"testing"
)

var addresses = []string{
	"::", "::1", "1::", "1::2", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1:2:3::5:6:7:8",
	"::ffff:192.0.2.1", "1:2:3:4:5:6:192.0.2.1", "1::192.0.2.1", "2001:DB8::a", "::192.0.2.1",
	"", ":", ":::", "1", "1:", ":1", "1:::2", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::",
	"::1:2:3:4:5:6:7:8", "12345::", "g::", "1:2:3:4:5:6:7:192.0.2.1", "::192.0.2", "::192.0.2.1.1", "::192.0.2.256",
	"::192.0.2.01", "::192.0.2.", "::.0.2.1", "192.0.2.1", "::1%eth0", "::1 ", "::192.0.2.1:1", "1:2:3:4:5:6:7::8",
	"::192.0.2.00", "::a.0.0.0", "::0.0.0.0",
}

func checkIPv6(t *testing.T, s string) {
	addr, err := netip.ParseAddr(s)
	want := err == nil && addr.Is6() && addr.Zone() == ""
	if got := validIPv6([]byte(s)); got != want {
		t.Errorf("validIPv6(%q) = %t, want %t", s, got, want)
	}
}

func TestIPv6(t *testing.T) {
	for _, s := range addresses {
		checkIPv6(t, s)
	}
}

func FuzzIPv6(f *testing.F) {
	for _, s := range addresses {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.Contains(s, "%") {
			return
		}
		checkIPv6(t, s)
	})
}
