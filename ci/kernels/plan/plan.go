// Package plan is what the runner tells a guest to do, and what the guest says
// while doing it.
package plan

import (
	"encoding/json"
	"fmt"
	"time"
)

// File is where the guest finds its plan.
const File = "/plan.json"

// Port is the serial port to which the guest writes. The kernel's console is
// another one, so that its messages do not fall into the middle of a line.
const Port = "/dev/ttyS1"

// Plan is the work of one guest.
type Plan struct {
	Modules []string          // files of kernel modules, in the order in which to load them
	Sysctl  map[string]string // by path below /proc/sys
	Limit   time.Duration     // for all steps together
	Steps   []Step
}

// Step is one test binary to run, or a program that is none.
type Step struct {
	Suite string
	Path  string // of the binary
	Dir   string // in which it runs
	Args  []string
	Env   []string
	Limit time.Duration
	Under Restriction

	// Program says that it knows nothing of the flags of tests.
	Program bool `json:",omitempty"`
}

// Restriction is what a step's process may not do.
type Restriction struct {
	NoFile  uint64 // RLIMIT_NOFILE
	Memlock uint64 // RLIMIT_MEMLOCK in bytes
	NoURing bool   // a seccomp filter answers io_uring's system calls with EPERM
}

// Kind says what a record is about.
type Kind string

const (
	Hello  Kind = "hello"  // the guest is up: Text is the kernel's release
	Begin  Kind = "begin"  // a suite begins; what follows until its end is its output
	End    Kind = "end"    // a suite ended: Exit, Seconds, and Text if it could not run
	Kernel Kind = "kernel" // Text is a kernel message
	Broken Kind = "broken" // the guest cannot go on: Text says why
	Done   Kind = "done"   // all steps are done
)

// Record is a line that the guest writes among the output of the tests.
type Record struct {
	Kind    Kind
	Suite   string  `json:",omitempty"`
	Text    string  `json:",omitempty"`
	Exit    int     `json:",omitempty"`
	Seconds float64 `json:",omitempty"`
}

// Mark begins a record, also where the line before it was not ended.
const Mark = '\x1e'

// Line returns the record as it is written.
func (r Record) Line() []byte {
	text, err := json.Marshal(r)
	if err != nil {
		panic(err) // strings and numbers can be encoded
	}
	return append(append([]byte{Mark}, text...), '\n')
}

// Parse reads what follows a Mark.
func Parse(line []byte) (Record, error) {
	var r Record
	if err := json.Unmarshal(line, &r); err != nil {
		return r, fmt.Errorf("record %q: %w", line, err)
	}
	return r, nil
}
