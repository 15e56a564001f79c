package wsock

// firstTake is the least that is taken for a message that comes in parts, unless
// it is known to be shorter.
const firstTake = 4 << 10

// gather appends payload to what has been gathered; more is how much is still to
// come, as far as the peer has said.
func (d *Decoder) gather(p []byte, more int) {
	if len(p) > 0 {
		d.reserve(len(p), more)
		d.buf = append(d.buf, p...)
	}
}

// gatherData gathers payload of a message.
func (d *Decoder) gatherData(p []byte) {
	more := d.remain
	if d.flags&flagFin == 0 {
		more += firstTake + len(d.buf) // nobody has said; as much again, say
	}
	d.gather(p, more)
}

// reserve makes room for n bytes in buf. Memory for more than that is taken as
// the bytes arrive, twice what there is each time: never all on the peer's word.
func (d *Decoder) reserve(n, more int) {
	need := len(d.buf) + n
	if need <= cap(d.buf) {
		return
	}
	old := d.buf
	d.buf = append(d.conf.buffers().Take(min(need+more, max(firstTake, 2*need))), old...)
	if cap(old) > 0 {
		d.conf.buffers().Put(old)
	}
}

// takeBack ends the use of what the last event pointed to.
func (d *Decoder) takeBack() {
	switch {
	case d.flags&flagLentMessage != 0 || d.state == stateClosed:
		d.put()
	case d.flags&flagLentControl != 0:
		d.buf = d.buf[:len(d.buf)-int(d.ctlLen)]
		if len(d.buf) == 0 {
			d.put()
		}
	}
	d.flags &^= flagLentMessage | flagLentControl
}

// put gives buf back.
func (d *Decoder) put() {
	d.flags &^= flagLentMessage | flagLentControl
	if cap(d.buf) > 0 {
		d.conf.buffers().Put(d.buf)
		d.buf = nil
	}
}
