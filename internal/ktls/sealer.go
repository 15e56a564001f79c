// Package ktls has the kernel seal what a server sends over TLS 1.3, on connections
// whose handshake crypto/tls has made and whose input crypto/tls goes on opening.
//
// crypto/tls shows traffic secrets to a KeyLogWriter, and nothing of its sequence numbers.
// These are counted: a [Watch] opens every record of the handshake with the keys it has
// derived, so that a wrong assumption leaves a connection with crypto/tls. From when the
// kernel has the keys ([Sealer.Attach]) nothing that crypto/tls seals may leave the
// process, as its numbers are the kernel's, too: what it still has to say (the end of its
// side, alerts, answers to updates of keys) is opened again ([Sealer.Take]) and
// given to the kernel in plain ([Sealer.Send]).
package ktls

// Sealer is the sending side of a connection with kernel TLS. Its methods are called by
// one goroutine at a time.
type Sealer struct {
	keys *keys // with which crypto/tls seals what is not sent

	// Of the socket, since Attach.
	first   uint64 // number with the kernel's present keys
	records uint64 // sealed with those before them
	base    uint64 // see passed
	plain   uint64 // bytes given to it
}

// Attach has the kernel seal what is sent from now on. Everything sealed before has to
// be sent. On an error the connection is as it was.
func (s *Sealer) Attach(fd int) error {
	base, err := passed(fd)
	if err != nil {
		return err
	}
	if err := attach(fd, s.keys); err != nil {
		return err
	}
	s.base = base
	s.first = s.keys.seq
	return nil
}

// Record is one that crypto/tls has sealed, opened.
type Record struct {
	Kind    byte
	Content []byte
	keys    *keys // that follow it, nil for the same
}

// Data reports whether it is application data.
func (r *Record) Data() bool { return r.Kind == typeData }

// Take opens what crypto/tls has written, record by record.
func (s *Sealer) Take(p []byte) (r Record, rest []byte, err error) {
	record, rest, ok := splitRecord(p)
	if !ok {
		return r, nil, errCut
	}
	if r.Kind, r.Content, err = s.keys.open(record); err != nil {
		return r, nil, err
	}
	if r.Kind == typeHandshake && len(r.Content) > 0 && r.Content[0] == messageKeyUpdate {
		s.keys = s.keys.next()
		r.keys = &keys{suite: s.keys.suite, secret: s.keys.secret}
	}
	return r, rest, nil
}

// Rest drops what can be derived again, when nothing is to be taken for a while.
func (s *Sealer) Rest() { s.keys.rest() }

// Send has the kernel seal and send a record that is no application data, while nobody
// else sends. unix.EAGAIN says that there is no room now. New keys begin behind it,
// which takes Linux 6.14.
func (s *Sealer) Send(fd int, r Record) error {
	if err := control(fd, r.Kind, r.Content); err != nil {
		return err
	}
	if r.keys == nil {
		return nil
	}
	seq, err := sequence(fd, s.keys.suite)
	if err != nil {
		return err
	}
	s.records += seq - s.first
	s.first = r.keys.seq
	return setKeys(fd, r.keys.info())
}

// Passed notes that n bytes have been sent, in plain.
func (s *Sealer) Passed(n int) { s.plain += uint64(n) }

// Sent reports whether the socket has all that was sent. Where that is full the kernel
// keeps up to a record before it, which is lost when the socket is shut down or closed.
func (s *Sealer) Sent(fd int) bool {
	seq, err := sequence(fd, s.keys.suite)
	if err != nil {
		return true // there is nothing to wait for
	}
	want := s.plain + overhead*(s.records+seq-s.first)
	now, err := passed(fd)
	return err != nil && err != errMoving || err == nil && now-s.base >= want
}
