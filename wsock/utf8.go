package wsock

import "unicode/utf8"

// utf8State is where in a character a text stops that has arrived in part (RFC
// 3629, section 4). The zero value is between two characters.
type utf8State uint8

const (
	utf8Start   utf8State = iota
	utf8Tail1             // one more byte, 80..BF
	utf8Tail2             // two more
	utf8Tail3             // three more
	utf8AfterE0           // two more, A0..BF first: nothing overlong
	utf8AfterED           // two more, 80..9F first: no surrogates
	utf8AfterF0           // three more, 90..BF first: nothing overlong
	utf8AfterF4           // three more, 80..8F first: nothing above U+10FFFF
	utf8Bad
)

// step returns the state after the byte c.
func (s utf8State) step(c byte) utf8State {
	low, high, next := byte(0x80), byte(0xBF), utf8Start
	switch s {
	case utf8Start:
		switch {
		case c < 0x80:
			return utf8Start
		case c < 0xC2:
			return utf8Bad
		case c < 0xE0:
			return utf8Tail1
		case c == 0xE0:
			return utf8AfterE0
		case c == 0xED:
			return utf8AfterED
		case c < 0xF0:
			return utf8Tail2
		case c == 0xF0:
			return utf8AfterF0
		case c < 0xF4:
			return utf8Tail3
		case c == 0xF4:
			return utf8AfterF4
		}
		return utf8Bad
	case utf8Tail1:
		next = utf8Start
	case utf8Tail2:
		next = utf8Tail1
	case utf8Tail3:
		next = utf8Tail2
	case utf8AfterE0:
		low, next = 0xA0, utf8Tail1
	case utf8AfterED:
		high, next = 0x9F, utf8Tail1
	case utf8AfterF0:
		low, next = 0x90, utf8Tail2
	case utf8AfterF4:
		high, next = 0x8F, utf8Tail2
	default:
		return utf8Bad
	}
	if c < low || c > high {
		return utf8Bad
	}
	return next
}

// check returns the state after p, which is utf8Bad as soon as no continuation can
// make the text valid: at the first byte that is wrong, not at the end of its
// character.
func (s utf8State) check(p []byte) utf8State {
	for s != utf8Start {
		if len(p) == 0 || s == utf8Bad {
			return s
		}
		s = s.step(p[0])
		p = p[1:]
	}
	end := len(p)
	for i := 1; i < utf8.UTFMax && i <= len(p); i++ {
		if c := p[len(p)-i]; c >= 0xC0 {
			end = len(p) - i // a character that p might not have all of
			break
		} else if c < 0x80 {
			break
		}
	}
	if !utf8.Valid(p[:end]) {
		return utf8Bad
	}
	for _, c := range p[end:] {
		s = s.step(c)
	}
	return s
}
