package http1

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// requestCase is a request and what becomes of it. The tables that consist of
// them also feed the split tests and are the seeds of the fuzz targets.
type requestCase struct {
	section string // of RFC 9112, unless it says otherwise
	name    string
	input   string
	status  int // zero if the request is accepted
}

func runRequests(t *testing.T, cases []requestCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.section+" "+c.name, func(t *testing.T) {
			lim := Limits{}.Resolve()
			var r Request
			n, err := r.Parse([]byte(c.input), &lim)
			if got := statusOf(t, err); got != c.status {
				t.Fatalf("status %d (%v), want %d, for %q", got, err, c.status, c.input)
			}
			if want := len(c.input); c.status == 0 && n != want {
				t.Fatalf("head of %d bytes, want %d, for %q", n, want, c.input)
			}
			if c.status != 0 && n != 0 {
				t.Fatalf("length %d together with an error", n)
			}
		})
	}
}

// allRequestCases returns the cases of all tables.
func allRequestCases() []requestCase {
	return slices.Concat(
		messageParsingCases, versionCases, requestLineCases, methodCases, targetCases,
		hostCases, fieldCases, framingCases, connectionCases, expectCases, upgradeCases,
	)
}

// statusOf returns the status of an error, zero if it is nil.
func statusOf(t *testing.T, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("%v is a %T, want *Error", err, err)
	}
	return e.Status
}

// mustParse parses a complete request head.
func mustParse(t *testing.T, head string) *Request {
	t.Helper()
	lim := Limits{}.Resolve()
	r := new(Request)
	n, err := r.Parse([]byte(head), &lim)
	if err != nil || n != len(head) {
		t.Fatalf("Parse(%q) = %d, %v", head, n, err)
	}
	return r
}

// header makes a minimal request with the given field lines after Host.
func header(lines ...string) string {
	return "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Join(append(lines, ""), "\r\n") + "\r\n"
}

// snapshot is everything the methods of a request tell, except Get and its
// like, which depend on the same.
type snapshot struct {
	Length     int
	Err        error
	Method     string
	MethodID   Method
	Minor      int
	Target     string
	Form       Form
	Path       string
	Query      string
	HasQuery   bool
	Host       string
	Fields     []string
	BodyLength int64
	Chunked    bool
	HasBody    bool
	KeepAlive  bool
	Continue   bool
	Upgrade    string
	Upgrading  bool
}

// take describes r. Nothing but the error and the method is looked at when
// there is an error.
func take(r *Request, n int, err error) snapshot {
	s := snapshot{Length: n, Err: err, MethodID: r.MethodID()}
	if err != nil || n == 0 {
		return s
	}
	s.Method = string(r.Method())
	s.Minor = r.Minor()
	s.Target = string(r.Target())
	s.Form = r.Form()
	s.Path = string(r.RawPath())
	s.Query = string(r.RawQuery())
	s.HasQuery = r.HasQuery()
	s.Host = string(r.Host())
	for i := range r.NumFields() {
		name, value := r.Field(i)
		s.Fields = append(s.Fields, string(name)+": "+string(value))
	}
	s.BodyLength = r.ContentLength()
	s.Chunked = r.Chunked()
	s.HasBody = r.HasBody()
	s.KeepAlive = r.KeepAlive()
	s.Continue = r.ExpectContinue()
	protocols, upgrading := r.Upgrade()
	s.Upgrade, s.Upgrading = string(protocols), upgrading
	return s
}

// parseWhole parses input given in one piece.
func parseWhole(input []byte, lim *Limits) snapshot {
	var r Request
	n, err := r.Parse(input, lim)
	return take(&r, n, err)
}

// parseSplit parses input which grows to each of the given lengths, and then to
// its whole, each time at another address.
func parseSplit(input []byte, lim *Limits, ends ...int) snapshot {
	var r Request
	for _, end := range append(ends, len(input)) {
		part := slices.Clone(input[:end])
		n, err := r.Parse(part, lim)
		if n > 0 || err != nil || end == len(input) {
			return take(&r, n, err)
		}
		clear(part)
	}
	panic("unreachable")
}

// decoded is the outcome of decoding a body.
type decoded struct {
	Data     string
	Rest     string // what follows the body; all undecoded input if not Done
	Trailers []string
	Received int64
	Done     bool
	Err      error
}

// decode decodes a body which arrives in pieces that end at the given
// positions and at the end of input.
func decode(b *Body, input []byte, ends ...int) decoded {
	var d decoded
	var data []byte
	from := 0
	for _, end := range append(ends, len(input)) {
		for {
			part, n, done, err := b.Next(input[from:end:end])
			data = append(data, part...)
			from += n
			if err != nil || done {
				d.Err, d.Done = err, done
				break
			}
			if n == 0 {
				break
			}
		}
		if d.Err != nil || d.Done {
			break
		}
	}
	d.Data = string(data)
	d.Received = b.Received()
	if d.Err == nil {
		d.Rest = string(input[from:])
		for i := range b.NumTrailers() {
			name, value := b.Trailer(i)
			d.Trailers = append(d.Trailers, string(name)+": "+string(value))
		}
	}
	return d
}

// decodeChunked decodes a chunked body.
func decodeChunked(input []byte, lim *Limits, ends ...int) decoded {
	var b Body
	if err := b.InitFraming(Chunked, -1, lim); err != nil {
		return decoded{Err: err}
	}
	return decode(&b, input, ends...)
}

// bytewise returns all positions at which n bytes can be split.
func bytewise(n int) []int {
	ends := make([]int, n)
	for i := range ends {
		ends[i] = i
	}
	return ends
}
