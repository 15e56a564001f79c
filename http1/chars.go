package http1

import (
	"encoding/binary"
	"math/bits"
)

// Classes of bytes; a byte can be in several.
const (
	tokenChar  uint8 = 1 << iota // tchar: RFC 9110, section 5.6.2
	hostChar                     // of a reg-name: RFC 3986, section 3.2.2
	targetChar                   // of a request-target, needing no further look
	hexChar                      // HEXDIG: RFC 5234, appendix B.1
)

var class = classify()

func classify() (t [256]uint8) {
	set := func(chars string, c uint8) {
		for i := range len(chars) {
			t[chars[i]] |= c
		}
	}
	const alnum = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

	set(alnum+"!#$%&'*+-.^_`|~", tokenChar)

	// The grammar has a comma among the sub-delims. No host name has one, and
	// it is what joins the values of a repeated field into one.
	set(alnum+"-._~"+"!$&'()*+;=", hostChar)

	set("0123456789abcdefABCDEF", hexChar)

	// More than RFC 3986 allows: browsers and tools send quotes, brackets and
	// braces unencoded. '%', '?' and the backslash are looked at one by one; '#'
	// starts a fragment, which is never sent (RFC 9112, section 3.2).
	for c := '!'; c <= '~'; c++ {
		if c != '%' && c != '?' && c != '\\' && c != '#' {
			t[c] |= targetChar
		}
	}
	return t
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// isText reports whether c may stand in a field value or a quoted-string:
// everything but control characters, of which HTAB is allowed.
func isText(c byte) bool { return c >= ' ' && c != 0x7f || c == '\t' }

// scanText returns the position of the first byte of b, from i on, that is not
// isText, or len(b).
func scanText(b []byte, i int) int {
	const (
		low  = 0x0101010101010101
		high = 0x8080808080808080
	)
	for len(b)-i >= 8 {
		// Eight bytes at a time: the first expression has the high bit of each
		// byte below 0x20, the second that of each DEL. A borrow can only set
		// bits above a true one, so the lowest set bit is always true.
		x := binary.LittleEndian.Uint64(b[i:])
		y := x ^ 0x7f*low
		m := ((x-0x20*low)&^x | (y-low)&^y) & high
		if m == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(m) >> 3
		if uint(i) >= uint(len(b)) || b[i] != '\t' {
			return i
		}
		i++
	}
	for i < len(b) && isText(b[i]) {
		i++
	}
	return i
}

// trimSpace returns b without the optional whitespace (RFC 9110, section 5.6.3)
// at both ends.
func trimSpace(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c |= 0x20
	}
	return c
}

// equalFold reports whether a and b are equal but for the case of ASCII letters.
func equalFold[B ~string | ~[]byte](a []byte, b B) bool {
	if len(a) != len(b) {
		return false
	}
	for i, c := range a {
		if c != b[i] && lower(c) != lower(b[i]) {
			return false
		}
	}
	return true
}

// ValidToken reports whether s is a token (RFC 9110, section 5.6.2), such as a
// method or the name of a field.
func ValidToken[T ~string | ~[]byte](s T) bool {
	for i := range len(s) {
		if class[s[i]]&tokenChar == 0 {
			return false
		}
	}
	return len(s) > 0
}

// ValidFieldName reports whether s may be the name of a field: a token (RFC
// 9110, section 5.1).
func ValidFieldName[T ~string | ~[]byte](s T) bool { return ValidToken(s) }

// ValidFieldValue reports whether s may be written as the value of a field:
// it has no control characters except HTAB (RFC 9110, section 5.5). Whitespace
// at either end is accepted, though a recipient will not see it.
func ValidFieldValue[T ~string | ~[]byte](s T) bool {
	for i := range len(s) {
		if !isText(s[i]) {
			return false
		}
	}
	return true
}
