package client

import (
	"errors"
	"net/http"
	"strings"
)

var (
	errBearer = errors.New("client: bearer token is not of RFC 6750, section 2.1")
	errUser   = errors.New("client: user name with a colon or a control character")
	errSecret = errors.New("client: password with a control character")
)

// SetBearer sets the Authorization of r to a bearer token (RFC 6750, section 2.1). A
// token that is empty, or has characters that no token has, is an error and changes
// nothing; so a line break read from a file with it is found here, and the error does not
// tell the token.
func SetBearer(r *http.Request, token string) error {
	padding := len(token) - len(strings.TrimRight(token, "="))
	for _, c := range []byte(token[:len(token)-padding]) {
		if !isToken68(c) {
			return errBearer
		}
	}
	if padding == len(token) {
		return errBearer
	}
	setHeader(r, "Authorization", "Bearer "+token)
	return nil
}

// isToken68 reports whether c may stand in a token68 (RFC 9110, section 11.2).
func isToken68(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("-._~+/", c) >= 0
}

// SetBasic sets the Authorization of r to a user name and a password in UTF-8 (RFC 7617),
// like r.SetBasicAuth. A name with a colon, with which the server would find another name,
// and control characters are an error and change nothing (section 2).
func SetBasic(r *http.Request, user, password string) error {
	if strings.ContainsFunc(user, func(c rune) bool { return c == ':' || isControl(c) }) {
		return errUser
	}
	if strings.ContainsFunc(password, isControl) {
		return errSecret
	}
	setHeader(r, "Authorization", "")
	r.SetBasicAuth(user, password)
	return nil
}

func isControl(c rune) bool { return c < ' ' || c == 0x7f }

// setHeader sets a field of r, which may have been made without any.
func setHeader(r *http.Request, name, value string) {
	if r.Header == nil {
		r.Header = http.Header{}
	}
	r.Header.Set(name, value)
}
