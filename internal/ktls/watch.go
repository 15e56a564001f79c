package ktls

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
)

// KeyLog is the KeyLogWriter of a tls.Config, by which the traffic secrets of its
// connections get to their watches. It is safe for use by several goroutines.
type KeyLog struct {
	to io.Writer // the user's, nil for none

	mu      sync.Mutex
	watches map[[random]byte]*Watch
}

// random is how many bytes of its first message tell a client from others.
const random = 32

// NewKeyLog returns one that passes everything on to another writer, if that is not nil.
func NewKeyLog(to io.Writer) *KeyLog {
	return &KeyLog{to: to, watches: map[[random]byte]*Watch{}}
}

// Labels of the format that NSS has for key logs.
var (
	labelHandshake = []byte("SERVER_HANDSHAKE_TRAFFIC_SECRET")
	labelTraffic   = []byte("SERVER_TRAFFIC_SECRET_0")
)

// Write implements io.Writer. crypto/tls writes a line at a time, on the goroutine of
// the handshake that it is about.
func (l *KeyLog) Write(line []byte) (int, error) {
	if f := bytes.Fields(line); len(f) == 3 && (bytes.Equal(f[0], labelHandshake) || bytes.Equal(f[0], labelTraffic)) {
		l.tell(f[0], f[1], f[2])
	}
	if l.to == nil {
		return len(line), nil
	}
	return l.to.Write(line)
}

func (l *KeyLog) tell(label, client, secret []byte) {
	var r [random]byte
	if len(client) != 2*len(r) {
		return
	}
	if _, err := hex.Decode(r[:], client); err != nil {
		return
	}
	l.mu.Lock()
	w := l.watches[r]
	l.mu.Unlock()
	s := make([]byte, hex.DecodedLen(len(secret)))
	if _, err := hex.Decode(s, secret); err != nil || w == nil {
		return
	}
	if bytes.Equal(label, labelHandshake) {
		w.handshakeSecret = s
	} else {
		w.trafficSecret = s
	}
}

// Watch begins to watch the handshake of a client whose first record is given. It
// returns nil where that is not a whole ClientHello, or another client, who has seen it,
// says the same at this moment.
func (l *KeyLog) Watch(hello []byte) *Watch {
	const at = header + 4 + 2
	if len(hello) < at+random || hello[0] != typeHandshake || hello[header] != 1 {
		return nil
	}
	w := &Watch{log: l, random: [random]byte(hello[at:])}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.watches[w.random] != nil {
		return nil
	}
	l.watches[w.random] = w
	return w
}

// Watch follows a server's side of a handshake. Every record that was written has to be
// opened with one of the keys derived: that proves the derivation right, and how many
// of them are records of application traffic, as session tickets are. Its methods are
// called by the goroutine of the handshake.
type Watch struct {
	log    *KeyLog
	random [random]byte

	handshakeSecret, trafficSecret []byte

	suite      *suite
	handshake  *keys
	traffic    *keys
	err        error // why this connection stays with crypto/tls
	encryption bool  // has begun
}

var (
	errCut      = errors.New("crypto/tls wrote a part of a record")
	errInPlain  = errors.New("crypto/tls wrote an unexpected record without encryption")
	errNoSecret = errors.New("crypto/tls did not log a secret in time")
	errSuite    = errors.New("the cipher suite is not one for kernel TLS")
	errVersion  = errors.New("only TLS 1.3 is for kernel TLS")
)

// Wrote is told what has been written.
func (w *Watch) Wrote(p []byte) {
	for len(p) > 0 && w.err == nil {
		record, rest, ok := splitRecord(p)
		if !ok {
			w.err = errCut
			return
		}
		w.err = w.wrote(record)
		p = rest
	}
}

func (w *Watch) wrote(record []byte) error {
	switch record[0] {
	case typeChangeCipherSpec: // stands for nothing (RFC 8446 appendix D.4)
		return nil
	case typeData:
		w.encryption = true
		return w.account(record)
	case typeHandshake:
		if !w.encryption && record[header] == messageServerHello {
			return w.hello(record[header:])
		}
	}
	return errInPlain
}

// hello reads the cipher suite in a ServerHello or HelloRetryRequest (RFC 8446 section 4.1.3).
func (w *Watch) hello(m []byte) error {
	const at = 4 + 2 + random
	if len(m) <= at || len(m) < at+1+int(m[at])+2 {
		return errInPlain
	}
	m = m[at+1+int(m[at]):]
	if w.suite = suiteOf(uint16(m[0])<<8 | uint16(m[1])); w.suite == nil {
		return errSuite
	}
	return nil
}

// account finds out with which keys a record was sealed.
func (w *Watch) account(record []byte) (err error) {
	if w.suite == nil {
		return errVersion
	}
	if w.handshake == nil {
		if w.handshakeSecret == nil {
			return errNoSecret
		}
		if w.handshake, err = newKeys(w.suite, w.handshakeSecret); err != nil {
			return err
		}
	}
	if w.traffic == nil {
		if _, _, err := w.handshake.open(record); err == nil {
			return nil
		}
		if w.trafficSecret == nil {
			return errNoSecret
		}
		if w.traffic, err = newKeys(w.suite, w.trafficSecret); err != nil {
			return err
		}
	}
	_, _, err = w.traffic.open(record)
	return err
}

// End ends the watch. A handshake that succeeded leaves what is needed to go on, or why
// the connection has to stay with crypto/tls.
func (w *Watch) End(state tls.ConnectionState) (*Sealer, error) {
	w.Forget()
	switch {
	case w.err != nil:
		return nil, w.err
	case state.Version != tls.VersionTLS13 || w.suite == nil:
		return nil, errVersion
	case w.trafficSecret == nil || w.handshake == nil || w.handshake.seq == 0:
		return nil, errNoSecret
	case state.CipherSuite != w.suite.id:
		return nil, fmt.Errorf("%w: %s", errSuite, tls.CipherSuiteName(state.CipherSuite))
	}
	if w.traffic == nil {
		var err error
		if w.traffic, err = newKeys(w.suite, w.trafficSecret); err != nil {
			return nil, err
		}
	}
	w.traffic.rest()
	return &Sealer{keys: w.traffic}, nil
}

// Forget ends the watch of a handshake that failed.
func (w *Watch) Forget() {
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	delete(w.log.watches, w.random)
}
