package wsock

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"testing"
	"unicode/utf8"
)

// Section 7.4: the codes of a Close, as Autobahn's 7.7 and 7.9 ask for them.
func TestCloseCodes(t *testing.T) {
	valid := func(c int) bool {
		return c >= 1000 && c <= 1003 || c >= 1007 && c <= 1014 || c >= 3000 && c <= 4999
	}
	for c := range 1 << 16 {
		code := CloseCode(c)
		if code.Valid() != valid(c) {
			t.Fatalf("%d: valid %t", c, code.Valid())
		}
		if c > 1020 && c%97 != 0 && c != 2999 && c != 3000 && c != 4999 && c != 5000 {
			continue
		}
		payload := string(binary.BigEndian.AppendUint16(nil, uint16(c)))
		o := decode(t, setup{}, closing(payload))
		switch {
		case valid(c) && (o.Err != nil || len(o.Events) != 1 || o.Events[0] != fmt.Sprintf("close %d \"\"", c)):
			t.Errorf("%d: %v", c, o)
		case !valid(c) && o.Err != errCloseCode:
			t.Errorf("%d: %v", c, o)
		}
	}
}

func TestCloseCodeNames(t *testing.T) {
	for code := CloseNormal; code <= CloseTLSHandshake; code++ {
		if named := code.String() != "unknown"; named != (code != 1004) {
			t.Errorf("%d is %q", code, code)
		}
	}
}

// Section 7.1: who sends what, and how it is told.
func TestClosing(t *testing.T) {
	lost := io.ErrUnexpectedEOF
	event := &Event{Op: Close, Code: 3001, Data: []byte("enough")}
	empty := &Event{Op: Close, Code: CloseNoStatus}
	own := func(c *Closing, dst []byte) []byte { return c.Close(dst, CloseGoingAway, "stop", Mask{}) }
	theirs := func(c *Closing, dst []byte) []byte { return c.Received(dst, event, Mask{}) }
	bare := func(c *Closing, dst []byte) []byte { return c.Received(dst, empty, Mask{}) }
	violation := func(c *Closing, dst []byte) []byte { return c.Fail(dst, errText, Mask{}) }
	wrapped := func(c *Closing, dst []byte) []byte { return c.Fail(dst, fmt.Errorf("read: %w", errText), Mask{}) }
	internal := func(c *Closing, dst []byte) []byte { return c.Fail(dst, lost, Mask{}) }
	end := func(c *Closing, dst []byte) []byte { c.Lost(lost); return dst }
	type step = func(*Closing, []byte) []byte
	for _, c := range []struct {
		section, name string
		steps         []step
		sent          string
		info          CloseInfo
	}{
		{"5.5.1", "peer closes", []step{theirs}, "\x88\x02\x0b\xb9",
			CloseInfo{Code: 3001, Reason: "enough", Clean: true, Remote: true}},
		{"5.5.1", "peer closes without a code", []step{bare}, "\x88\x00",
			CloseInfo{Code: CloseNoStatus, Clean: true, Remote: true}},
		{"5.5.1", "peer closes twice", []step{theirs, bare}, "\x88\x02\x0b\xb9",
			CloseInfo{Code: 3001, Reason: "enough", Clean: true, Remote: true}},
		{"7.1.2", "we close", []step{own, theirs}, "\x88\x06\x03\xe9stop",
			CloseInfo{Code: 3001, Reason: "enough", Clean: true}},
		{"7.1.2", "we close twice", []step{own, own, bare}, "\x88\x06\x03\xe9stop",
			CloseInfo{Code: CloseNoStatus, Clean: true}},
		{"7.1.2", "we close after the peer", []step{theirs, own}, "\x88\x02\x0b\xb9",
			CloseInfo{Code: 3001, Reason: "enough", Clean: true, Remote: true}},
		{"7.1.4", "end after the handshake", []step{theirs, end}, "\x88\x02\x0b\xb9",
			CloseInfo{Code: 3001, Reason: "enough", Clean: true, Remote: true}},
		{"7.1.5", "no answer to our close", []step{own, end}, "\x88\x06\x03\xe9stop",
			CloseInfo{Code: CloseAbnormal, Err: lost}},
		{"7.1.5", "end without a close", []step{end}, "",
			CloseInfo{Code: CloseAbnormal, Err: lost, Remote: true}},
		{"7.1.5", "we close after the end", []step{end, own}, "",
			CloseInfo{Code: CloseAbnormal, Err: lost, Remote: true}},
		{"7.1.7", "violation", []step{violation}, "\x88\x12\x03\xeftext is no UTF-8",
			CloseInfo{Code: CloseInvalidPayload, Err: errText, Remote: true}},
		{"7.1.7", "violation after our close", []step{own, violation}, "\x88\x06\x03\xe9stop",
			CloseInfo{Code: CloseInvalidPayload, Err: errText}},
		{"7.1.7", "violation after the handshake", []step{theirs, violation}, "\x88\x02\x0b\xb9",
			CloseInfo{Code: 3001, Reason: "enough", Clean: true, Remote: true}},
		{"7.1.7", "close after a violation", []step{violation, theirs, end}, "\x88\x12\x03\xeftext is no UTF-8",
			CloseInfo{Code: CloseInvalidPayload, Err: errText, Remote: true}},
		{"7.4.1", "our own failure", []step{internal}, "\x88\x02\x03\xf3",
			CloseInfo{Code: CloseInternalError, Err: lost}},
	} {
		t.Run(c.section+" "+c.name, func(t *testing.T) {
			var cl Closing
			if !cl.Open() || cl.Done() {
				t.Fatal("not open at first")
			}
			var sent []byte
			for i, s := range c.steps {
				sent = s(&cl, sent)
				if cl.Open() {
					t.Fatalf("open after step %d", i)
				}
			}
			if !cl.Done() || string(sent) != c.sent || cl.Info() != c.info {
				t.Errorf("done %t, sent %q, %+v, want %q, %+v", cl.Done(), sent, cl.Info(), c.sent, c.info)
			}
		})
	}

	var cl Closing
	wrapped(&cl, nil)
	if info := cl.Info(); info.Code != CloseInvalidPayload || !errors.Is(info.Err, errText) {
		t.Errorf("wrapped violation: %+v", info)
	}
	var waiting Closing
	waiting.Close(nil, CloseNormal, "", Mask{})
	if waiting.Open() || waiting.Done() {
		t.Error("after our close: open or done")
	}
}

// Section 5.5.1: a reason is UTF-8 and ends with the frame.
func TestAppendClose(t *testing.T) {
	for _, c := range []struct{ reason, want string }{
		{"", ""},
		{"bye", "bye"},
		{repeat('x', 123), repeat('x', 123)},
		{repeat('x', 200), repeat('x', 123)},
		{repeat('x', 121) + "€", repeat('x', 121)},
		{repeat('x', 120) + "€", repeat('x', 120) + "€"},
		{"a\xffb", "a\ufffdb"},
	} {
		got := AppendClose(nil, CloseNormal, c.reason, Mask{})
		if want := unmasked(fin|8, "\x03\xe8"+c.want); string(got) != want {
			t.Errorf("%q: %q, want %q", c.reason, got, want)
		}
		if !utf8.Valid(got[4:]) {
			t.Errorf("%q: no UTF-8", got)
		}
	}
	for _, code := range []CloseCode{0, 999, 1004, CloseAbnormal, CloseTLSHandshake, 2000, 5000} {
		expectPanic(t, fmt.Sprint(code), func() { AppendClose(nil, code, "", Mask{}) })
	}
}
