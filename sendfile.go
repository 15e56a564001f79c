package ringkit

import (
	"io"
	"io/fs"
	"math"
	"net/http"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/http1"
)

const (
	// gatherFile is up to which length, with what was written before, the content of a
	// file is gathered with the head for one send. Beyond, copying costs more than a second
	// system call.
	gatherFile = 8 << 10

	// sendfileBytes is the most that is sent between two looks at the deadline. Where
	// nobody takes the lead from a handler it leads no longer than that.
	sendfileBytes = 1 << 20
)

// file is what package net takes for an *os.File, too: io.Copy wraps it in a type that
// hides some of its methods.
type file interface {
	fs.File
	io.Seeker
	syscall.Conn
}

// fileIn returns the file that r reads from and how many bytes of it there may be.
func fileIn(r io.Reader) (f file, most int64, limited *io.LimitedReader) {
	most = math.MaxInt64
	if l, ok := r.(*io.LimitedReader); ok {
		r, most, limited = l.R, l.N, l
	}
	f, _ = r.(file)
	return f, most, limited
}

// ReadFrom implements io.ReaderFrom. What comes from a regular file goes to the client
// without being copied, where the length of the answer is declared and the connection
// allows it; otherwise it saves io.Copy a buffer of its own. Who changes the file meanwhile
// may change what is sent.
func (w *responseWriter) ReadFrom(r io.Reader) (n int64, err error) {
	if _, err := w.Write(nil); err != nil {
		return 0, err
	}
	if f, most, limited := fileIn(r); f != nil && most > 0 {
		n, err = w.sendFile(f, most)
		if limited != nil {
			limited.N -= n
		}
		if err != nil || n == most {
			return n, err
		}
	}
	m, err := w.copyFrom(r)
	return n + m, err
}

// copyFrom copies what is left of a source. That may use the ResponseWriter too, so it
// does not read into the answer.
func (w *responseWriter) copyFrom(r io.Reader) (int64, error) {
	buf := copyBuffers.Get().(*[copyBytes]byte)
	n, err := io.CopyBuffer(struct{ io.Writer }{w}, r, buf[:])
	copyBuffers.Put(buf)
	return n, err
}

// sendFile sends the file from where it is read next, most bytes of it and not more
// than was declared. It does not say why it ends before: who goes on reading finds out.
func (w *responseWriter) sendFile(f file, most int64) (n int64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.writable(); err != nil || !w.takesFiles() {
		return 0, err
	}
	if w.length >= 0 {
		most = min(most, w.length-w.written)
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, nil
	}
	// The descriptor is not closed before that has returned.
	_ = raw.Control(func(fd uintptr) {
		if isRegular(int(fd)) {
			n, err = w.transfer(int(fd), most)
		}
	})
	return n, err
}

// takesFiles reports whether what is written becomes the body as it is.
func (w *responseWriter) takesFiles() bool {
	if w.status == http.StatusResetContent {
		return false
	}
	framing := w.framing
	if !w.streaming {
		framing = http1.ResponseFraming(w.method, w.minor, w.status, w.length)
	}
	return framing == http1.Length || framing == http1.UntilClose
}

func isRegular(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG
}

// transfer is sendFile for the descriptor of a regular file.
func (w *responseWriter) transfer(fd int, most int64) (n int64, err error) {
	if !w.streaming && w.has&hasContentType == 0 && len(w.body) < sniffed {
		if n = w.gatherFrom(fd, min(most, int64(sniffed-len(w.body)))); n <= 0 {
			return 0, nil
		}
	}
	for n < most {
		var m int64
		if int64(len(w.body))+most-n > gatherFile {
			m, err = w.sendFrom(fd, most-n)
		}
		if n += m; err != nil || n == most {
			break
		}
		// The end of the file, little of it, or a connection that takes no files now.
		if len(w.body) == maxAnswer {
			if err = w.stream(); err != nil {
				return n, err
			}
		}
		if m = w.gatherFrom(fd, min(most-n, int64(maxAnswer-len(w.body)))); m <= 0 {
			break
		}
		n += m
	}
	return n, err
}

// sniffed is how much of a body its type is found by.
const sniffed = 512

// gatherFrom reads once, up to n bytes, into the answer. It returns how many there
// were, less than 0 for an error.
func (w *responseWriter) gatherFrom(fd int, n int64) int64 {
	at := len(w.body)
	w.body = slices.Grow(w.body, int(n))
	for {
		m, err := unix.Read(fd, w.body[at:at+int(n)])
		if err == unix.EINTR {
			continue
		}
		if m > 0 {
			w.body = w.body[:at+m]
			w.written += int64(m)
		}
		return int64(m)
	}
}

// sendFrom borrows the connection and sends what there is to send, and then from the
// file, as far as both go. 0 says that they do not.
func (w *responseWriter) sendFrom(fd int, most int64) (n int64, err error) {
	c := w.call
	cn := c.borrow()
	if cn == nil {
		return 0, nil
	}
	first := make([]byte, 0, w.room())
	if !w.streaming {
		w.streaming = true
		first = w.appendHead(first, w.length)
	}
	first = w.appendBody(first)
	n, sent, ok := c.sendLent(cn, first, fd, most)
	w.written += n
	if c.giveBack(cn); ok && sent < len(first) {
		ok = c.send(first[sent:])
	}
	if !ok {
		w.gone = true
		return n, w.errGone()
	}
	return n, nil
}

// sendLent sends first and then from the file on a borrowed connection. It reports
// false when the client or the time is gone.
func (c *call) sendLent(cn *conn.Conn, first []byte, file int, most int64) (n int64, sent int, ok bool) {
	m, ok := c.push(cn, int64(len(first)), func(done, left int64) (int, error) {
		flags := unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL
		if !cn.Secured() {
			flags |= unix.MSG_MORE // the file joins it in one packet; kernel TLS would keep it for a whole record
		}
		return unix.SendmsgN(cn.FD(), first[done:], nil, nil, flags)
	})
	if sent = int(m); !ok || sent < len(first) {
		return 0, sent, ok
	}
	n, ok = c.push(cn, most, func(_, left int64) (int, error) {
		return unix.Sendfile(cn.FD(), file, nil, int(min(left, sendfileBytes)))
	})
	return n, sent, ok
}

// push repeats a system call that sends up to left bytes, done being behind it, until
// all are sent or it sends nothing though it waited: the file ends, something fails, or the peer
// has ended its side, which ends a wait at once. It reports false when the client or the time is gone.
func (c *call) push(cn *conn.Conn, most int64, send func(done, left int64) (int, error)) (done int64, ok bool) {
	for waited := false; done < most; {
		if c.expired() {
			return done, false
		}
		n, err := send(done, most-done)
		if cn.Secured() && int64(n) < min(most-done, sendfileBytes) && cn.Gone() {
			// Kernel TLS (as of 7.3) goes on taking a record and throwing it away, and
			// reports that as a call cut short.
			return done, false
		}
		switch {
		case n > 0:
			done += int64(n)
			c.lent += int64(n)
			waited = false
			if done > sendfileBytes && !cn.Loop().Watched() && c.lead.Hold() {
				c.lead.Leave() // nobody takes it
			}
		case err == unix.EINTR:
		case err == unix.EAGAIN && !waited:
			waited = true
			if !c.awaitRoom(cn) {
				return done, false
			}
		default:
			return done, true
		}
	}
	return done, true
}

// borrow borrows the connection from the loop; nil says that it is not lent now.
func (c *call) borrow() (lent *conn.Conn) {
	if c.w.simulated {
		return nil
	}
	if c.lead.Hold() {
		if cn := c.handle.Conn(); cn != nil && cn.Borrow() {
			lent = cn
		}
		c.lead.Continue()
		return lent
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.await() { // another goroutine's piece comes first
		return nil
	}
	waiting := true
	c.wait = true
	c.piece.Value = func(*conn.Loop) {
		c.mu.Lock()
		if cn := c.handle.Conn(); waiting && cn != nil && cn.Borrow() {
			lent = cn
		}
		c.mu.Unlock()
		c.proceed(false)
	}
	c.w.loop.Post(&c.piece)
	c.await()
	waiting = false
	return lent
}

// giveBack ends borrow.
func (c *call) giveBack(cn *conn.Conn) {
	sent := c.takeLent()
	if c.lead.Hold() {
		cn.GiveBack(sent)
		c.lead.Continue()
		return
	}
	c.w.loop.Do(func(*conn.Loop) { cn.GiveBack(sent) })
}

// takeLent returns what has been sent on a borrowed connection and the loop does not
// know of.
func (c *call) takeLent() (n int64) {
	n, c.lent = c.lent, 0
	return n
}

// awaitRoom waits until a borrowed connection takes data again, and reports whether it
// is still there.
func (c *call) awaitRoom(cn *conn.Conn) bool {
	sent := c.takeLent()
	ask := func(*conn.Loop) {
		c.full = true
		cn.AwaitRoom(sent)
	}
	holds := c.lead.Hold()
	c.mu.Lock()
	defer c.mu.Unlock()
	if holds {
		ask(nil)
		c.wait = !c.over
		c.lead.Leave()
		return c.await()
	}
	if !c.await() {
		return false
	}
	c.wait = true
	c.piece.Value = ask
	c.w.loop.Post(&c.piece)
	return c.await()
}
