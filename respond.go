package ringkit

import (
	"strconv"
	"time"

	"github.com/ringkit/ringkit/http1"
)

// errorRoom is more than the answer to an error takes without the server's name.
const errorRoom = 1 << 10

// appendError appends the whole answer to a request that is not handled.
func appendError(dst []byte, w *worker, e *http1.Error, method http1.Method, last bool) []byte {
	status := strconv.Itoa(e.Status) + " " + http1.StatusText(e.Status)
	text := status + ": " + e.Reason + "\n"
	dst = appendStart(dst, e.Status, w.srv.Name, w.now())
	dst = append(dst, "Content-Type: text/plain; charset=utf-8\r\n"...)
	dst = http1.AppendContentLength(dst, int64(len(text)))
	if e.Status == 503 {
		dst = append(dst, "Retry-After: 1\r\n"...)
	}
	if last {
		dst = append(dst, "Connection: close\r\n"...)
	}
	dst = http1.AppendEnd(dst)
	if method != http1.HEAD {
		dst = append(dst, text...)
	}
	return dst
}

// appendStart appends what every answer starts with.
func appendStart(dst []byte, status int, server string, t time.Time) []byte {
	dst = http1.AppendStatusLine(dst, status)
	dst = appendServer(dst, server)
	return appendDate(dst, t)
}

func appendServer(dst []byte, name string) []byte {
	if name == "" {
		return dst
	}
	return http1.AppendField(dst, "Server", name)
}

// appendPersistence tells the peer what becomes of the connection, where that is
// not what its version implies (RFC 9112, section 9.3).
func appendPersistence(dst []byte, minor int, keepAlive bool) []byte {
	switch {
	case !keepAlive:
		return append(dst, "Connection: close\r\n"...)
	case minor == 0:
		return append(dst, "Connection: keep-alive\r\n"...)
	}
	return dst
}
