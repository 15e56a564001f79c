package proxyproto

import (
	"bytes"
	"net/netip"
	"strconv"
	"strings"
)

// maxLength1 is the longest line of version 1, with its CRLF.
const maxLength1 = 107

// parse1 reads version 1: one line of text.
func parse1(in []byte) (h Header, n int, err error) {
	end := bytes.IndexByte(in[:min(len(in), maxLength1)], '\n')
	if end < 0 {
		if len(in) >= maxLength1 {
			return Header{}, 0, ErrTooLong
		}
		return Header{}, 0, nil
	}
	line, ok := strings.CutSuffix(string(in[len(signature1):end]), "\r")
	if !ok || strings.ContainsAny(line, "\r\x00") {
		return Header{}, 0, ErrLine
	}
	protocol, addresses, _ := strings.Cut(line, " ")
	switch protocol {
	case "UNKNOWN":
		// What follows is to be ignored.
	case "TCP4", "TCP6":
		h, err = parseAddresses(addresses, protocol == "TCP4")
	default:
		err = ErrFamily
	}
	if err != nil {
		return Header{}, 0, err
	}
	return h, end + 1, nil
}

// parseAddresses reads "source destination source-port destination-port".
func parseAddresses(s string, v4 bool) (h Header, err error) {
	fields := strings.Split(s, " ")
	if len(fields) != 4 {
		return Header{}, ErrLine
	}
	h.Family = TCP
	if h.Source, err = parseAddress(fields[0], fields[2], v4); err != nil {
		return Header{}, err
	}
	if h.Destination, err = parseAddress(fields[1], fields[3], v4); err != nil {
		return Header{}, err
	}
	return h, nil
}

func parseAddress(host, port string, v4 bool) (netip.AddrPort, error) {
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Is4() != v4 || addr.Zone() != "" {
		return netip.AddrPort{}, ErrAddress
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || strconv.FormatUint(n, 10) != port { // a sign, or zeros in front
		return netip.AddrPort{}, ErrAddress
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), nil
}
