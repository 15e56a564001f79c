package wsock

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

// RFC 6455, section 9.1.
func TestParseExtensions(t *testing.T) {
	type ext = []extension
	for _, c := range []struct {
		values []string
		want   ext
		ok     bool
	}{
		{nil, nil, true},
		{[]string{""}, nil, true},
		{[]string{" , ,"}, nil, true},
		{[]string{"foo"}, ext{{Name: "foo"}}, true},
		{[]string{"foo,bar", "baz"}, ext{{Name: "foo"}, {Name: "bar"}, {Name: "baz"}}, true},
		{[]string{"foo; a; b=1; c=\"2\" ,\tbar ; d = x"}, ext{
			{"foo", []param{{Name: "a"}, {"b", "1", true}, {"c", "2", true}}},
			{"bar", []param{{"d", "x", true}}},
		}, true},
		{[]string{`foo; a="\1\0"`}, ext{{"foo", []param{{"a", "10", true}}}}, true},
		{[]string{"foo bar"}, nil, false},
		{[]string{"foo;"}, nil, false},
		{[]string{"foo; ;a"}, nil, false},
		{[]string{"foo; a="}, nil, false},
		{[]string{`foo; a=""`}, nil, false},
		{[]string{`foo; a="b c"`}, nil, false},
		{[]string{`foo; a="b`}, nil, false},
		{[]string{`foo; a="b\`}, nil, false},
		{[]string{`foo; a=b"c"`}, nil, false},
		{[]string{"=a"}, nil, false},
		{[]string{";a"}, nil, false},
		{[]string{"foo/bar"}, nil, false},
		{[]string{strings.Repeat("a,", 16)}, repeated(extension{Name: "a"}, 16), true},
		{[]string{strings.Repeat("a,", 17)}, nil, false},
		{[]string{"a" + strings.Repeat(";b", 17)}, nil, false},
	} {
		got, ok := parseExtensions(c.values)
		if ok != c.ok || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: %+v, %t, want %+v, %t", c.values, got, ok, c.want, c.ok)
		}
		var again []string
		for _, e := range got {
			again = append(again, string(e.Append(nil)))
		}
		if back, _ := parseExtensions(again); !reflect.DeepEqual(back, got) {
			t.Errorf("%q formatted as %q: %+v", c.values, again, back)
		}
	}
}

func repeated(e extension, n int) (all []extension) {
	for range n {
		all = append(all, e)
	}
	return all
}

// RFC 7692, sections 5.1 and 7.1, on the server's side.
func TestAcceptOffer(t *testing.T) {
	none := CompressionOptions{}
	keep := CompressionOptions{ServerTakeover: true, ClientTakeover: true}
	small := CompressionOptions{ServerTakeover: true, ClientTakeover: true, ServerBits: 10, ClientBits: 11}
	const bothNot = "; server_no_context_takeover; client_no_context_takeover"
	for _, c := range []struct {
		options CompressionOptions
		offer   string
		answer  string // without the name; "none" declines
		agreed  Compression
	}{
		{none, "permessage-deflate", bothNot, Compression{true, true, true, 15, 15}},
		{keep, "permessage-deflate", "", Compression{true, false, false, 15, 15}},
		{keep, "permessage-deflate; server_no_context_takeover", "; server_no_context_takeover", Compression{true, true, false, 15, 15}},
		{keep, "permessage-deflate; client_no_context_takeover", "; client_no_context_takeover", Compression{true, false, true, 15, 15}},
		{none, "permessage-deflate; client_max_window_bits", bothNot, Compression{true, true, true, 15, 15}},
		{none, "permessage-deflate; client_max_window_bits=9", bothNot, Compression{true, true, true, 15, 9}},
		{none, "permessage-deflate; server_max_window_bits=9", bothNot + "; server_max_window_bits=9", Compression{true, true, true, 9, 15}},
		{none, "permessage-deflate; server_max_window_bits=8", bothNot + "; server_max_window_bits=8", Compression{true, true, true, 8, 15}},
		{none, "permessage-deflate; server_max_window_bits=15", bothNot + "; server_max_window_bits=15", Compression{true, true, true, 15, 15}},
		{none, `permessage-deflate; server_max_window_bits="9"`, bothNot + "; server_max_window_bits=9", Compression{true, true, true, 9, 15}},
		{small, "permessage-deflate; client_max_window_bits", "; client_max_window_bits=11; server_max_window_bits=10", Compression{true, false, false, 10, 11}},
		{small, "permessage-deflate; client_max_window_bits=9", "; server_max_window_bits=10", Compression{true, false, false, 10, 9}},
		{small, "permessage-deflate; server_max_window_bits=9; client_max_window_bits=12", "; client_max_window_bits=11; server_max_window_bits=9", Compression{true, false, false, 9, 11}},
		{small, "permessage-deflate", "; client_no_context_takeover; server_max_window_bits=10", Compression{true, false, true, 10, 15}},

		{none, "", "none", Compression{}},
		{none, "permessage-bzip2", "none", Compression{}},
		{none, "x-webkit-deflate-frame", "none", Compression{}},
		{none, "permessage-deflate; unknown", "none", Compression{}},
		{none, "permessage-deflate; server_no_context_takeover=1", "none", Compression{}},
		{none, "permessage-deflate; client_no_context_takeover=true", "none", Compression{}},
		{none, "permessage-deflate; server_no_context_takeover; server_no_context_takeover", "none", Compression{}},
		{none, "permessage-deflate; client_max_window_bits; client_max_window_bits=10", "none", Compression{}},
		{none, "permessage-deflate; server_max_window_bits", "none", Compression{}},
		{none, "permessage-deflate; server_max_window_bits=7", "none", Compression{}},
		{none, "permessage-deflate; server_max_window_bits=16", "none", Compression{}},
		{none, "permessage-deflate; server_max_window_bits=08", "none", Compression{}},
		{none, "permessage-deflate; server_max_window_bits=010", "none", Compression{}},
		{none, "permessage-deflate; client_max_window_bits=0", "none", Compression{}},
		{none, "permessage-deflate; client_max_window_bits=x", "none", Compression{}},
		{none, "permessage-deflate; server_max_window_bits=99, permessage-deflate", bothNot, Compression{true, true, true, 15, 15}},
		{keep, "foo, permessage-deflate; bar, permessage-deflate; server_no_context_takeover, permessage-deflate",
			"; server_no_context_takeover", Compression{true, true, false, 15, 15}},
	} {
		want := permessageDeflate + c.answer
		if c.answer == "none" {
			want = ""
		}
		agreed, answer, err := c.options.Accept([]string{c.offer})
		if agreed != c.agreed || answer != want || err != nil {
			t.Errorf("%+v, %q:\n%+v, %q, %v, want\n%+v, %q", c.options, c.offer, agreed, answer, err, c.agreed, want)
		}
	}
	if _, _, err := none.Accept([]string{"permessage-deflate; ="}); !errors.Is(err, errExtensions) {
		t.Errorf("malformed offer: %v", err)
	}
}

// RFC 7692, section 7.1, on the client's side.
func TestCheckAnswer(t *testing.T) {
	none := CompressionOptions{}
	keep := CompressionOptions{ServerTakeover: true, ClientTakeover: true}
	small := CompressionOptions{ServerTakeover: true, ClientTakeover: true, ServerBits: 10, ClientBits: 11}
	for o, want := range map[CompressionOptions]string{
		none:  "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits",
		keep:  "permessage-deflate; client_max_window_bits",
		small: "permessage-deflate; server_max_window_bits=10; client_max_window_bits=11",
	} {
		if got := o.Offer(); got != want {
			t.Errorf("%+v offers %q, want %q", o, got, want)
		}
	}
	for _, c := range []struct {
		options CompressionOptions
		answer  string
		agreed  Compression
		err     error
	}{
		{none, "", Compression{}, nil},
		{none, "permessage-deflate; server_no_context_takeover", Compression{true, true, true, 15, 15}, nil},
		{none, "permessage-deflate; server_no_context_takeover; client_no_context_takeover", Compression{true, true, true, 15, 15}, nil},
		{none, "permessage-deflate; server_no_context_takeover; client_max_window_bits=10", Compression{true, true, true, 15, 10}, nil},
		{none, "permessage-deflate; server_no_context_takeover; server_max_window_bits=10", Compression{true, true, true, 10, 15}, nil},
		{keep, "permessage-deflate", Compression{true, false, false, 15, 15}, nil},
		{keep, "permessage-deflate; client_no_context_takeover; server_no_context_takeover", Compression{true, true, true, 15, 15}, nil},
		{small, "permessage-deflate; server_max_window_bits=10", Compression{true, false, false, 10, 11}, nil},
		{small, "permessage-deflate; server_max_window_bits=8; client_max_window_bits=9", Compression{true, false, false, 8, 9}, nil},

		{none, "permessage-deflate", Compression{}, errAnswer}, // not what was asked for
		{small, "permessage-deflate", Compression{}, errAnswer},
		{small, "permessage-deflate; server_max_window_bits=11", Compression{}, errAnswer},
		{small, "permessage-deflate; server_max_window_bits=10; client_max_window_bits=12", Compression{}, errAnswer},
		{keep, "permessage-deflate; client_max_window_bits", Compression{}, errAnswer},
		{keep, "permessage-deflate; server_max_window_bits", Compression{}, errAnswer},
		{keep, "permessage-deflate; server_max_window_bits=16", Compression{}, errAnswer},
		{keep, "permessage-deflate; unknown", Compression{}, errAnswer},
		{keep, "permessage-deflate; server_no_context_takeover; server_no_context_takeover", Compression{}, errAnswer},
		{keep, "permessage-deflate, permessage-deflate", Compression{}, errNotOffered},
		{keep, "permessage-bzip2", Compression{}, errNotOffered},
		{keep, "permessage-deflate, foo", Compression{}, errNotOffered},
		{keep, "permessage-deflate; =", Compression{}, errAnswer},
	} {
		agreed, err := c.options.Check([]string{c.answer})
		if agreed != c.agreed || !errors.Is(err, c.err) {
			t.Errorf("%+v, %q: %+v, %v, want %+v, %v", c.options, c.answer, agreed, err, c.agreed, c.err)
		}
	}
}

// Client and server, whatever they want, agree on the same, within the limits of both
// as far as the protocol can tell them.
func TestNegotiationAgrees(t *testing.T) {
	var all []CompressionOptions
	for _, takeover := range []int{0, 1, 2, 3} {
		for _, server := range []uint8{0, 8, 12, 15} {
			for _, client := range []uint8{0, 8, 12, 15} {
				all = append(all, CompressionOptions{takeover&1 != 0, takeover&2 != 0, server, client})
			}
		}
	}
	for _, client := range all {
		for _, server := range all {
			atServer, answer, err := server.Accept([]string{client.Offer()})
			if err != nil || !atServer.Enabled {
				t.Fatalf("%+v, %+v: %v", client, server, err)
			}
			atClient, err := client.Check([]string{answer})
			if err != nil {
				t.Fatalf("%+v offers %q, %+v answers %q: %v", client, client.Offer(), server, answer, err)
			}
			if atClient != atServer {
				t.Fatalf("%+v at the client, %+v at the server", atClient, atServer)
			}
			if atServer.ServerBits > min(windowBits(server.ServerBits), windowBits(client.ServerBits)) ||
				atServer.ClientBits > min(windowBits(server.ClientBits), windowBits(client.ClientBits)) {
				t.Fatalf("%+v, %+v: agreed on %+v", client, server, atServer)
			}
		}
	}
}

// What takeover costs is the windows in use, the same for both sides.
func TestWindows(t *testing.T) {
	for _, c := range []struct {
		agreed         Compression
		received, sent int // by the server
	}{
		{Compression{}, 0, 0},
		{Compression{Enabled: true}, 32 << 10, 32 << 10},
		{Compression{Enabled: true, ServerNoTakeover: true}, 32 << 10, 0},
		{Compression{Enabled: true, ClientNoTakeover: true, ServerBits: 9}, 0, 512},
		{Compression{Enabled: true, ServerNoTakeover: true, ClientNoTakeover: true, ClientBits: 8}, 0, 0},
		{Compression{Enabled: true, ClientBits: 8, ServerBits: 15}, 256, 32 << 10},
	} {
		received, sent := c.agreed.Windows(false)
		if received != c.received || sent != c.sent {
			t.Errorf("%+v: %d and %d, want %d and %d", c.agreed, received, sent, c.received, c.sent)
		}
		if theirs, ours := c.agreed.Windows(true); theirs != sent || ours != received {
			t.Errorf("%+v: %d and %d for the client", c.agreed, theirs, ours)
		}
	}
}
