package http1

import (
	"fmt"
	"testing"
)

func TestStrings(t *testing.T) {
	for _, c := range []struct {
		value fmt.Stringer
		want  string
	}{
		{GET, "GET"}, {PATCH, "PATCH"}, {Other, "other"}, {PATCH + 1, "other"},
		{OriginForm, "origin-form"}, {AsteriskForm, "asterisk-form"}, {AsteriskForm + 1, "invalid form"},
		{NoBody, "no body"}, {UntilClose, "until close"}, {UntilClose + 1, "invalid framing"},
	} {
		if got := c.value.String(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
