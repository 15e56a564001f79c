package main

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/ci/kernels/plan"
)

// port is the serial port to the runner.
type port struct {
	mu sync.Mutex
	f  *os.File
}

// openPort opens a serial port and makes it pass every byte as it is.
func openPort(name string) (*port, error) {
	// Without O_NONBLOCK the call would wait for a carrier.
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	attr, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	attr.Iflag, attr.Oflag, attr.Lflag = 0, 0, 0
	attr.Cflag = unix.CS8 | unix.CLOCAL | unix.CREAD | unix.B115200
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, attr); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &port{f: os.NewFile(uintptr(fd), name)}, nil
}

// Write is for the output of a test binary.
func (p *port) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.f.Write(b)
}

func (p *port) record(r plan.Record) {
	if _, err := p.Write(r.Line()); err != nil {
		fmt.Println("guest:", err)
	}
}

// drain waits until everything has left the port.
func (p *port) drain() {
	if err := unix.IoctlSetInt(int(p.f.Fd()), unix.TCSBRK, 1); err != nil {
		fmt.Println("guest: drain:", err)
	}
}
