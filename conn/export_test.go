package conn

// What tests may see of a loop.

// Live returns how many blocks of output memory and slots are in use.
func (l *Loop) Live() (blocks, slots int) { return l.arena.Live(), l.table.live }

// Excess reports whether free output memory is resident that is not kept for long.
func (l *Loop) Excess() bool { return l.arena.Excess() }

// Ended reports whether Run would end.
func (l *Loop) Ended() bool { return l.ended() }

// Timers returns how many timers are scheduled.
func (l *Loop) Timers() int { return l.wheel.Len() }

// TimerAt returns when the connection's timer fires, 0 for never.
func (c *Conn) TimerAt() int64 {
	if !c.timer.Scheduled() {
		return 0
	}
	return c.timer.When()
}

// Slots returns how many slots there are.
func (l *Loop) Slots() int { return int(l.table.slots()) }

// Parking returns how many connections are parked.
func (l *Loop) Parking() (n int) {
	l.table.each(func(c *Conn) {
		if c.Parked() {
			n++
		}
	})
	return n
}

// Dozing returns how many connections doze.
func (l *Loop) Dozing() int { return l.dorm.n }

// Home returns which leader is the home.
func (l *Loop) Home() uint64 { return l.home.Load() >> 1 }

// AtHome reports whether that one leads. It is for the loop's goroutine.
func (l *Loop) AtHome() bool { return l.atHome() }

// IdleWithoutLoops reports whether a watchdog of no loop would sleep.
func IdleWithoutLoops() bool { return new(watchdog).idle() }
