package ringkit

import (
	"fmt"
	"slices"
	"strings"
)

// Auto is the default of [Server].Engine and [Server].Mode: the server finds out.
const Auto = 0

// Mode is where a server runs handlers.
//
// In mode Auto they run on the event loop, which costs no goroutine, until they
// block: a handler that has not returned after a millisecond or two loses the loop
// to another goroutine, and goes on where it is. The server remembers the method and
// the route (the pattern of a ServeMux, otherwise the path), and runs such requests
// on goroutines from then on, until enough of them have been fast again.
type Mode uint8

const (
	// Inline runs all handlers on the event loop. A handler that blocks holds up
	// every connection of its loop.
	Inline Mode = iota + 1
	// Goroutine runs each handler on a goroutine of its own, as net/http does.
	Goroutine
)

var modeNames = []string{"auto", "inline", "goroutine"}

// String returns the name that ParseMode understands.
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return fmt.Sprintf("Mode(%d)", uint8(m))
}

// ParseMode returns the mode with the given name: "auto", "inline" or "goroutine".
func ParseMode(name string) (Mode, error) {
	i := slices.Index(modeNames, strings.ToLower(name))
	if i < 0 {
		return Auto, fmt.Errorf("ringkit: no mode %q (there are: %s)", name, strings.Join(modeNames, ", "))
	}
	return Mode(i), nil
}
