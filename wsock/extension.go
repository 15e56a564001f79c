package wsock

import "strings"

// extension is one element of Sec-WebSocket-Extensions (RFC 6455, section 9.1).
type extension struct {
	Name   string
	Params []param
}

// param is a parameter of an extension.
type param struct {
	Name     string
	Value    string
	HasValue bool
}

// Limits of what is parsed of Sec-WebSocket-Extensions. Browsers offer one
// extension with one parameter.
const (
	maxExtensions      = 16
	maxExtensionParams = 16
)

// parseExtensions parses the values of Sec-WebSocket-Extensions. Each of them is a
// list; the values of all lines of the field make up one. Values that are quoted have
// their quotes and backslashes removed, and have to be tokens then. It reports false
// if a value does not follow the grammar, or if there are more than 16 extensions or
// more than 16 parameters of one.
func parseExtensions(values []string) (extensions []extension, ok bool) {
	for _, v := range values {
		for {
			v = strings.TrimLeft(v, " \t,")
			if v == "" {
				break
			}
			var e extension
			if e, v, ok = parseExtension(v); !ok || len(extensions) == maxExtensions {
				return nil, false
			}
			extensions = append(extensions, e)
		}
	}
	return extensions, true
}

// parseExtension parses the extension that s starts with; rest is empty or starts
// with a comma.
func parseExtension(s string) (e extension, rest string, ok bool) {
	e.Name, s = cutToken(s)
	if e.Name == "" {
		return e, "", false
	}
	for s != "" && s[0] == ';' {
		var p param
		p.Name, s = cutToken(trimLeft(s[1:]))
		if p.Name == "" || len(e.Params) == maxExtensionParams {
			return e, "", false
		}
		if s != "" && s[0] == '=' {
			p.HasValue = true
			s = trimLeft(s[1:])
			if s != "" && s[0] == '"' {
				p.Value, s, ok = cutQuoted(s)
			} else {
				p.Value, s = cutToken(s)
				ok = true
			}
			if !ok || !isToken(p.Value) {
				return e, "", false
			}
		}
		e.Params = append(e.Params, p)
	}
	return e, s, s == "" || s[0] == ','
}

func trimLeft(s string) string { return strings.TrimLeft(s, " \t") }

// cutToken cuts the token, which can be empty, and the whitespace after it off s.
func cutToken(s string) (token, rest string) {
	n := tokenLen(s)
	return s[:n], trimLeft(s[n:])
}

// cutQuoted cuts a quoted-string (RFC 9110, section 5.6.4) and the whitespace after
// it off s, which starts with a quote.
func cutQuoted(s string) (value, rest string, ok bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), trimLeft(s[i+1:]), true
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}
