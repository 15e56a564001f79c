package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
)

// Multipart is content of the type multipart/form-data (RFC 7578): fields and files. It is
// streamed: of a file no more is in memory than is being sent. If the size of every part is
// known there is a Content-Length; otherwise the content goes in chunks. The zero value
// has no parts. It is not for several goroutines at once, but the requests it makes are
// independent of it.
type Multipart struct {
	parts    []part
	boundary string // "" before the first request
	spent    bool   // a request has been made of contents that can be read only once
	err      error
}

// Part is a part of a [Multipart].
type Part struct {
	// Name is the name of the field.
	Name string

	// FileName is the name of the file; with "" the part is a plain field, unless Content
	// is an *os.File: then it is the last element of that file's name.
	FileName string

	// ContentType is the Content-Type. "" means none for a field; for a file what its
	// name's extension says, or application/octet-stream.
	ContentType string

	// Content is the content, from where it stands; nil is none. It is not closed. What
	// can be read anywhere and has an end, as regular files, [bytes.Reader] and
	// [strings.Reader] have, is read without moving it, and can be sent again. It has to
	// stay open and as it is until the response is there.
	Content io.Reader

	// Size is how many bytes of Content there are to send. 0 means all, however many
	// they are.
	Size int64
}

// part is a part as it is sent.
type part struct {
	header string
	open   func() io.Reader
	size   int64 // -1 if unknown
	once   bool  // open works once
}

var (
	errPartType  = errors.New("client: multipart: control character in a Content-Type")
	errPartSize  = errors.New("client: multipart: negative size")
	errPartSpent = errors.New("client: multipart: content that can be read only once has been sent")
)

// AddField adds a field. Its value is sent as it is; browsers make each line end in it CRLF.
func (m *Multipart) AddField(name, value string) {
	m.AddPart(Part{Name: name, Content: strings.NewReader(value)})
}

// AddFile adds a file, whose type follows from its name. See [Part].
func (m *Multipart) AddFile(name, fileName string, content io.Reader) {
	m.AddPart(Part{Name: name, FileName: fileName, Content: content})
}

// AddPart adds a part. What is wrong with it is the error of NewRequest.
func (m *Multipart) AddPart(p Part) {
	if f, ok := p.Content.(*os.File); ok && p.FileName == "" {
		p.FileName = filepath.Base(f.Name())
	}
	if p.ContentType == "" && p.FileName != "" {
		p.ContentType = mime.TypeByExtension(filepath.Ext(p.FileName))
		if p.ContentType == "" {
			p.ContentType = "application/octet-stream"
		}
	}
	switch {
	case m.err != nil:
	case strings.ContainsFunc(p.ContentType, isControl):
		m.err = errPartType
	case p.Size < 0:
		m.err = errPartSize
	default:
		added := contentOf(p)
		added.header = partHeader(p)
		m.parts = append(m.parts, added)
	}
}

// partHeader returns the header of a part, with the empty line.
func partHeader(p Part) string {
	var b strings.Builder
	b.WriteString(`Content-Disposition: form-data; name="`)
	b.WriteString(escapeName.Replace(normalLines.Replace(p.Name)))
	b.WriteByte('"')
	if p.FileName != "" {
		b.WriteString(`; filename="`)
		b.WriteString(escapeName.Replace(p.FileName))
		b.WriteByte('"')
	}
	b.WriteString("\r\n")
	if p.ContentType != "" {
		b.WriteString("Content-Type: " + p.ContentType + "\r\n")
	}
	b.WriteString("\r\n")
	return b.String()
}

// How the names of fields and files are written (HTML standard, section 4.10.21.8): lines
// of a field's name end in CRLF, and three bytes are percent-encoded.
var (
	normalLines = strings.NewReplacer("\r\n", "\r\n", "\r", "\r\n", "\n", "\r\n")
	escapeName  = strings.NewReplacer("\n", "%0A", "\r", "%0D", `"`, "%22")
)

// contentOf returns how the content of p is read.
func contentOf(p Part) part {
	if p.Content == nil {
		return part{open: func() io.Reader { return strings.NewReader("") }}
	}
	if at, offset, size, ok := section(p.Content); ok {
		if p.Size > 0 {
			size = p.Size
		}
		return part{size: size, open: func() io.Reader {
			return &exactReader{r: io.NewSectionReader(at, offset, size), left: size}
		}}
	}
	once := part{size: -1, once: true, open: func() io.Reader { return p.Content }}
	size := p.Size
	if l, ok := p.Content.(interface{ Len() int }); ok && size == 0 { // a bytes.Buffer
		size = int64(l.Len())
	}
	if size > 0 {
		once.size = size
		once.open = func() io.Reader { return &exactReader{r: p.Content, left: size} }
	}
	return once
}

// section returns where in what content is, and how long that is, if it can be read
// anywhere. Of files only regular ones can, and those of /proc say that they are empty.
func section(content io.Reader) (at io.ReaderAt, offset, size int64, ok bool) {
	at, ok = content.(io.ReaderAt)
	seeker, canSeek := content.(io.Seeker)
	if !ok || !canSeek {
		return nil, 0, 0, false
	}
	if f, isFile := content.(*os.File); isFile {
		if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
			return nil, 0, 0, false
		}
	}
	offset, err := seeker.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, 0, 0, false
	}
	end, err := seeker.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, 0, 0, false
	}
	if _, err := seeker.Seek(offset, io.SeekStart); err != nil {
		return nil, 0, 0, false
	}
	return at, offset, max(0, end-offset), true
}

// exactReader reads left bytes of r, where there have to be that many.
type exactReader struct {
	r    io.Reader
	left int64
}

// Read implements io.Reader. It does not look whether there are more bytes, which could
// take for ever.
func (e *exactReader) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n, err := e.r.Read(p[:min(int64(len(p)), e.left)])
	e.left -= int64(n)
	if err == io.EOF && e.left > 0 {
		err = fmt.Errorf("client: multipart: content shorter than its size: %w", io.ErrUnexpectedEOF)
	}
	return n, err
}

// NewRequest returns a request with m as its content. It has a GetBody, so that it can be
// redirected and repeated, if all contents can be read again; otherwise there can be no
// other request. What is added to m later does not change the request.
//
// Reading the content fails with the errors of the parts' contents, and with
// io.ErrUnexpectedEOF if one of them is shorter than its size.
func (m *Multipart) NewRequest(ctx context.Context, method, url string) (*http.Request, error) {
	switch {
	case m.err != nil:
		return nil, m.err
	case m.spent:
		return nil, errPartSpent
	case m.boundary == "":
		m.boundary = "ringkit-" + rand.Text()
	}
	r, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, err
	}
	parts, boundary := slices.Clone(m.parts), m.boundary
	r.Header.Set("Content-Type", "multipart/form-data; boundary="+boundary)
	r.Body = newMultipartBody(parts, boundary)
	r.ContentLength = lengthOf(parts, boundary)
	m.spent = slices.ContainsFunc(parts, func(p part) bool { return p.once })
	if !m.spent {
		r.GetBody = func() (io.ReadCloser, error) { return newMultipartBody(parts, boundary), nil }
	}
	return r, nil
}

// lengthOf returns how long the content is, -1 if that is not known.
func lengthOf(parts []part, boundary string) int64 {
	length := int64(len(lastDelimiter(boundary)))
	for _, p := range parts {
		if p.size < 0 {
			return -1
		}
		length += int64(len(delimiter(boundary))+len(p.header)) + p.size + int64(len("\r\n"))
	}
	return length
}

func delimiter(boundary string) string     { return "--" + boundary + "\r\n" }
func lastDelimiter(boundary string) string { return "--" + boundary + "--\r\n" }

// multipartBody is a Multipart as it is read.
type multipartBody struct {
	r      io.Reader
	closed atomic.Bool
}

func newMultipartBody(parts []part, boundary string) *multipartBody {
	var readers []io.Reader
	for _, p := range parts {
		readers = append(readers, strings.NewReader(delimiter(boundary)+p.header), p.open(), strings.NewReader("\r\n"))
	}
	readers = append(readers, strings.NewReader(lastDelimiter(boundary)))
	return &multipartBody{r: io.MultiReader(readers...)}
}

// Read implements io.Reader.
func (b *multipartBody) Read(p []byte) (int, error) {
	if b.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	return b.r.Read(p)
}

// Close implements io.Closer. The contents are their owner's to close.
func (b *multipartBody) Close() error {
	b.closed.Store(true)
	return nil
}
