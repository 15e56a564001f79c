package client

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// writeFlusher is what all the encoders are.
type writeFlusher interface {
	io.WriteCloser
	Flush() error
}

// encoders are the formats of bodies, with the name to put into Content-Encoding.
var encoders = []struct {
	format, coding string
	make           func(w io.Writer) writeFlusher
}{
	{"gzip", "gzip", func(w io.Writer) writeFlusher { return gzip.NewWriter(w) }},
	{"x-gzip", "x-gzip", func(w io.Writer) writeFlusher { return gzip.NewWriter(w) }},
	{"zlib", "deflate", func(w io.Writer) writeFlusher { return zlib.NewWriter(w) }},
	{"bare", "deflate", func(w io.Writer) writeFlusher { return must(flate.NewWriter(w, flate.DefaultCompression)) }},
	{"br", "br", func(w io.Writer) writeFlusher { return brotli.NewWriterLevel(w, 4) }},
	{"zstd", "zstd", func(w io.Writer) writeFlusher {
		return must(zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true)))
	}},
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// encode returns text in a format of encoders.
func encode(t testing.TB, format string, text []byte) []byte {
	t.Helper()
	for _, e := range encoders {
		if e.format != format {
			continue
		}
		var b bytes.Buffer
		w := e.make(&b)
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	t.Fatalf("no encoder for %s", format)
	return nil
}

// decode returns what wire is without its codings.
func decode(encoding string, wire io.Reader, limit int64) ([]byte, error) {
	r, err := decodeBody(encoding, io.NopCloser(wire), limit)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// prose returns n bytes that compress somewhat.
func prose(n int) []byte {
	words := strings.Fields("a body of words that come again and again but in no order which anybody could foresee")
	random := rand.New(rand.NewPCG(1, uint64(n)))
	var b []byte
	for len(b) < n {
		b = append(append(b, words[random.IntN(len(words))]...), ' ')
	}
	return b[:n]
}

func TestDecode(t *testing.T) {
	for _, e := range encoders {
		for _, n := range []int{0, 1, 100, 5000, 300_000} {
			text := prose(n)
			wire := encode(t, e.format, text)
			for name, r := range map[string]io.Reader{
				"whole":        bytes.NewReader(wire),
				"with its end": iotest.DataErrReader(bytes.NewReader(wire)),
				"halves":       iotest.HalfReader(bytes.NewReader(wire)),
				"bytes":        iotest.OneByteReader(bytes.NewReader(wire)),
			} {
				got, err := decode(e.coding, r, int64(n))
				if err != nil || !bytes.Equal(got, text) {
					t.Errorf("%s, %d bytes, %s: got %d bytes, %v", e.format, n, name, len(got), err)
				}
			}
		}
	}
}

// An end of br whose last bits come by themselves: encoders differ in how they end.
func TestDecodeEndOfBrotli(t *testing.T) {
	wire := "\x1b!\x01\x00\x04\xb2\xcd* z\xcf.Z^\x06y84\xdb\x81\xc3\xbe\xdfy%]8\x8c\xe3f\xe10\xc100\xc8\xcd\xf9\xfa'\"" +
		"\xda\xfeaC1010 \x9b0 ZA7a00\xcf1\xc41bB01a02000\xf0 1A00\xa482002XA9aA00200cx0C40\x8aC000090\x19"
	want, err := decode("br", strings.NewReader(wire), 1000)
	if err != nil || len(want) != 290 {
		t.Fatalf("%d bytes, %v", len(want), err)
	}
	got, err := decode("br", iotest.OneByteReader(strings.NewReader(wire)), 1000)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("byte by byte: %d bytes, %v", len(got), err)
	}
	got, err = decode("br", iotest.OneByteReader(strings.NewReader(wire+"\x00")), 1000)
	if _, ok := errors.AsType[*CodingError](err); !ok || !bytes.Equal(got, want) {
		t.Errorf("with a byte more: %d bytes, %v", len(got), err)
	}
}

func TestDecodeLists(t *testing.T) {
	text := prose(1000)
	gz := encode(t, "gzip", text)
	for _, test := range []struct {
		encoding string
		wire     []byte
	}{
		{"", text},
		{"identity", text},
		{" , ,identity,\t", text},
		{"GZip", gz},
		{"identity, gzip", gz},
		{"gzip,identity", gz},
		{"gzip, br", encode(t, "br", gz)},
		{"gzip, br ,zstd", encode(t, "zstd", encode(t, "br", gz))},
		{"gzip,br,zstd,deflate", encode(t, "zlib", encode(t, "zstd", encode(t, "br", gz)))},
	} {
		got, err := decode(test.encoding, bytes.NewReader(test.wire), 1000)
		if err != nil || !bytes.Equal(got, text) {
			t.Errorf("%q: got %d bytes, %v", test.encoding, len(got), err)
		}
	}
	for _, encoding := range []string{
		"compress", "gzip, compress", "gzip;q=1", "*", "br br", "gzip,gzip,gzip,gzip,gzip", "aes128gcm",
	} {
		_, err := decode(encoding, strings.NewReader("untouched"), 1000)
		if _, ok := errors.AsType[*CodingError](err); !ok {
			t.Errorf("%q: %v", encoding, err)
		}
	}
}

// Who accepts a coding has to know it.
func TestAcceptEncoding(t *testing.T) {
	for name := range strings.SplitSeq(acceptEncoding(), ", ") {
		if codings[name] == nil {
			t.Errorf("%q is accepted and not known", name)
		}
	}
}

// A body of no bytes, as after HEAD, is nothing in every coding.
func TestDecodeNothing(t *testing.T) {
	for _, encoding := range []string{"gzip", "deflate", "br", "zstd", "gzip, zstd"} {
		if got, err := decode(encoding, strings.NewReader(""), 10); err != nil || len(got) > 0 {
			t.Errorf("%s: %q, %v", encoding, got, err)
		}
	}
}

func TestDecodeTruncated(t *testing.T) {
	text := prose(2000)
	for _, e := range encoders {
		wire := encode(t, e.format, text)
		for n := 1; n < len(wire); n++ {
			_, err := decode(e.coding, bytes.NewReader(wire[:n]), 1<<20)
			why, ok := errors.AsType[*CodingError](err)
			if !ok || why.Err != io.ErrUnexpectedEOF {
				t.Fatalf("%s, %d of %d bytes: %v", e.format, n, len(wire), err)
			}
		}
	}
}

// All the fields a header of gzip can have, and no byte of it missing.
func TestDecodeTruncatedGzipHeader(t *testing.T) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Name, w.Comment, w.Extra = "name", "comment", []byte("extra")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	wire := b.Bytes()
	if got, err := decode("gzip", bytes.NewReader(wire), 0); err != nil || len(got) > 0 {
		t.Fatalf("whole: %q, %v", got, err)
	}
	for _, before := range [][]byte{nil, encode(t, "gzip", []byte("before"))} {
		for n := 1; n < len(wire); n++ {
			_, err := decode("gzip", io.MultiReader(bytes.NewReader(before), bytes.NewReader(wire[:n])), 100)
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%d of %d bytes behind %d: %v", n, len(wire), len(before), err)
			}
		}
	}
}

// The same decoders come out of the pool again, whatever happened to them before.
func TestDecodeGarbage(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 3))
	text := prose(3000)
	for _, e := range encoders {
		wire := encode(t, e.format, text)
		for i := range 300 {
			spoilt := bytes.Clone(wire)
			for range 1 + i%5 {
				spoilt[random.IntN(len(spoilt))] ^= byte(1 + random.IntN(255))
			}
			got, err := decode(e.coding, bytes.NewReader(spoilt), 1<<20)
			if why, ok := errors.AsType[*CodingError](err); ok && codings[why.Coding] != codings[e.coding] {
				t.Fatalf("%s: error of another coding: %v", e.format, err)
			}
			if err == nil && !bytes.Equal(got, text) && e.format != "bare" && e.format != "br" {
				t.Fatalf("%s: garbage that its checksum has not found", e.format) // it has 32 bits
			}
			if got, err := decode(e.coding, bytes.NewReader(wire), 3000); err != nil || !bytes.Equal(got, text) {
				t.Fatalf("%s: after garbage: %d bytes, %v", e.format, len(got), err)
			}
		}
		_, err := decode(e.coding, strings.NewReader("This is no compressed data at all."), 1<<20)
		if why, ok := errors.AsType[*CodingError](err); !ok || codings[why.Coding] != codings[e.coding] {
			t.Errorf("%s: %v", e.format, err)
		}
	}
}

// Members of gzip and frames of zstd follow each other; nothing else follows anything.
func TestDecodeBehindTheEnd(t *testing.T) {
	text := prose(500)
	for _, e := range encoders {
		wire := encode(t, e.format, text)
		twice := append(bytes.Clone(wire), wire...)
		got, err := decode(e.coding, bytes.NewReader(twice), 1000)
		if e.format == "gzip" || e.format == "x-gzip" || e.format == "zstd" {
			if err != nil || len(got) != 1000 {
				t.Errorf("%s: twice: %d bytes, %v", e.format, len(got), err)
			}
		} else if _, ok := errors.AsType[*CodingError](err); !ok {
			t.Errorf("%s: twice: %v", e.format, err)
		}
		for _, tail := range []string{"\x00", "\n", "garbage behind the end of it"} {
			got, err := decode(e.coding, strings.NewReader(string(wire)+tail), 1000)
			if _, ok := errors.AsType[*CodingError](err); !ok || !bytes.Equal(got, text) {
				t.Errorf("%s: with %q: %d bytes, %v", e.format, tail, len(got), err)
			}
		}
	}
}

func TestDecodeLimit(t *testing.T) {
	text := prose(20_000)
	check := func(encoding string, wire []byte, limit int64) {
		t.Helper()
		got, err := decode(encoding, bytes.NewReader(wire), limit)
		why, tooLarge := errors.AsType[*BodyTooLargeError](err)
		switch {
		case limit >= int64(len(text)):
			if err != nil || !bytes.Equal(got, text) {
				t.Errorf("%q, limit %d: %d bytes, %v", encoding, limit, len(got), err)
			}
		case !tooLarge || why.Limit != limit || int64(len(got)) != limit:
			t.Errorf("%q, limit %d: %d bytes, %v", encoding, limit, len(got), err)
		}
	}
	for _, limit := range []int64{0, 1, 19_999, 20_000, 20_001, 1<<63 - 1} {
		check("", text, limit)
		for _, e := range encoders {
			check(e.coding, encode(t, e.format, text), limit)
		}
		check("br, gzip", encode(t, "gzip", encode(t, "br", text)), limit)
	}
	// What does not compress is longer between two codings than behind them.
	noise := make([]byte, 100_000)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	wire := encode(t, "gzip", encode(t, "zlib", noise))
	if got, err := decode("deflate, gzip", bytes.NewReader(wire), 100_000); err != nil || !bytes.Equal(got, noise) {
		t.Errorf("noise: %d bytes, %v", len(got), err)
	}
}

// zeros reads as n zeros.
type zeros struct{ n int }

func (z *zeros) Read(p []byte) (int, error) {
	if z.n == 0 {
		return 0, io.EOF
	}
	n := min(z.n, len(p))
	clear(p[:n])
	z.n -= n
	return n, nil
}

// A body that grows a thousand times takes neither more than its limit nor more memory
// than the windows need.
func TestDecodeBombs(t *testing.T) {
	if testing.Short() {
		t.Skip("makes half a gigabyte of zeros")
	}
	const limit = 64 << 20
	for _, e := range encoders {
		var wire bytes.Buffer
		w := e.make(&wire)
		if _, err := io.Copy(w, &zeros{limit + limit/2}); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if ratio := limit / wire.Len(); ratio < 600 {
			t.Errorf("%s: this is no bomb: %d:1", e.format, ratio)
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		r, err := decodeBody(e.coding, io.NopCloser(&wire), limit)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, r)
		r.Close()
		runtime.ReadMemStats(&after)
		if _, ok := errors.AsType[*BodyTooLargeError](err); !ok || n != limit {
			t.Errorf("%s: %d bytes, %v", e.format, n, err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 40<<20 {
			t.Errorf("%s: took %d bytes", e.format, used)
		}
	}
}

// A bomb between two codings is one too, though nothing comes out in the end.
func TestDecodeBombInside(t *testing.T) {
	empty := encode(t, "gzip", nil)
	wire := encode(t, "zstd", bytes.Repeat(empty, 1<<20/len(empty)))
	got, err := decode("gzip, zstd", bytes.NewReader(wire), 64<<10)
	if why, ok := errors.AsType[*BodyTooLargeError](err); !ok || why.Limit != 64<<10 || len(got) > 0 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// RFC 9659, section 3: a window of zstd has at most 8 MiB, which can be said in two ways.
func TestDecodeWindowOfZstd(t *testing.T) {
	const (
		magic   = "\x28\xb5\x2f\xfd"
		nothing = "\x01\x00\x00" // the last block, raw, of no bytes
	)
	for _, test := range []struct {
		name, wire string
		ok         bool
	}{
		{"8 MiB", magic + "\x00" + "\x68" + nothing, true},
		{"9 MiB", magic + "\x00" + "\x69" + nothing, false},
		{"2 GiB", magic + "\x00" + "\xa8" + nothing, false},
		{"single segment of 8 MiB + 1", magic + "\xa0" + "\x01\x00\x80\x00" + nothing, false},
		{"single segment of 4 GiB - 1", magic + "\xa0" + "\xff\xff\xff\xff" + nothing, false},
		{"single segment of 16 EiB", magic + "\xe0" + "\xff\xff\xff\xff\xff\xff\xff\xff" + nothing, false},
	} {
		_, err := decode("zstd", strings.NewReader(test.wire), 1<<30)
		if _, refused := errors.AsType[*CodingError](err); refused == test.ok || !refused && err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// What a server has flushed can be read before it sends more.
func TestDecodeFlushed(t *testing.T) {
	for _, e := range encoders {
		in, out := io.Pipe()
		r, err := decodeBody(e.coding, in, 1000)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			w := e.make(out)
			io.WriteString(w, "first ")
			w.Flush()
			io.WriteString(w, "second")
			w.Flush() // and no end
		}()
		done := make(chan bool)
		go func() {
			defer close(done)
			for _, want := range []string{"first ", "second"} {
				got := ""
				buf := make([]byte, 100)
				for len(got) < len(want) {
					n, err := r.Read(buf)
					if got += string(buf[:n]); err != nil {
						t.Errorf("%s: %v", e.format, err)
						return
					}
				}
				if got != want {
					t.Errorf("%s: got %q, want %q", e.format, got, want)
				}
			}
		}()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			t.Errorf("%s: what was flushed does not arrive", e.format)
		}
		r.Close() // ends what has not ended
		<-done
	}
}

// closer is a body that notes what is done with it.
type closer struct {
	io.Reader
	read, closed int
}

func (c *closer) Read(p []byte) (int, error) { c.read++; return c.Reader.Read(p) }
func (c *closer) Close() error               { c.closed++; return nil }

func TestDecodeClose(t *testing.T) {
	for _, e := range encoders {
		body := &closer{Reader: bytes.NewReader(encode(t, e.format, prose(500_000)))}
		r, err := decodeBody(e.coding, body, 1<<20)
		if err != nil || body.read > 0 {
			t.Fatalf("%s: %d reads, %v", e.format, body.read, err)
		}
		if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
			t.Errorf("%s: %v", e.format, err)
		}
		for range 2 {
			if err := r.Close(); err != nil || body.closed != 1 {
				t.Errorf("%s: closed %d times, %v", e.format, body.closed, err)
			}
		}
		if n, err := r.Read(make([]byte, 10)); n != 0 || err != http.ErrBodyReadAfterClose {
			t.Errorf("%s: read %d bytes after Close, %v", e.format, n, err)
		}
	}
}

// Close ends a Read that waits.
func TestDecodeCloseWhileReading(t *testing.T) {
	for _, e := range encoders {
		in, out := io.Pipe()
		r, err := decodeBody(e.coding+", "+e.coding, in, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		result := make(chan error)
		go func() {
			_, err := io.ReadAll(r)
			result <- err
		}()
		wire := encode(t, e.format, encode(t, e.format, prose(10_000)))
		if _, err := out.Write(wire[:len(wire)/2]); err != nil { // has been read when this returns
			t.Fatal(err)
		}
		r.Close()
		if err := <-result; err == nil {
			t.Errorf("%s: closed, and no error", e.format)
		}
	}
}

// Errors of the body are its own.
func TestDecodePassesErrors(t *testing.T) {
	broken := errors.New("the network is gone")
	for _, e := range encoders {
		wire := encode(t, e.format, prose(10_000))
		for _, n := range []int{0, 1, 5, len(wire) / 2, len(wire)} {
			body := io.MultiReader(bytes.NewReader(wire[:n]), iotest.ErrReader(broken))
			if _, err := decode(e.coding, body, 1<<20); err != broken {
				t.Errorf("%s after %d of %d bytes: %v", e.format, n, len(wire), err)
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	names := []string{"gzip", "deflate", "br", "zstd", "gzip, zstd", "br, deflate"}
	for _, e := range encoders {
		for i := range names {
			f.Add(encode(f, e.format, prose(300)), i)
		}
	}
	f.Fuzz(func(t *testing.T, wire []byte, which int) {
		const limit = 1 << 16
		encoding := names[uint(which)%uint(len(names))]
		whole, wholeErr := decode(encoding, bytes.NewReader(wire), limit)
		if len(whole) > limit {
			t.Fatalf("%s: %d bytes beyond the limit of %d", encoding, len(whole), limit)
		}
		split, err := decode(encoding, iotest.OneByteReader(bytes.NewReader(wire)), limit)
		if (err == nil) != (wholeErr == nil) || err == nil && !bytes.Equal(split, whole) {
			t.Fatalf("%s: %d bytes, %v; byte by byte %d bytes, %v", encoding, len(whole), wholeErr, len(split), err)
		}
	})
}
