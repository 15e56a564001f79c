package wsock

import "strings"

// tokenChars are the bytes of a token (RFC 9110, section 5.6.2).
const tokenChars = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

func isToken(s string) bool {
	return s != "" && tokenLen(s) == len(s)
}

// tokenLen returns the length of the token that s starts with, zero if none.
func tokenLen(s string) int {
	for i := range len(s) {
		if strings.IndexByte(tokenChars, s[i]) < 0 {
			return i
		}
	}
	return len(s)
}

func trimSpace(s string) string { return strings.Trim(s, " \t") }

// hasToken reports whether one of the elements of a comma-separated list is token,
// whatever the case of letters. The values are those of all lines of the field.
func hasToken(values []string, token string) bool {
	for _, v := range values {
		for element := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(trimSpace(element), token) {
				return true
			}
		}
	}
	return false
}

// tokenList returns the elements of a comma-separated list of different tokens, in
// order. It reports false if an element is no token, or comes twice.
func tokenList(values []string) (tokens []string, ok bool) {
	for _, v := range values {
		for element := range strings.SplitSeq(v, ",") {
			element = trimSpace(element)
			if element == "" {
				continue // RFC 9110, section 5.6.1.2
			}
			if !isToken(element) {
				return nil, false
			}
			for _, t := range tokens {
				if t == element {
					return nil, false
				}
			}
			tokens = append(tokens, element)
		}
	}
	return tokens, true
}

// single returns the value of a field that comes once.
func single(values []string) (string, bool) {
	if len(values) != 1 {
		return "", false
	}
	return trimSpace(values[0]), true
}
