package conn

// Counters are what a loop has counted since it was made. The tags are for those
// who publish them: the name and what is counted.
type Counters struct {
	Turns       uint64 `json:"turns" help:"Turns of the event loops, each one system call." by:"loop"`
	Completions uint64 `json:"completions" help:"Completions handled by the event loops." by:"loop"`
	Opened      uint64 `json:"connections_opened" help:"Connections taken over by an event loop."`
	Closed      uint64 `json:"connections_closed" help:"Connections that have ended, without those that were hijacked."`
	Detached    uint64 `json:"connections_hijacked" help:"Connections that were given to their handlers."`
	BytesIn     uint64 `json:"received_bytes" help:"Bytes received from connections."`
	BytesOut    uint64 `json:"sent_bytes" help:"Bytes sent to connections; with kernel TLS, before they are sealed."`
	Starved     uint64 `json:"receives_starved" help:"Receives that found no buffer and had to be repeated."`
	FilesFull   uint64 `json:"file_table_full" help:"Connections that kept their descriptor because the file table of their ring was full."`
	AcceptWaits uint64 `json:"accept_waits" help:"Times that accepting had to wait for descriptors or memory."`
}

// Counters returns what the loop has counted. It is for the loop's goroutine and for
// functions given to Observe.
func (l *Loop) Counters() Counters {
	n := l.count
	n.Turns = l.turns
	return n
}

// Mark is what a connection is doing, in the words of its protocol: a loop counts its
// open connections by mark. A new connection has the mark 0.
type Mark uint8

// Marks is the number of marks that a loop can tell apart.
const Marks = 8

// MarkClient is the mark of connections of package client, whoever else uses the loop.
const MarkClient Mark = Marks - 1

// Mark changes the connection's mark, which is less than Marks. On one that is closing
// it does nothing.
func (c *Conn) Mark(m Mark) {
	if c.mark != m {
		c.remark(m)
	}
}

func (c *Conn) remark(m Mark) {
	if c.phase == phaseOpen {
		c.loop.marked[c.mark]--
		c.loop.marked[m]++
		c.mark = m
	}
}

// Marked returns how many open connections have each mark, and how many others are
// closing: Close was called and has not been completed. The sum is Conns. It is for the
// loop's goroutine and for functions given to Observe.
func (l *Loop) Marked() (by [Marks]int, closing int) { return l.marked, l.closing }

// closingBegins counts a connection whose phase is about to change from open.
func (c *Conn) closingBegins() {
	c.loop.marked[c.mark]--
	c.loop.closing++
}

// over counts a connection whose phase is about to become stopping.
func (c *Conn) over(err error) {
	l := c.loop
	if c.phase == phaseOpen || c.phase == phaseDetaching {
		l.marked[c.mark]--
	} else {
		l.closing--
	}
	if err == ErrDetached {
		l.count.Detached++
	} else {
		l.count.Closed++
	}
	l.conns.Add(-1)
}
