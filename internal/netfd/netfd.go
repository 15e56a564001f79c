// Package netfd makes connections of package net of descriptors that event loops give
// away, with what the loops had received.
package netfd

import (
	"io"
	"net"
	"os"
)

// Conn makes a connection of a descriptor, which it takes over, also if it fails.
func Conn(fd int) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "connection")
	defer f.Close()
	return net.FileConn(f)
}

// Prefixed reads some bytes first.
type Prefixed struct {
	First []byte
	io.Reader
}

// Read implements io.Reader.
func (p *Prefixed) Read(b []byte) (int, error) {
	if len(p.First) == 0 {
		return p.Reader.Read(b)
	}
	n := copy(b, p.First)
	p.First = p.First[n:]
	return n, nil
}
