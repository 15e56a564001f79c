package server

import (
	"bytes"
	"regexp"
	"strconv"
	"sync"
)

// addressPattern finds the address a server says it listens on. Only loopback
// counts: nothing here measures a server that others can reach.
var addressPattern = regexp.MustCompile(`127\.0\.0\.1:(\d+)`)

// keptOutput bounds how much of a server's output is kept for error messages.
const keptOutput = 16 * 1024

// output collects what a server prints and looks for its port.
type output struct {
	port chan int // receives the port once

	mu    sync.Mutex
	data  []byte
	found bool
}

func newOutput() *output {
	return &output{port: make(chan int, 1)}
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	room := keptOutput - len(o.data)
	o.data = append(o.data, p[:min(len(p), room)]...)
	if !o.found {
		if port := findPort(o.data); port != 0 {
			o.found = true
			o.port <- port
		}
	}
	return len(p), nil
}

// String returns what was printed, on one line.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(bytes.ReplaceAll(bytes.TrimSpace(o.data), []byte("\n"), []byte("; ")))
}

// findPort returns the first port in the complete lines of data, 0 if there is
// none. An incomplete line may end in half a number.
func findPort(data []byte) int {
	complete := data[:bytes.LastIndexByte(data, '\n')+1]
	for _, match := range addressPattern.FindAllSubmatch(complete, -1) {
		port, err := strconv.ParseUint(string(match[1]), 10, 16)
		if err == nil && port != 0 {
			return int(port)
		}
	}
	return 0
}
