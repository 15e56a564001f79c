package talk

import "github.com/ringkit/ringkit/conn"

// Phase is how far the owner is on its way to the end.
type Phase uint8

const (
	Open     Phase = iota
	Closing        // nothing more is accepted; what was is sent
	Aborting       // nor is that sent
	Over
)

// Order is the order of the user's callbacks: one at a time, that of the beginning first,
// that of the end last, each of these once. The owner's mutex guards it.
//
// Who runs user code calls Enter before and Exit behind it, on whatever goroutine; who finds
// that all is over calls End. Exactly one of them is told to call the last callback: as the
// loop may end before the user's code does, that cannot be left to the loop.
type Order struct {
	Lead    conn.Lead // of the user's code that runs
	Phase   Phase
	running bool // there is some
	greeted bool // the first callback was called, or is about to be
	parted  bool // and the last one
	Left    bool // the user's code that runs has given the lead away
}

// Enter begins user code. It reports false when that comes too late.
func (o *Order) Enter(lead conn.Lead) bool {
	if o.Phase == Over {
		return false
	}
	o.Lead, o.running = lead, true
	return true
}

// Exit ends it. It reports whether all ended meanwhile: then the caller calls the last
// callback.
func (o *Order) Exit() (parts bool) {
	o.Lead, o.running = conn.Lead{}, false
	return o.Phase == Over && o.part()
}

// End ends all. It reports whether no user code runs: then the caller calls the last
// callback, and otherwise who runs that does.
func (o *Order) End() (parts bool) {
	o.Phase = Over
	return !o.running && o.part()
}

func (o *Order) part() bool {
	was := o.parted
	o.parted = true
	return !was
}

// Greet reports whether the first callback is to be called now.
func (o *Order) Greet() bool {
	was := o.greeted
	o.greeted = true
	return !was
}

// Greeted reports whether it was called.
func (o *Order) Greeted() bool { return o.greeted }
