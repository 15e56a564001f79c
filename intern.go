package ringkit

import "hash/maphash"

// interned makes strings of bytes without allocating for those it has seen lately:
// most requests of a server repeat the same few paths and header values. The
// strings are ordinary ones, valid for ever.
type interned struct {
	seed    maphash.Seed
	entries []string
}

const (
	internEntries = 256 // a power of two
	internLongest = 128 // bytes
)

func (t *interned) string(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if len(b) > internLongest {
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
	return *e
}
