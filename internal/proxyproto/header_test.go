package proxyproto

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"net/netip"
	"strings"
	"testing"
)

func tcp(source, destination string) Header {
	return Header{Family: TCP, Source: netip.MustParseAddrPort(source), Destination: netip.MustParseAddrPort(destination)}
}

// v2 makes a header of version 2.
func v2(command, family byte, block ...string) string {
	body := strings.Join(block, "")
	b := append([]byte(signature2), command, family)
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
	return string(b) + body
}

func tlv(kind byte, value string) string {
	return string(binary.BigEndian.AppendUint16([]byte{kind}, uint16(len(value)))) + value
}

// checksummed fills in the checksum, the last four bytes.
func checksummed(header string) string {
	b := []byte(header)
	binary.BigEndian.PutUint32(b[len(b)-4:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return string(b)
}

func padded(path string) string { return path + strings.Repeat("\x00", pathLen-len(path)) }

const (
	block4 = "\x01\x02\x03\x04\x05\x06\x07\x08\x04\xd2\x00\x50"
	block6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x04\xd2\x01\xbb"
)

var crcBlock = tlv(0x01, "h2") + tlv(typeCRC, "\x00\x00\x00\x00")

var (
	told4 = tcp("1.2.3.4:1234", "5.6.7.8:80")
	told6 = tcp("[2001:db8::1]:1234", "[2001:db8::2]:443")
)

var accepted = []struct {
	name, in string
	want     Header
}{
	{"TCP4", "PROXY TCP4 1.2.3.4 5.6.7.8 1234 80\r\n", told4},
	{"TCP6", "PROXY TCP6 2001:db8::1 2001:db8::2 1234 443\r\n", told6},
	{"TCP6 with IPv4 inside", "PROXY TCP6 ::ffff:1.2.3.4 ::ffff:5.6.7.8 1234 80\r\n", told4},
	{"ports at the ends of their range", "PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", tcp("0.0.0.0:0", "255.255.255.255:65535")},
	{"UNKNOWN", "PROXY UNKNOWN\r\n", Header{}},
	{"UNKNOWN with more", "PROXY UNKNOWN ffff:f 99999 any thing\r\n", Header{}},
	{"the longest line", "PROXY UNKNOWN " + strings.Repeat("f", maxLength1-16) + "\r\n", Header{}},

	{"v2 TCP4", v2(commandProxy, 0x11, block4), told4},
	{"v2 TCP6", v2(commandProxy, 0x21, block6), told6},
	{"v2 UDP", v2(commandProxy, 0x12, block4), Header{}},
	{"v2 unknown transport", v2(commandProxy, 0x10, block4), Header{}},
	{"v2 unspecified", v2(commandProxy, 0x00, "what it likes"), Header{}},
	{"v2 LOCAL", v2(commandLocal, 0x00), Header{}},
	{"v2 LOCAL with addresses", v2(commandLocal, 0x11, block4), Header{}},
	{"v2 LOCAL with anything", v2(commandLocal, 0xff, "what it likes"), Header{}},
	{"v2 unix", v2(commandProxy, 0x31, padded("/run/a"), padded("/run/b")), Header{Family: Unix, SourcePath: "/run/a", DestinationPath: "/run/b"}},
	{"v2 unix without a name", v2(commandProxy, 0x31, padded(""), padded("\x00abstract")), Header{Family: Unix, DestinationPath: "@abstract"}},
	{"v2 unix, the longest path", v2(commandProxy, 0x31, strings.Repeat("a", pathLen), padded("b")), Header{Family: Unix, SourcePath: strings.Repeat("a", pathLen), DestinationPath: "b"}},
	{"v2 values", v2(commandProxy, 0x11, block4, tlv(0x01, "h2"), tlv(0x04, ""), tlv(0xee, "x")), told4},
	{"v2 checksum", checksummed(v2(commandProxy, 0x11, block4, crcBlock)), told4},
	{"v2 checksum of TCP6", checksummed(v2(commandProxy, 0x21, block6, crcBlock)), told6},
	{"v2, the longest", v2(commandProxy, 0x11, block4, tlv(0x04, strings.Repeat("x", MaxLength-headerLen2-len(block4)-typeSize))), told4},
}

var refused = []struct {
	name, in string
	want     error
}{
	{"HTTP", "GET / HTTP/1.1\r\n", ErrAbsent},
	{"a method that begins like it", "PROPFIND / HTTP/1.1\r\n", ErrAbsent},
	{"lower case", "proxy TCP4 1.2.3.4 5.6.7.8 1234 80\r\n", ErrAbsent},
	{"a tab", "PROXY\tTCP4 1.2.3.4 5.6.7.8 1234 80\r\n", ErrAbsent},
	{"an empty line", "\r\nGET / HTTP/1.1\r\n", ErrAbsent},
	{"TLS", "\x16\x03\x01\x00\x05", ErrAbsent},
	{"bare LF", "PROXY TCP4 1.2.3.4 5.6.7.8 1234 80\n", ErrLine},
	{"CR in the line", "PROXY TCP4 1.2.3.4 5.6.7.8\r1234 80\r\n", ErrLine},
	{"NUL in what is ignored", "PROXY UNKNOWN \x00\r\n", ErrLine},
	{"too long", "PROXY UNKNOWN " + strings.Repeat("f", maxLength1-15) + "\r\n", ErrTooLong},
	{"endless", "PROXY TCP4 " + strings.Repeat("1", maxLength1), ErrTooLong},
	{"no protocol", "PROXY \r\n", ErrFamily},
	{"another protocol", "PROXY UDP4 1.2.3.4 5.6.7.8 1234 80\r\n", ErrFamily},
	{"nothing but the protocol", "PROXY TCP4\r\n", ErrLine},
	{"no ports", "PROXY TCP4 1.2.3.4 5.6.7.8\r\n", ErrLine},
	{"one more field", "PROXY TCP4 1.2.3.4 5.6.7.8 1234 80 1\r\n", ErrLine},
	{"two spaces", "PROXY TCP4  1.2.3.4 5.6.7.8 1234 80\r\n", ErrLine},
	{"a space at the end", "PROXY TCP4 1.2.3.4 5.6.7.8 1234 80 \r\n", ErrLine},
	{"IPv6 as TCP4", "PROXY TCP4 ::1 ::1 1234 80\r\n", ErrAddress},
	{"IPv4 as TCP6", "PROXY TCP6 1.2.3.4 5.6.7.8 1234 80\r\n", ErrAddress},
	{"a zone", "PROXY TCP6 fe80::1%eth0 ::1 1234 80\r\n", ErrAddress},
	{"a name", "PROXY TCP4 localhost 5.6.7.8 1234 80\r\n", ErrAddress},
	{"zeros in front of a byte", "PROXY TCP4 01.2.3.4 5.6.7.8 1234 80\r\n", ErrAddress},
	{"zeros in front of a port", "PROXY TCP4 1.2.3.4 5.6.7.8 01234 80\r\n", ErrAddress},
	{"a signed port", "PROXY TCP4 1.2.3.4 5.6.7.8 +1234 80\r\n", ErrAddress},
	{"a port too large", "PROXY TCP4 1.2.3.4 5.6.7.8 1234 65536\r\n", ErrAddress},

	{"v2 of another version", v2(0x11, 0x11, block4), ErrVersion},
	{"v2 with another command", v2(0x22, 0x11, block4), ErrVersion},
	{"v2 with another family", v2(commandProxy, 0x41, block4), ErrFamily},
	{"v2 with another transport", v2(commandProxy, 0x13, block4), ErrFamily},
	{"v2 too long", v2(commandProxy, 0x11, block4, strings.Repeat("x", MaxLength)), ErrTooLong},
	{"v2 LOCAL too long", v2(commandLocal, 0x00, strings.Repeat("x", MaxLength)), ErrTooLong},
	{"v2 with half an address", v2(commandProxy, 0x11, block4[:11]), ErrTruncate},
	{"v2 with IPv4 as IPv6", v2(commandProxy, 0x21, block4), ErrTruncate},
	{"v2 with half a path", v2(commandProxy, 0x31, padded("a"), "b"), ErrTruncate},
	{"v2 with half a value", v2(commandProxy, 0x11, block4, tlv(0x01, "h2")[:4]), ErrTruncate},
	{"v2 with half a type", v2(commandProxy, 0x11, block4, "\x01\x00"), ErrTruncate},
	{"v2 with another checksum", v2(commandProxy, 0x11, block4, crcBlock), ErrChecksum},
	{"v2 with a short checksum", v2(commandProxy, 0x11, block4, tlv(typeCRC, "\x00")), ErrChecksum},
	{"v2 with two checksums", checksummed(v2(commandProxy, 0x11, block4, crcBlock, tlv(typeCRC, "\x00\x00\x00\x00"))), ErrChecksum},
}

func TestAccepted(t *testing.T) {
	for _, c := range accepted {
		t.Run(c.name, func(t *testing.T) {
			for _, behind := range []string{"", "x", "GET / HTTP/1.1\r\n\r\n", c.in} {
				in := []byte(c.in + behind)
				h, n, err := Parse(in)
				if h != c.want || n != len(c.in) || err != nil {
					t.Fatalf("Parse(%q) = %+v, %d, %v; want %+v, %d", in, h, n, err, c.want, len(c.in))
				}
			}
			checkSplits(t, []byte(c.in))
		})
	}
}

func TestRefused(t *testing.T) {
	for _, c := range refused {
		t.Run(c.name, func(t *testing.T) {
			h, n, err := Parse([]byte(c.in))
			if h != (Header{}) || n != 0 || err != c.want {
				t.Fatalf("Parse(%q) = %+v, %d, %v; want %v", c.in, h, n, err, c.want)
			}
			checkSplits(t, []byte(c.in))
		})
	}
}

// A checksum covers the addresses, the values and itself.
func TestChecksumCoversAll(t *testing.T) {
	whole := checksummed(v2(commandProxy, 0x11, block4, crcBlock))
	values := headerLen2 + len(block4) + typeSize
	for i := range len(whole) {
		if i < headerLen2 || i >= values-typeSize && i < values || i >= values+2 && i < len(whole)-4 {
			continue // what says how to read the rest
		}
		for bit := range 8 {
			in := []byte(whole)
			in[i] ^= 1 << bit
			if _, _, err := Parse(in); err != ErrChecksum {
				t.Errorf("bit %d of byte %d changed: %v", bit, i, err)
			}
		}
	}
}

// checkSplits checks that the outcome is the same however much of the input is
// there, once there is one; and that a whole header is not waited for in vain.
func checkSplits(t *testing.T, in []byte) {
	t.Helper()
	h, n, err := Parse(in)
	if n == 0 && err == nil && len(in) >= MaxLength {
		t.Fatalf("%d bytes are not enough", len(in))
	}
	for i := range in {
		part := bytes.Clone(in[:i:i])
		ph, pn, perr := Parse(part)
		if !bytes.Equal(part, in[:i]) {
			t.Fatal("the input was changed")
		}
		if pn == 0 && perr == nil {
			continue
		}
		if ph != h || pn != n || perr != err {
			t.Fatalf("after %d bytes: %+v, %d, %v; after %d: %+v, %d, %v", i, ph, pn, perr, len(in), h, n, err)
		}
		if i < n {
			t.Fatalf("%d bytes of a header of %d were enough", i, n)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range accepted {
		f.Add([]byte(c.in))
	}
	for _, c := range refused {
		f.Add([]byte(c.in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		h, n, err := Parse(in)
		if n < 0 || n > min(len(in), MaxLength) || n > 0 && err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		if n == 0 && h != (Header{}) {
			t.Fatalf("%+v without a header", h)
		}
		if h.Family == TCP && (!h.Source.IsValid() || !h.Destination.IsValid() || h.Source.Addr().Is4In6()) {
			t.Fatalf("%+v", h)
		}
		checkSplits(t, in)
	})
}
