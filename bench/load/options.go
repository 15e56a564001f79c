package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ringkit/ringkit/conn"
)

const usage = `Usage: load [flags] URL

  load -c 256 -d 10s http://127.0.0.1:8080/           as many requests as 256 connections carry
  load -c 256 -d 10s -rate 20000 http://127.0.0.1:8080/
  load -c 64 -p 16 http://127.0.0.1:8080/             16 requests in flight on each
  load -method PUT -H 'Content-Type: text/plain' -body @data http://127.0.0.1:8080/item
  load -json - http://127.0.0.1:8080/ | jq .latency_us.p99
  load -c 64 -size 1024 http://127.0.0.1:8080/        POSTs of a KiB
  load -c 256 -size 125 ws://127.0.0.1:8080/echo      messages that the server sends back
  load -c 1000 -room ws://127.0.0.1:8080/room         messages that the server sends to all
  load -c 1000 -receive http://127.0.0.1:8080/events  what 1000 subscribers get
  load -c 1000 -receive -publish http://127.0.0.1:8080/publish http://127.0.0.1:8080/events

Without -rate it is a closed loop: a request is sent when another has been answered, so
that a server which stalls is asked less, and requests that would have met the stall are
missing from the latencies. With -rate requests are due at fixed times, whatever became of
those before, and latencies count from then.

Every answer counts, whatever its status. The exit status is 1 if a request failed, or was
not sent in time, or if there was no answer.

With ws:// or wss:// what is sent are messages on WebSockets. Each has to come back as it
was, on its WebSocket and in order.

With -receive nothing is sent: counted are server-sent events, or messages of WebSockets.
Latencies are of those that begin with the time at which they were made, on this
machine's clock: Unix time in milliseconds, microseconds or nanoseconds, in decimal.

With -publish, too, a GET of that URL has the server send one event to all subscribers. The
next follows when it was answered and all have the event, and latencies count from the GET.

`

// Bounds of a run.
const (
	maxConnections = 50_000
	maxPipeline    = 1000
	maxInFlight    = 1_000_000
	maxRate        = 10_000_000
	maxDuration    = 24 * time.Hour
	maxSize        = 64 << 20
)

// defaultSize is that of a message in bytes.
const defaultSize = 64

// options are the arguments.
type options struct {
	url         string
	connections int
	pipeline    int
	duration    time.Duration
	rate        float64 // requests per second, 0 for a closed loop
	timeout     time.Duration
	method      string
	header      http.Header
	host        string
	body        []byte // or the message
	size        int    // of a body made up
	binary      bool
	compress    bool
	receive     bool
	room        bool
	publish     string // URL, "" for none
	expect      string // data of events, "" for any
	insecure    bool
	engine      conn.Engine
	loops       int
	json        string // file, - for standard output instead of the text
	warmUp      time.Duration
	wait        bool // for who reads standard output
}

func parse(args []string, help io.Writer) (*options, error) {
	o := &options{header: http.Header{"User-Agent": {"ringkit-load"}}}
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.IntVar(&o.connections, "c", 64, "`number` of connections")
	flags.IntVar(&o.pipeline, "p", 1, "`number` of requests or messages in flight on each; more than one is for requests without a body, and servers that pipeline")
	flags.DurationVar(&o.duration, "d", 10*time.Second, "`time` to send for")
	flags.Float64Var(&o.rate, "rate", 0, "`requests` or messages per second to send, whether or not others have been answered")
	flags.DurationVar(&o.timeout, "timeout", 10*time.Second, "`time` that a request or a message may take")
	flags.StringVar(&o.method, "method", "", "`method`; the default is GET, and POST with -body")
	flags.Func("H", "`field` of the request, \"Name: value\"; may be repeated", o.addField)
	body := flags.String("body", "", "`body` of the request, or the message; @file for what is in a file")
	flags.IntVar(&o.size, "size", 0, "`bytes` of a body that is made up, or of a message, which has 64 by default")
	flags.BoolVar(&o.binary, "binary", false, "send binary messages, not text")
	flags.BoolVar(&o.compress, "compress", false, "compress messages of 512 bytes or more, which the server has to accept")
	flags.BoolVar(&o.room, "room", false, "one WebSocket sends, and the server sends that to all; the next message follows when all have it. The server greets each with a message when it is in the room")
	flags.BoolVar(&o.receive, "receive", false, "send nothing, count what the server sends")
	flags.StringVar(&o.publish, "publish", "", "with -receive, a `URL`: a GET of it has the server send one event to all; the next follows when all have it")
	flags.StringVar(&o.expect, "expect", "", "with -publish, the `data` that each event has to have; by default anything is right")
	flags.BoolVar(&o.insecure, "insecure", false, "do not verify certificates")
	flags.Func("engine", "`engine` of the client: auto, io_uring or epoll", func(name string) (err error) {
		o.engine, err = conn.ParseEngine(name)
		return err
	})
	flags.IntVar(&o.loops, "loops", 0, "`number` of event loops; the default is one for four processors")
	flags.StringVar(&o.json, "json", "", "`file` for the result as JSON, - for standard output instead of the text")
	flags.DurationVar(&o.warmUp, "warm-up", 0, "`time` to send for before, which is not counted")
	flags.BoolVar(&o.wait, "wait", false, "for programs: print \"ready\" when the connections are open and warm, wait for a line, print the result as one line of JSON, and keep the connections until standard input ends")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(help, usage)
			flags.SetOutput(help)
			flags.PrintDefaults()
		}
		return nil, err
	}
	if flags.NArg() != 1 {
		return nil, fmt.Errorf("want one URL, have %d", flags.NArg())
	}
	o.url = flags.Arg(0)
	if name, ok := strings.CutPrefix(*body, "@"); ok {
		var err error
		if o.body, err = os.ReadFile(name); err != nil {
			return nil, err
		}
	} else {
		o.body = []byte(*body)
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	o.complete()
	return o, o.checkPipeline()
}

// complete sets what depends on other options.
func (o *options) complete() {
	if o.sockets() && !o.receive && len(o.body)+o.size == 0 {
		o.size = defaultSize
	}
	if o.size > 0 {
		o.body = madeUp(o.size)
	}
	method := http.MethodGet
	if len(o.body) > 0 {
		method = http.MethodPost
	}
	o.method = cmp.Or(o.method, method)
	if o.receive && !o.sockets() && o.header["Accept"] == nil {
		o.header.Set("Accept", "text/event-stream")
	}
}

// madeUp returns n bytes of text, which can be compressed to some two thirds.
func madeUp(n int) []byte {
	rng, text := rand.New(rand.NewPCG(1, 1)), make([]byte, n)
	for i := range text {
		text[i] = 'a' + byte(rng.IntN(26))
	}
	return text
}

// sockets reports whether the URL is that of WebSockets.
func (o *options) sockets() bool { return strings.HasPrefix(strings.ToLower(o.url), "ws") }

// unit is what is counted.
func (o *options) unit() string {
	switch {
	case o.sockets():
		return "messages"
	case o.receive:
		return "events"
	}
	return "requests"
}

func (o *options) addField(field string) error {
	name, value, ok := strings.Cut(field, ":")
	name, value = http.CanonicalHeaderKey(name), strings.TrimSpace(value)
	switch {
	case !ok:
		return errors.New("want Name: value")
	case name == "Host":
		o.host = value
	case name == "User-Agent":
		o.header[name] = []string{value}
	default:
		o.header.Add(name, value)
	}
	return nil
}

func (o *options) check() error {
	u, err := url.Parse(o.url)
	switch {
	case err != nil:
		return err
	case !slices.Contains([]string{"http", "https", "ws", "wss"}, u.Scheme) || u.Host == "":
		return fmt.Errorf("URL %q: want http://, https://, ws:// or wss:// and a host", o.url)
	case o.connections < 1 || o.connections > maxConnections:
		return fmt.Errorf("-c %d: want 1 to %d", o.connections, maxConnections)
	case o.pipeline < 1 || o.pipeline > maxPipeline || o.inFlight() > maxInFlight:
		return fmt.Errorf("-p %d: want 1 to %d, and %d on all connections", o.pipeline, maxPipeline, maxInFlight)
	case o.duration <= 0 || o.duration > maxDuration:
		return fmt.Errorf("-d %v: want up to %v", o.duration, maxDuration)
	case o.rate < 0 || o.rate > maxRate:
		return fmt.Errorf("-rate %g: want up to %d", o.rate, maxRate)
	case o.timeout <= 0 || o.timeout > maxTimeout:
		return fmt.Errorf("-timeout %v: want up to %v", o.timeout, maxTimeout)
	case o.loops < 0:
		return fmt.Errorf("-loops %d: want 0 or more", o.loops)
	case o.warmUp < 0 || o.warmUp > maxDuration:
		return fmt.Errorf("-warm-up %v: want up to %v", o.warmUp, maxDuration)
	case o.wait && o.json != "":
		return errors.New("-wait and -json: want one of them")
	case o.size < 0 || o.size > maxSize:
		return fmt.Errorf("-size %d: want up to %d", o.size, maxSize)
	case o.size > 0 && len(o.body) > 0:
		return errors.New("-size and -body: want one of them")
	case o.expect != "" && o.publish == "":
		return errors.New("-expect: want -publish, too")
	case o.publish != "":
		return o.checkPublish()
	case o.sockets():
		return o.checkSockets()
	case o.binary || o.compress || o.room:
		return errors.New("-binary, -compress and -room are for WebSockets")
	case o.receive && (o.rate > 0 || o.pipeline > 1 || o.warmUp > 0):
		return errors.New("-receive: nothing is sent, want neither -rate, -p nor -warm-up")
	}
	return nil
}

// checkSockets checks what WebSockets do not go with.
func (o *options) checkSockets() error {
	switch {
	case o.method != "":
		return errors.New("-method: the handshake of a WebSocket is a GET")
	case o.receive && (o.rate > 0 || o.pipeline > 1 || o.warmUp > 0 || o.binary || o.size > 0 || len(o.body) > 0):
		return errors.New("-receive: nothing is sent, want neither -rate, -p, -warm-up, -binary, -size nor -body")
	case o.room && (o.receive || o.rate > 0 || o.pipeline > 1):
		return errors.New("-room: one message at a time, want neither -receive, -rate nor -p")
	case !o.binary && !utf8.Valid(o.body):
		return errors.New("-body: a text message is UTF-8; want -binary for others")
	}
	return nil
}

// checkPublish checks what goes with the publishing of events.
func (o *options) checkPublish() error {
	u, err := url.Parse(o.publish)
	switch {
	case err != nil:
		return fmt.Errorf("-publish: %w", err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("-publish %q: want http:// or https:// and a host", o.publish)
	case !o.receive || o.sockets():
		return errors.New("-publish: want -receive, and a URL of server-sent events")
	case o.rate > 0 || o.pipeline > 1 || o.binary || o.compress || o.room:
		return errors.New("-publish: one event at a time, want neither -rate, -p, -binary, -compress nor -room")
	}
	return nil
}

// checkPipeline checks that requests may be in flight together.
func (o *options) checkPipeline() error {
	if o.pipeline > 1 && !o.sockets() && !pipelines(o.method, o.body) {
		return fmt.Errorf("-p %d: a request that may not be sent behind others: want an idempotent method and no body", o.pipeline)
	}
	return nil
}

// inFlight is how many requests are under way at most.
func (o *options) inFlight() int { return o.connections * o.pipeline }

// pipelines reports whether the client sends such requests behind others.
func pipelines(method string, body []byte) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete, http.MethodTrace:
		return len(body) == 0
	}
	return false
}
