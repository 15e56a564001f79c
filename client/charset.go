package client

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding"
)

// MaxBody limits the body of resp to n bytes, as they are read: after decoding. Reading
// more fails with a *[BodyTooLargeError], at once if the Content-Length is more already.
// That of a response which switches protocols (101) is left alone.
func MaxBody(resp *http.Response, n int64) {
	if resp.Body == nil || resp.StatusCode == http.StatusSwitchingProtocols {
		return
	}
	n = max(0, n)
	l := &limitedBody{limitedReader{r: resp.Body, left: n, limit: n}, resp.Body}
	if resp.ContentLength > n && (resp.Request == nil || resp.Request.Method != http.MethodHead) {
		l.err = &BodyTooLargeError{n}
	}
	resp.Body = l
}

type limitedBody struct {
	limitedReader
	io.Closer
}

// Text reads the body of resp, closes it, and returns it as text in UTF-8. The encoding is,
// as browsers find it (Encoding standard; HTML standard, section 13.2.3.2),
//
//  1. that of a byte order mark, which is left out,
//  2. the charset of the Content-Type, if it is known,
//  3. the charset in a meta element in the first kilobyte, if it is HTML,
//  4. UTF-8, if all of it is that, or if it is JSON, which is nothing else,
//  5. otherwise windows-1252, of which ISO 8859-1 is a part.
//
// What the encoding does not have becomes U+FFFD.
//
// A body of more than limit bytes, before this decoding, is a *[BodyTooLargeError]. Text in
// UTF-8 can be three times as long.
func Text(resp *http.Response, limit int64) (string, error) {
	if resp.Body == nil {
		return "", nil
	}
	defer resp.Body.Close()
	MaxBody(resp, limit)
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	return decodeText(b, resp.Header.Get("Content-Type")), nil
}

// decodeText returns text in UTF-8.
func decodeText(b []byte, contentType string) string {
	media, params, _ := mime.ParseMediaType(contentType)
	from, rest := markOf(b)
	if from == nil {
		from, _ = charset.Lookup(params["charset"])
	}
	if from == nil && (media == "text/html" || media == "application/xhtml+xml") {
		from = metaOf(b)
	}
	if from == nil && !utf8.Valid(rest) && !isJSON(media) {
		from, _ = charset.Lookup("windows-1252")
	}
	if from != nil {
		if decoded, err := from.NewDecoder().Bytes(rest); err == nil {
			rest = decoded
		}
	}
	return strings.ToValidUTF8(string(rest), "\ufffd")
}

// marks are byte order marks, and what they mark.
var marks = []struct{ mark, name string }{
	{"\xef\xbb\xbf", "utf-8"}, {"\xfe\xff", "utf-16be"}, {"\xff\xfe", "utf-16le"},
}

// markOf returns the encoding that a byte order mark says, nil if there is none, and what
// is behind it.
func markOf(b []byte) (encoding.Encoding, []byte) {
	for _, m := range marks {
		if rest, ok := bytes.CutPrefix(b, []byte(m.mark)); ok {
			from, _ := charset.Lookup(m.name)
			return from, rest
		}
	}
	return nil, b
}

// metaOf returns the encoding which an HTML document says it has, nil if it says none or
// UTF-8.
func metaOf(b []byte) encoding.Encoding {
	// Only ASCII matters to this. Where the document says nothing the guess has to be
	// UTF-8, so that it can be told from what the document says.
	head := bytes.Map(func(c rune) rune { return min(c, 0x7f) }, b[:min(len(b), 1021)])
	from, name, _ := charset.DetermineEncoding(append(head, "\u00e9."...), "")
	if name == "utf-8" {
		return nil
	}
	return from
}

// isJSON reports whether a media type is JSON (RFC 8259; RFC 6839, section 3.1).
func isJSON(media string) bool {
	return media == "application/json" || strings.HasSuffix(media, "+json")
}
