package main

import "testing"

func TestParseMessage(t *testing.T) {
	for _, c := range []struct {
		record, text string
		level        int
	}{
		{"6,1,0,-;Linux version 6.12\n", "Linux version 6.12", 6},
		{"12,339,5140900,-;WARNING: CPU: 0; really\n", "WARNING: CPU: 0; really", 4},
		{"4,7,1,c;eth0: up\n SUBSYSTEM=net\n", "eth0: up", 4},
		{"nonsense", "nonsense", 0},
	} {
		if level, text := parseMessage(c.record); level != c.level || text != c.text {
			t.Errorf("%q: %d %q, want %d %q", c.record, level, text, c.level, c.text)
		}
	}
}
