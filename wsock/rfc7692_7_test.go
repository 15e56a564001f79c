package wsock

import (
	"strings"
	"testing"
)

// takeover is compression where both sides keep the context.
var takeover = Compression{Enabled: true}

const rsv1 = 0x40

// Section 7.2.3 and what surrounds it.
var inflateCases = []decodeCase{
	{section: "RFC 7692 7.2.3.1", name: "one block", setup: setup{agreed: stateless},
		input: frame(fin|rsv1|1, "\xf2\x48\xcd\xc9\xc9\x07\x00"), events: []string{`text "Hello"`}},
	{section: "RFC 7692 7.2.3.1", name: "fragmented", setup: setup{agreed: stateless},
		input: frame(rsv1|1, "\xf2\x48\xcd") + ping("p") + frame(fin, "\xc9\xc9\x07\x00"), events: []string{`ping "p"`, `text "Hello"`}},
	{section: "RFC 7692 7.2.3.1", name: "last fragment empty", setup: setup{agreed: stateless},
		input: frame(rsv1|1, "\xf2\x48\xcd\xc9\xc9\x07\x00") + frame(fin, ""), events: []string{`text "Hello"`}},
	{section: "RFC 7692 7.2.3.2", name: "shared window", setup: setup{agreed: takeover},
		input:  frame(fin|rsv1|1, "\xf2\x48\xcd\xc9\xc9\x07\x00") + frame(fin|rsv1|1, "\xf2\x00\x11\x00\x00"),
		events: []string{`text "Hello"`, `text "Hello"`}},
	{section: "RFC 7692 7.2.3.2", name: "window that was not agreed on", setup: setup{agreed: stateless},
		input:  frame(fin|rsv1|1, "\xf2\x48\xcd\xc9\xc9\x07\x00") + frame(fin|rsv1|1, "\xf2\x00\x11\x00\x00"),
		events: []string{`text "Hello"`}, err: errDeflate},
	{section: "RFC 7692 7.2.3.3", name: "not compressed by deflate", setup: setup{agreed: stateless},
		input: frame(fin|rsv1|1, "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"), events: []string{`text "Hello"`}},
	{section: "RFC 7692 7.2.3.4", name: "final block", setup: setup{agreed: stateless},
		input: frame(fin|rsv1|1, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), events: []string{`text "Hello"`}},
	{section: "RFC 7692 7.2.3.4", name: "final block, and more that refers to it", setup: setup{agreed: stateless},
		input: frame(fin|rsv1|1, "\xf3\x48\xcd\xc9\xc9\x07\x00"+"\xf2\x00\x11\x00\x00"), events: []string{`text "HelloHello"`}},
	{section: "RFC 7692 7.2.3.4", name: "final block, and more that refers to an earlier message", setup: setup{agreed: takeover},
		input:  frame(fin|rsv1|1, "\xf2\x48\xcd\xc9\xc9\x07\x00") + frame(fin|rsv1|1, "\xf3\x00\x11\x00"+"\xf2\x00\x11\x00\x00"),
		events: []string{`text "Hello"`, `text "HelloHello"`}},
	{section: "RFC 7692 7.2.3.5", name: "two blocks", setup: setup{agreed: stateless},
		input: frame(fin|rsv1|1, "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"), events: []string{`text "Hello"`}},
	{section: "RFC 7692 7.2.3.6", name: "empty", setup: setup{agreed: stateless},
		input: frame(fin|rsv1|1, "\x00"), events: []string{`text ""`}},
	{section: "RFC 7692 7.2.3.6", name: "empty without its byte", setup: setup{agreed: takeover},
		input: frame(fin|rsv1|2, ""), events: []string{`binary ""`}},
	{section: "RFC 7692 6", name: "message that is not compressed", setup: setup{agreed: takeover},
		input:  frame(fin|rsv1|1, "\xf2\x48\xcd\xc9\xc9\x07\x00") + text("between") + frame(fin|rsv1|1, "\xf2\x00\x11\x00\x00"),
		events: []string{`text "Hello"`, `text "between"`, `text "Hello"`}},
	{section: "RFC 7692 6", name: "fragments that are not compressed", setup: setup{agreed: takeover},
		input: frame(1, "ab") + frame(fin, "cd"), events: []string{`text "abcd"`}},
	{section: "RFC 7692 6.1", name: "bit on a continuation", setup: setup{agreed: stateless},
		input: frame(rsv1|1, "\xf2\x48\xcd") + frame(fin|rsv1, "\xc9\xc9\x07\x00"), err: errCompressedCont},
	{section: "RFC 7692 6.1", name: "bit on a ping", setup: setup{agreed: stateless},
		input: frame(fin|rsv1|9, ""), err: errCompressedCont},
	{section: "RFC 7692 7.2.2", name: "invalid block type", setup: setup{agreed: stateless}, input: frame(fin|rsv1|1, "\xff\xff"), err: errDeflate},
	{section: "RFC 7692 7.2.2", name: "invalid stored length", setup: setup{agreed: stateless}, input: frame(fin|rsv1|1, "\x00\x05\x00\xfa\xfeHello\x00"), err: errDeflate},
	{section: "RFC 7692 7.2.2", name: "cut off", setup: setup{agreed: stateless}, input: frame(fin|rsv1|1, "\xf2\x48\xcd\xc9"), err: errDeflate},
	{section: "RFC 7692 7.2.2", name: "garbage behind a final block", setup: setup{agreed: stateless},
		input: frame(fin|rsv1|1, "\xf3\x48\xcd\xc9\xc9\x07\x00garbage"), err: errDeflate},
	{section: "RFC 6455 8.1", name: "no UTF-8 after inflation", setup: setup{agreed: stateless},
		input: frame(fin|rsv1|1, "\x00\x01\x00\xfe\xff\xff\x00"), err: errText},
	{section: "RFC 6455 8.1", name: "binary after inflation", setup: setup{agreed: stateless},
		input: frame(fin|rsv1|2, "\x00\x01\x00\xfe\xff\xff\x00"), events: []string{`binary "\xff"`}},
	{section: "RFC 6455 10.4", name: "at the limit after inflation", setup: setup{agreed: stateless, limit: 5},
		input: frame(fin|rsv1|1, "\xf2\x48\xcd\xc9\xc9\x07\x00"), events: []string{`text "Hello"`}},
	{section: "RFC 6455 10.4", name: "above the limit after inflation", setup: setup{agreed: stateless, limit: 4},
		input: frame(fin|rsv1|1, "\xf2\x48\xcd\xc9\xc9\x07\x00"), err: errTooBig},
	{section: "RFC 6455 10.4", name: "many final blocks", setup: setup{agreed: stateless},
		input: frame(fin|rsv1|2, strings.Repeat("\x03\x00", maxFinalBlocks-1)+"\x00"), events: []string{`binary ""`}},
	{section: "RFC 6455 10.4", name: "too many final blocks", setup: setup{agreed: stateless},
		input: frame(fin|rsv1|2, strings.Repeat("\x03\x00", maxFinalBlocks)+"\x00"), err: errDeflate},
}

func TestInflate(t *testing.T) { runCases(t, inflateCases) }
