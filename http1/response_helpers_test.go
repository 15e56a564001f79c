package http1

import (
	"slices"
	"strings"
	"testing"
)

// responseCase is a response head and what becomes of it. Like those of requests, the
// tables feed the split tests and are the seeds of the fuzz targets.
type responseCase struct {
	section string // of RFC 9112, unless it says otherwise
	name    string
	method  Method // of the request
	input   string
	want    *Error // nil if the response is accepted
}

func runResponses(t *testing.T, cases []responseCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.section+" "+c.name, func(t *testing.T) {
			lim := Limits{}.Resolve()
			var r Response
			r.Reset(c.method)
			n, err := r.Parse([]byte(c.input), &lim)
			if c.want != nil {
				if n != 0 || err != c.want {
					t.Fatalf("Parse(%q) = %d, %v, want %v", c.input, n, err, c.want)
				}
				return
			}
			if n != len(c.input) || err != nil {
				t.Fatalf("Parse(%q) = %d, %v, want %d", c.input, n, err, len(c.input))
			}
		})
	}
}

// allResponseCases returns the cases of all tables.
func allResponseCases() []responseCase {
	return slices.Concat(statusLineCases, responseFieldCases, responseFramingCases, interimCases)
}

// mustParseResponse parses a complete response head.
func mustParseResponse(t *testing.T, method Method, head string) *Response {
	t.Helper()
	lim := Limits{}.Resolve()
	r := new(Response)
	r.Reset(method)
	n, err := r.Parse([]byte(head), &lim)
	if err != nil || n != len(head) {
		t.Fatalf("Parse(%q) = %d, %v", head, n, err)
	}
	return r
}

// responseHead makes a head with the given status and field lines.
func responseHead(status string, lines ...string) string {
	return "HTTP/1.1 " + status + "\r\n" + strings.Join(append(lines, ""), "\r\n") + "\r\n"
}

// ok is responseHead with status 200.
func ok(lines ...string) string { return responseHead("200 OK", lines...) }

// responseSnapshot is everything the methods of a response tell, except Get and its
// like, which depend on the same.
type responseSnapshot struct {
	Length     int
	Err        error
	Status     int
	Reason     string
	Minor      int
	Fields     []string
	BodyLength int64
	Chunked    bool
	Framing    Framing
	KeepAlive  bool
	Interim    bool
	LeavesHTTP bool
	Upgrade    string
	Upgrading  bool
	EOF        string
}

func takeResponse(r *Response, n int, err error) responseSnapshot {
	s := responseSnapshot{Length: n, Err: err}
	if eof := r.EOF(); eof != nil {
		s.EOF = eof.Error()
	}
	if err != nil || n == 0 {
		return s
	}
	s.Status = r.StatusCode()
	s.Reason = string(r.Reason())
	s.Minor = r.Minor()
	for i := range r.NumFields() {
		name, value := r.Field(i)
		s.Fields = append(s.Fields, string(name)+": "+string(value))
	}
	s.BodyLength = r.ContentLength()
	s.Chunked = r.Chunked()
	s.Framing = r.Framing()
	s.KeepAlive = r.KeepAlive()
	s.Interim = r.Interim()
	s.LeavesHTTP = r.LeavesHTTP()
	protocols, upgrading := r.Upgrade()
	s.Upgrade, s.Upgrading = string(protocols), upgrading
	return s
}

// splitResponse parses input which grows to each of the given lengths, and then to
// its whole, each time at another address.
func splitResponse(method Method, input []byte, lim *Limits, ends ...int) responseSnapshot {
	var r Response
	r.Reset(method)
	for _, end := range append(ends, len(input)) {
		part := slices.Clone(input[:end])
		n, err := r.Parse(part, lim)
		if n > 0 || err != nil || end == len(input) {
			return takeResponse(&r, n, err)
		}
		clear(part)
	}
	panic("unreachable")
}

// answer is what a whole exchange comes to: interim responses and a final one with
// its body.
type answer struct {
	Interims []int
	Status   int
	Body     decoded
	Err      error // of a head
	EOF      error // after all input
}

// receive takes a whole exchange from a connection that is closed after input, which
// arrives in pieces that end at the given positions.
func receive(method Method, input []byte, lim *Limits, ends ...int) (a answer) {
	var r Response
	r.Reset(method)
	from := 0
	for i, end := range append(ends, len(input)) {
		for end > from {
			n, err := r.Parse(slices.Clone(input[from:end]), lim)
			if err != nil {
				a.Err, a.EOF = err, r.EOF()
				return a
			}
			if n == 0 {
				break
			}
			from += n
			if !r.Interim() {
				a.Status = r.StatusCode()
				a.receiveBody(&r, lim, input, from, ends[min(i, len(ends)):])
				return a
			}
			a.Interims = append(a.Interims, r.StatusCode())
			r.Next()
		}
	}
	a.EOF = r.EOF()
	return a
}

// receiveBody takes the body, which starts at from.
func (a *answer) receiveBody(r *Response, lim *Limits, input []byte, from int, ends []int) {
	var b Body
	if a.Body.Err = b.InitResponse(r, lim); a.Body.Err == nil {
		var later []int
		for _, end := range ends {
			later = append(later, end-from)
		}
		a.Body = decode(&b, input[from:], later...)
	}
	a.EOF = b.EOF()
}
