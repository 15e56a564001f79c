package ringkit

import (
	"hash/maphash"
	"unsafe"
)

// interned makes strings of bytes without allocating for those it has seen lately:
// most requests of a server repeat the same few paths and header values. The
// strings are ordinary ones, valid for ever.
type interned struct {
	seed    maphash.Seed
	entries []string
	last    string // what was asked for last, likely to be asked for next
}

const (
	internEntries = 256 // a power of two
	internLongest = 128 // bytes
)

func (t *interned) string(b []byte) string {
	switch {
	case string(b) == t.last:
		return t.last
	case len(b) > internLongest:
		return string(b)
	}
	if t.entries == nil {
		t.seed = maphash.MakeSeed()
		t.entries = make([]string, internEntries)
	}
	e := &t.entries[maphash.Bytes(t.seed, b)%internEntries]
	if *e != string(b) {
		*e = string(b)
	}
	t.last = *e
	return t.last
}

// fieldLines remembers the field lines made of the pairs of strings that handlers
// set, so that a literal is checked and encoded once. A pair is recognised by the
// identity of its strings, not their content; holding on to them makes that safe.
type fieldLines [lineEntries]fieldLine

type fieldLine struct {
	name, value string
	line        []byte // nil when it is not known yet
	has         field
}

const (
	lineEntries = 16  // a power of two
	lineLongest = 256 // bytes of name and value
)

// find returns the entry of a pair, emptied if it was another's.
func (t *fieldLines) find(name, value string) *fieldLine {
	n, v := unsafe.StringData(name), unsafe.StringData(value)
	hash := (uintptr(unsafe.Pointer(n)) + uintptr(unsafe.Pointer(v))*31) * 0x9E3779B97F4A7C15 >> 60
	e := &t[hash%lineEntries]
	if unsafe.StringData(e.name) != n || unsafe.StringData(e.value) != v ||
		len(e.name) != len(name) || len(e.value) != len(value) {
		*e = fieldLine{name: name, value: value}
	}
	return e
}
