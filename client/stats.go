package client

// Stats are what a transport has done and has. The numbers are of one moment.
type Stats struct {
	Conns       int    // that are open, or being made
	Idle        int    // of them
	Hosts       int    // with connections, or requests that wait for some
	Queued      int    // requests that wait for a connection
	Requests    uint64 // that were given a connection, some twice
	Repeated    uint64 // of them, were sent once more
	Dials       uint64 // connections that were begun to be made
	DialsFailed uint64 // of them
}

// Stats returns the statistics. Any goroutine may call it.
func (t *Transport) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.counts
	s.Conns, s.Idle, s.Hosts, s.Queued = t.conns, t.idle.n, len(t.hosts), t.queued
	return s
}
