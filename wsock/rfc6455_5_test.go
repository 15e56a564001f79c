package wsock

import "testing"

// Section 5.2: the header of a frame.
var headerCases = []decodeCase{
	{section: "5.2", name: "empty text", input: text(""), events: []string{`text ""`}},
	{section: "5.2", name: "empty binary", input: bin(""), events: []string{`binary ""`}},
	{section: "5.2", name: "RSV1", input: frame(fin|0x41, "a"), err: errReservedBits},
	{section: "5.2", name: "RSV2", input: frame(fin|0x21, "a"), err: errReservedBits},
	{section: "5.2", name: "RSV3", input: frame(fin|0x11, "a"), err: errReservedBits},
	{section: "5.2", name: "RSV2 with compression", setup: setup{agreed: stateless},
		input: frame(fin|0x21, "a"), err: errReservedBits},
	{section: "5.2", name: "RSV of a ping", input: text("a") + frame(fin|0x79, ""), events: []string{`text "a"`}, err: errReservedBits},
	{section: "5.2", name: "opcode 3", input: frame(fin|3, ""), err: errReservedOpcode},
	{section: "5.2", name: "opcode 4", input: frame(fin|4, ""), err: errReservedOpcode},
	{section: "5.2", name: "opcode 5", input: frame(fin|5, ""), err: errReservedOpcode},
	{section: "5.2", name: "opcode 6", input: frame(fin|6, ""), err: errReservedOpcode},
	{section: "5.2", name: "opcode 7", input: frame(fin|7, ""), err: errReservedOpcode},
	{section: "5.2", name: "opcode 11", input: frame(fin|11, ""), err: errReservedOpcode},
	{section: "5.2", name: "opcode 12", input: frame(fin|12, ""), err: errReservedOpcode},
	{section: "5.2", name: "opcode 13", input: frame(fin|13, ""), err: errReservedOpcode},
	{section: "5.2", name: "opcode 14", input: frame(fin|14, ""), err: errReservedOpcode},
	{section: "5.2", name: "opcode 15", input: frame(fin|15, ""), err: errReservedOpcode},
	{section: "5.2", name: "opcode 3, the rest missing", input: "\x83", err: errReservedOpcode},

	{section: "5.2", name: "length 125", input: text(repeat('*', 125)), events: []string{`text "` + repeat('*', 125) + `"`}},
	{section: "5.2", name: "length 126", input: text(repeat('*', 126)), events: []string{`text "` + repeat('*', 126) + `"`}},
	{section: "5.2", name: "length 127", input: text(repeat('*', 127)), events: []string{`text "` + repeat('*', 127) + `"`}},
	{section: "5.2", name: "length 128", input: text(repeat('*', 128)), events: []string{`text "` + repeat('*', 128) + `"`}},
	{section: "5.2", name: "125 in 16 bits", input: "\x81\xfe\x00\x7d\x00\x00\x00\x00", err: errNotMinimal},
	{section: "5.2", name: "0 in 16 bits", input: "\x81\xfe\x00\x00\x00\x00\x00\x00", err: errNotMinimal},
	{section: "5.2", name: "65535 in 64 bits", input: "\x81\xff\x00\x00\x00\x00\x00\x00\xff\xff\x00\x00\x00\x00", err: errNotMinimal},
	{section: "5.2", name: "highest bit", input: "\x81\xff\x80\x00\x00\x00\x00\x00\xff\xff\x00\x00\x00\x00", err: errLength},
	{section: "5.2", name: "2^63-1", input: "\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", err: errTooBig},
	{section: "5.2", name: "text unmasked in 64 bits", setup: setup{client: true},
		input: "\x81\x7f\x00\x00\x00\x00\x00\x00\x00\x05", err: errNotMinimal},
}

// Section 5.1: who masks. Section 5.3: how.
var maskCases = []decodeCase{
	{section: "5.1", name: "client does not mask", input: unmasked(fin|1, "a"), err: errNotMasked},
	{section: "5.1", name: "client does not mask a ping", input: unmasked(fin|9, ""), err: errNotMasked},
	{section: "5.1", name: "server masks", setup: setup{client: true}, input: text("a"), err: errMasked},
	{section: "5.1", name: "server masks a close", setup: setup{client: true}, input: closing(""), err: errMasked},
	{section: "5.3", name: "key of zero", input: "\x81\x83\x00\x00\x00\x00abc", events: []string{`text "abc"`}},
	{section: "5.7", name: "unmasked text", setup: setup{client: true}, input: "\x81\x05Hello", events: []string{`text "Hello"`}},
	{section: "5.7", name: "masked text", input: "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", events: []string{`text "Hello"`}},
	{section: "5.7", name: "unmasked fragments", setup: setup{client: true},
		input: "\x01\x03Hel\x80\x02lo", events: []string{`text "Hello"`}},
	{section: "5.7", name: "unmasked ping", setup: setup{client: true}, input: "\x89\x05Hello", events: []string{`ping "Hello"`}},
	{section: "5.7", name: "masked pong", input: "\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", events: []string{`pong "Hello"`}},
	{section: "5.7", name: "256 bytes", setup: setup{client: true},
		input: "\x82\x7e\x01\x00" + repeat('x', 256), events: []string{`binary "` + repeat('x', 256) + `"`}},
	{section: "5.7", name: "64 KiB", setup: setup{client: true},
		input: "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + repeat('x', 65536), events: []string{`binary "` + repeat('x', 65536) + `"`}},
}

// Section 5.4: fragmentation.
var fragmentCases = []decodeCase{
	{section: "5.4", name: "two", input: frame(1, "ab") + frame(fin, "cd"), events: []string{`text "abcd"`}},
	{section: "5.4", name: "first empty", input: frame(1, "") + frame(fin, "cd"), events: []string{`text "cd"`}},
	{section: "5.4", name: "last empty", input: frame(2, "ab") + frame(fin, ""), events: []string{`binary "ab"`}},
	{section: "5.4", name: "all empty", input: frame(1, "") + frame(0, "") + frame(fin, ""), events: []string{`text ""`}},
	{section: "5.4", name: "middle filled", input: frame(1, "") + frame(0, "x") + frame(fin, ""), events: []string{`text "x"`}},
	{section: "5.4", name: "ping between", input: frame(1, "ab") + ping("p") + frame(fin, "cd"), events: []string{`ping "p"`, `text "abcd"`}},
	{section: "5.4", name: "pings between", input: frame(1, "ab") + ping("p") + ping("") + frame(0, "") + pong("q") + frame(fin, "cd") + text("e"),
		events: []string{`ping "p"`, `ping ""`, `pong "q"`, `text "abcd"`, `text "e"`}},
	{section: "5.4", name: "close between", input: frame(1, "ab") + closing("\x03\xe8") + frame(fin, "cd"), events: []string{`close 1000 ""`}},
	{section: "5.4", name: "nothing to continue", input: frame(fin, "a"), err: errNoMessage},
	{section: "5.4", name: "nothing to continue, not the last", input: frame(0, "a"), err: errNoMessage},
	{section: "5.4", name: "continued after the end", input: text("a") + frame(fin, "b"), events: []string{`text "a"`}, err: errNoMessage},
	{section: "5.4", name: "text inside text", input: frame(1, "a") + text("b"), err: errInMessage},
	{section: "5.4", name: "binary inside text", input: frame(1, "a") + bin("b"), err: errInMessage},
	{section: "5.4", name: "fragmented binary inside text", input: frame(1, "a") + frame(2, "b"), err: errInMessage},
}

// Section 5.5: control frames.
var controlCases = []decodeCase{
	{section: "5.5", name: "ping", input: ping(""), events: []string{`ping ""`}},
	{section: "5.5", name: "ping of 125", input: ping(repeat('p', 125)), events: []string{`ping "` + repeat('p', 125) + `"`}},
	{section: "5.5", name: "ping of bytes", input: ping("\x00\xff\xfe"), events: []string{`ping "\x00\xff\xfe"`}},
	{section: "5.5", name: "ping of 126", input: ping(repeat('p', 126)), err: errLongControl},
	{section: "5.5", name: "close of 126", input: closing("\x03\xe8" + repeat('p', 124)), err: errLongControl},
	{section: "5.5", name: "ping of 64 bits", input: "\x89\xff", err: errLongControl},
	{section: "5.5", name: "fragmented ping", input: frame(9, "a") + frame(fin, "b"), err: errFragmentedCtl},
	{section: "5.5", name: "fragmented pong", input: frame(10, ""), err: errFragmentedCtl},
	{section: "5.5", name: "fragmented close", input: frame(8, ""), err: errFragmentedCtl},
	{section: "5.5.3", name: "unasked pong", input: pong("x") + ping("y"), events: []string{`pong "x"`, `ping "y"`}},
	{section: "5.5.1", name: "close", input: closing(""), events: []string{`close 1005 ""`}},
	{section: "5.5.1", name: "close with a code", input: closing("\x03\xe9"), events: []string{`close 1001 ""`}},
	{section: "5.5.1", name: "close with a reason", input: closing("\x03\xe8bye, ¿no?"), events: []string{`close 1000 "bye, ¿no?"`}},
	{section: "5.5.1", name: "longest close", input: closing("\x03\xe8" + repeat('*', 123)), events: []string{`close 1000 "` + repeat('*', 123) + `"`}},
	{section: "5.5.1", name: "half a code", input: closing("\x03"), err: errCloseLength},
	{section: "5.5.1", name: "reason is no UTF-8", input: closing("\x03\xe8\xce\xba\xed\xa0\x80"), err: errCloseReason},
	{section: "5.5.1", name: "reason ends in a character", input: closing("\x03\xe8\xce"), err: errCloseReason},
	{section: "1.4", name: "frames after close", input: closing("\x03\xe8") + text("a") + ping("b") + frame(fin|3, ""), events: []string{`close 1000 ""`}},
}

func TestHeaders(t *testing.T)       { runCases(t, headerCases) }
func TestMasks(t *testing.T)         { runCases(t, maskCases) }
func TestFragments(t *testing.T)     { runCases(t, fragmentCases) }
func TestControlFrames(t *testing.T) { runCases(t, controlCases) }
