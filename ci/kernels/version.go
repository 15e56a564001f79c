package main

import (
	"cmp"
	"strings"
)

// compareVersions orders version strings of Debian packages (deb-version(7)).
func compareVersions(a, b string) int {
	epochA, a := cutEpoch(a)
	epochB, b := cutEpoch(b)
	upstreamA, revisionA := cutRevision(a)
	upstreamB, revisionB := cutRevision(b)
	return cmp.Or(
		comparePart(epochA, epochB),
		comparePart(upstreamA, upstreamB),
		comparePart(revisionA, revisionB),
	)
}

func cutEpoch(v string) (epoch, rest string) {
	if epoch, rest, ok := strings.Cut(v, ":"); ok {
		return epoch, rest
	}
	return "0", v
}

func cutRevision(v string) (upstream, revision string) {
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		return v[:i], v[i+1:]
	}
	return v, "0"
}

// comparePart compares digits as numbers and what is between them as text.
func comparePart(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a = cutText(a)
		y, b = cutText(b)
		if c := compareText(x, y); c != 0 {
			return c
		}
		x, a = cutDigits(a)
		y, b = cutDigits(b)
		if c := cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y)); c != 0 {
			return c
		}
	}
	return 0
}

// compareText compares without digits: a tilde comes before everything, also
// before the end, then the end, then letters, then the rest.
func compareText(a, b string) int {
	for i := 0; i < len(a) || i < len(b); i++ {
		if c := cmp.Compare(weight(a, i), weight(b, i)); c != 0 {
			return c
		}
	}
	return 0
}

func weight(s string, i int) int {
	switch {
	case i >= len(s):
		return 0
	case s[i] == '~':
		return -1
	case 'a' <= s[i]|0x20 && s[i]|0x20 <= 'z':
		return int(s[i])
	}
	return int(s[i]) + 256
}

func isDigit(r rune) bool { return '0' <= r && r <= '9' }

func cutText(s string) (text, rest string) {
	i := strings.IndexFunc(s, isDigit)
	if i < 0 {
		return s, ""
	}
	return s[:i], s[i:]
}

// cutDigits returns the number at the beginning, without leading zeros.
func cutDigits(s string) (digits, rest string) {
	rest = strings.TrimLeftFunc(s, isDigit)
	return strings.TrimLeft(s[:len(s)-len(rest)], "0"), rest
}
