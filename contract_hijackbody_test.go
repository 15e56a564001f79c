package ringkit

import (
	"io"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
	"testing"
)

// What a handler has not read of the body before it takes the connection over is the
// beginning of what it reads there: all of it, whether it had come before or not, and
// then what came behind.
func TestContractHijackUnreadBody(t *testing.T) {
	handler := act(func(t testing.TB, w http.ResponseWriter, r *http.Request) {
		used, _ := strconv.Atoi(r.URL.Query().Get("used"))
		if n, err := io.ReadFull(r.Body, make([]byte, used)); err != nil {
			t.Errorf("the body: %d bytes, %v", n, err)
		}
		h := hijack(t, w)
		defer h.Close()
		var body io.Reader
		if len(r.TransferEncoding) > 0 {
			body = httputil.NewChunkedReader(h.Reader)
		} else {
			body = io.LimitReader(h.ReadWriter, r.ContentLength-int64(used))
		}
		rest, err := io.ReadAll(body)
		if err != nil {
			t.Errorf("the rest of the body: %v", err)
		}
		if len(r.TransferEncoding) > 0 {
			hear(t, h.ReadWriter, "\r\n") // the end of the trailer section
		}
		hear(t, h.ReadWriter, "BEHIND")
		h.say(t, strconv.Itoa(len(rest))+" "+string(rest[:min(8, len(rest))])+";")
	})
	sizes := []int{8, 1000, 60_000, 200_000}
	play(t, handler, func(t *testing.T, s *stage) {
		for _, size := range sizes {
			content := pattern(size)
			for _, used := range []int{0, 8, size / 2 / 8 * 8, size} {
				for _, framing := range []string{withLength(size), withChunks} {
					body := content
					if framing == withChunks {
						if used != 0 && used != size {
							continue // with net/http it is the middle of a chunk
						}
						body = inChunks(content, 10_000) + "0\r\n\r\n"
					}
					if framing == withChunks && used == size {
						continue // whether the last chunk counts as read depends on how it came
					}
					for _, cut := range []int{0, len(body) / 3, len(body)} {
						p := s.dial()
						p.send(ask("POST", "/?used="+strconv.Itoa(used), framing) + body[:cut])
						p.sendAside(body[cut:] + "BEHIND")
						left := content[used:]
						want := strconv.Itoa(len(left)) + " " + left[:min(8, len(left))] + ";"
						p.expectData(want)
						p.expectEnd()
					}
				}
			}
		}
	})
}

// Here the middle of a body in chunks is the beginning of a chunk, and who has read
// all of the content finds nothing of the body.
func TestHijackInTheMiddleOfChunks(t *testing.T) {
	content := pattern(30_000)
	handler := std(func(w http.ResponseWriter, r *http.Request) {
		used, _ := strconv.Atoi(r.URL.Query().Get("used"))
		if _, err := io.ReadFull(r.Body, make([]byte, used)); err != nil {
			t.Errorf("the body: %v", err)
		}
		h := hijack(t, w)
		defer h.Close()
		if _, err := r.Body.Read(make([]byte, 1)); err != http.ErrHijacked {
			t.Errorf("Read after Hijack: %v, want %v", err, http.ErrHijacked)
		}
		if used < len(content) {
			rest, err := io.ReadAll(httputil.NewChunkedReader(h.Reader))
			if err != nil || string(rest) != content[used:] {
				t.Errorf("%d used: %d bytes, %v; want %d", used, len(rest), err, len(content)-used)
			}
			hear(t, h.ReadWriter, "A: b\r\n\r\n")
		}
		hear(t, h.ReadWriter, "BEHIND")
		h.say(t, "done")
	})
	eachEngine(t, func(t *testing.T, e engine) {
		s := serve(t, e, &Server{Handler: handler})
		for _, used := range []int{0, 1, 7000, 20_000, len(content)} {
			p := s.dial()
			p.send(ask("POST", "/?used="+strconv.Itoa(used), withChunks) + strings.TrimSuffix(inChunks(content, 7000), "\r\n") + "\r\n0\r\nA: b\r\n\r\nBEHIND")
			p.expectData("done")
			p.expectEnd()
		}
	})
}
