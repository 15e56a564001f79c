package ringkit

import (
	"strings"
	"time"

	"github.com/ringkit/ringkit/conn"
)

// adversary is one way to be bad to a server.
type adversary struct {
	name string
	// play is one client. It returns what it has heard, once the connection has ended
	// for it; one that does not listen just returns.
	play  func(b *badClient) (heard string)
	hears string // a regular expression, "" for a client that cannot know
	after time.Duration
	until time.Duration // from after to until the server ends it

	window bool // it has little room for what it is sent
	group  group
}

// group is what adversaries have in common.
type group uint8

const (
	slow            group = iota // and take no goroutine
	slowWithHandler              // which may run on a goroutine
	greedy                       // for everything
)

func (g group) String() string {
	return [...]string{"slow", "slow with handler", "greedy"}[g]
}

// huge asks for a GiB.
func (b *badClient) huge() {
	if b.native {
		b.say(strings.Repeat(ask("GET", "/huge"), hugeParts))
		return
	}
	b.say(ask("GET", "/huge"))
}

// saying is an adversary that says something and waits for what comes.
func saying(s string) func(*badClient) string {
	return func(b *badClient) string {
		b.say(s)
		return b.hear()
	}
}

// dripping says something, and goes on byte by byte for ever.
func dripping(s, drop string) func(*badClient) string {
	return func(b *badClient) string {
		b.say(s)
		b.again(drop, tick/10)
		return b.hear()
	}
}

// byByte says something byte by byte, one in each segment, and then ends its side.
func byByte(s string) func(*badClient) string {
	return func(b *badClient) string {
		b.aside.Go(func() {
			for i := range len(s) {
				b.say(s[i : i+1])
			}
			b.Conn.(closeWriter).CloseWrite()
		})
		return b.hear()
	}
}

type closeWriter interface{ CloseWrite() error }

// halfClosing says something and ends its side.
func halfClosing(s string) func(*badClient) string {
	return func(b *badClient) string {
		b.say(s)
		b.Conn.(closeWriter).CloseWrite()
		return b.hear()
	}
}

// flooding says something again and again without pause.
func flooding(start, s string) func(*badClient) string {
	return func(b *badClient) string {
		b.say(start)
		b.again(s, 0)
		return b.hear()
	}
}

// deaf says something again and again and never listens.
func deaf(start, s string, pause time.Duration) func(*badClient) string {
	return func(b *badClient) string {
		b.say(start)
		b.again(s, pause)
		return ""
	}
}

var manySmall = strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 500)

// adversaries is a function for its times, which are scaled.
func adversaries() []adversary {
	var (
		body    = ask("POST", "/body", withLength(100))
		chunks  = ask("POST", "/body", withChunks)
		many    = strings.Repeat("a", 20_000)
		fields  = strings.Repeat("A: b\r\n", 3000)
		longest = conn.LingerTime
	)
	return []adversary{
		// Slow and silent clients.
		{name: "sends nothing", play: saying(""), hears: "end", after: shortHeader, until: shortHeader},
		{name: "idle after a request", play: saying(smallRequest), hears: "200 end", after: shortIdle, until: shortIdle},
		{name: "stops in the head", play: saying(getLine), hears: "408 end", after: shortHeader, until: shortHeader},
		{name: "stops in the second head", play: saying(smallRequest + "G"), hears: "200 408 end", after: shortHeader, until: shortHeader},
		{name: "drips a head", play: dripping(getLine, "a"), hears: "408 (end|reset)", after: shortHeader, until: shortHeader + longest},
		{name: "drips fields", play: dripping(getLine, "A: b\r\n"), hears: "408 (end|reset)", after: shortHeader, until: shortHeader + longest},
		{name: "drips empty lines", play: dripping("", "\r\n"), hears: "400 (end|reset)", until: shortHeader + longest},
		{name: "stops in the body", play: saying(body + "abc"), hears: "408 end", after: shortRead, until: shortRead, group: slowWithHandler},
		{name: "stops before the body", play: saying(body), hears: "408 end", after: shortRead, until: shortRead, group: slowWithHandler},
		{name: "stops in a chunk", play: saying(chunks + "5\r\nab"), hears: "408 end", after: shortRead, until: shortRead, group: slowWithHandler},
		{name: "stops in the trailer", play: saying(chunks + "0\r\nA: "), hears: "408 end", after: shortRead, until: shortRead, group: slowWithHandler},
		{name: "never continues", play: saying(ask("POST", "/body", withLength(5), "Expect: 100-continue")), hears: "100 408 end", after: shortRead, until: shortRead, group: slowWithHandler},
		{name: "drips a body", play: dripping(ask("POST", "/body", withLength(30)), "a"), hears: "200 (408|400) (end|reset)", after: 3 * tick, until: 3*tick + shortHeader + longest, group: slowWithHandler},

		// Clients that do not read.
		{name: "never reads", play: func(b *badClient) string { b.huge(); return "" }, after: shortWrite, until: 3 * shortWrite, window: true, group: greedy},
		{name: "reads a byte now and then", play: func(b *badClient) string {
			b.huge()
			one := make([]byte, 1)
			for {
				if _, err := b.Read(one); err != nil {
					return ""
				}
				time.Sleep(tick / 5)
			}
		}, after: shortWrite, until: 4 * shortWrite, window: true, group: greedy},
		{name: "never reads and ends its side", play: func(b *badClient) string {
			b.huge()
			b.Conn.(closeWriter).CloseWrite()
			return ""
		}, after: shortWrite, until: 3 * shortWrite, window: true, group: greedy},
		{name: "asks and never reads", play: deaf("", manySmall, 0), after: shortWrite, until: 8 * shortWrite, window: true, group: greedy},
		{name: "is refused and never reads", play: deaf("GET / HTTP/9.9\r\n\r\n", manySmall, 0), until: longest, window: true, group: greedy},
		{name: "is refused and stays", play: func(b *badClient) string { b.say("\n"); return "" }, after: longest, until: longest, group: greedy},

		// Clients that send too much.
		{name: "endless target", play: flooding("GET /", many), hears: "414 (end|reset)", until: longest, group: greedy},
		{name: "endless field", play: flooding(getLine+"A: ", many), hears: "431 (end|reset)", until: longest, group: greedy},
		{name: "endless fields", play: flooding(getLine, fields), hears: "431 (end|reset)", until: longest, group: greedy},
		{name: "endless body", play: flooding(chunks, chunk(many)), hears: "413 (end|reset)", until: longest, group: greedy},
		{name: "endless chunk extension", play: flooding(chunks+"5;", many), hears: "4(00|13|31) (end|reset)", until: longest, group: greedy},
		{name: "endless trailer", play: flooding(chunks+"0\r\n", fields), hears: "4(00|13|31) (end|reset)", until: longest, group: greedy},
		{name: "announces too much", play: flooding(ask("POST", "/body", withLength(1<<40)), many), hears: "413 (end|reset)", until: longest, group: greedy},
		{name: "goes on after the end", play: flooding(ask("GET", "/", "Connection: close"), manySmall), hears: "200 (end|reset)", until: longest, group: greedy},
		{name: "pipelines much", play: func(b *badClient) string {
			b.aside.Go(func() {
				b.say(strings.Repeat(manySmall, 40))
				b.Conn.(closeWriter).CloseWrite()
			})
			return b.hear()
		}, hears: "(200 )+end", until: tick, group: greedy},

		// Clients that end early, and those that write one byte at a time.
		{name: "ends its side at once", play: halfClosing(""), hears: "end"},
		{name: "ends its side in the head", play: halfClosing(getLine), hears: "400 end"},
		{name: "ends its side in the body", play: halfClosing(body + "abc"), hears: "400 end", group: slowWithHandler},
		{name: "ends its side in a chunk", play: halfClosing(chunks + "5\r\nab"), hears: "400 end", group: slowWithHandler},
		{name: "ends its side after requests", play: halfClosing(smallRequest + body + strings.Repeat("a", 100)), hears: "200 200 end"},
		{name: "a byte in each segment", play: byByte(smallRequest + body + strings.Repeat("a", 100) + chunks + chunk("hello") + chunk("") + smallRequest), hears: "200 200 200 200 end", until: tick, group: slowWithHandler},
	}
}
