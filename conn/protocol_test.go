package conn_test

import (
	"testing"

	"github.com/ringkit/ringkit/conn"
)

// A protocol may give its connection to another one, with what it does not consume
// and what arrives later, however the input is cut.
func TestSetProtocol(t *testing.T) {
	const prefix, rest = "for the first", "for the second"
	const in = prefix + rest
	for cut := range len(in) {
		for _, taken := range []int{0, 1, len(prefix), len(in)} {
			b := newBench(t, conn.Config{})
			var ends string
			second := &hooks{
				data:   func(c *conn.Conn, in []byte) int { c.Write(in); return len(in) },
				closed: func(*conn.Conn, error) { ends += "second" },
			}
			first := &hooks{
				data: func(c *conn.Conn, in []byte) int {
					if len(in) < max(taken, len(prefix)) {
						return 0
					}
					c.SetProtocol(second)
					return taken
				},
				closed: func(*conn.Conn, error) { ends += "first" },
			}
			c, peer := b.adopt(first)
			peer.WriteString(in[:cut])
			b.settle()
			peer.WriteString(in[cut:])
			b.settle()
			if got := string(peer.Received()); got != in[taken:] {
				t.Errorf("cut at %d: the second got %q, want %q", cut, got, in[taken:])
			}
			if c.Protocol() != second {
				t.Errorf("the protocol is %p, want %p", c.Protocol(), second)
			}
			b.finish()
			if ends != "second" {
				t.Errorf("the end was told to %q", ends)
			}
		}
	}
}

// Outside of Data, what was kept is for Resume to deliver; a protocol that ends or
// holds the connection as it gives it away has nothing delivered.
func TestSetProtocolHeld(t *testing.T) {
	b := newBench(t, conn.Config{})
	var got string
	second := &hooks{data: func(_ *conn.Conn, in []byte) int { got += string(in); return len(in) }}
	c, peer := b.adopt(&hooks{data: func(c *conn.Conn, in []byte) int {
		c.Hold()
		c.SetProtocol(second)
		return 1
	}})
	peer.WriteString("abc")
	b.settle()
	if got != "" {
		t.Errorf("delivered %q although held", got)
	}
	c.Resume()
	if got != "bc" {
		t.Errorf("delivered %q, want what the first left", got)
	}

	got = ""
	c, peer = b.adopt(&hooks{open: func(c *conn.Conn) { c.Hold() }})
	peer.WriteString("abc")
	b.settle()
	c.SetProtocol(second)
	c.Resume()
	if got != "abc" {
		t.Errorf("delivered %q, want all that was kept", got)
	}

	got = ""
	_, peer = b.adopt(&hooks{data: func(c *conn.Conn, in []byte) int {
		c.SetProtocol(second)
		c.Close()
		return 1
	}})
	peer.WriteString("abc")
	b.settle()
	if got != "" || second.ends != 1 {
		t.Errorf("delivered %q, closed %d times", got, second.ends)
	}
	b.finish()
}
