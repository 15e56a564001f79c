// Package ws is what the servers of WebSockets and of events that are measured have in
// common, and WebSockets by bare system calls, which take no memory of the one who has them.
package ws

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/bench/internal/client"
)

// What a server does with the messages of a WebSocket that was opened on a path.
const (
	Echo = "/ws/echo" // each is sent back
	Room = "/ws/room" // each is sent to all that are open on this path
)

// Joined is the text message that a server sends to whom it has let into the room: from
// then on all that is sent there reaches it.
const Joined = "joined"

const (
	key    = "dGhlIHNhbXBsZSBub25jZQ=="     // of RFC 6455, section 1.3
	accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" // the answer to it
	offer  = "permessage-deflate; client_max_window_bits"

	compressed = 0x40 // RSV1
	masked     = 0x80

	maxHead = 4096

	// stallTime is after how long without progress there is going to be none.
	stallTime = 10 * time.Second
)

// First bytes of frames, with FIN.
const (
	TextFrame    = 0x81
	DeflatedText = TextFrame | compressed
	PingFrame    = 0x89
	pongFrame    = 0x8A
)

var errStalled = fmt.Errorf("nothing has happened for %v", stallTime)

// Dial opens a WebSocket. With deflate it offers compression, as a browser does, and the
// server has to agree.
func Dial(port int, path string, deflate bool) (client.Socket, error) {
	s, err := client.DialSocket(port)
	if err != nil {
		return s, err
	}
	if err := handshake(s, path, deflate); err != nil {
		s.Close()
		return -1, fmt.Errorf("handshake: %w", err)
	}
	return s, nil
}

func handshake(s client.Socket, path string, deflate bool) error {
	if err := writeAll(s, Upgrade(path, deflate)); err != nil {
		return err
	}
	// One byte at a time would be slow, and frames may follow: the head is looked at first.
	buf := make([]byte, maxHead)
	n, err := recv(s, buf, unix.MSG_PEEK)
	if err != nil {
		return err
	}
	end, err := Upgraded(buf[:n], deflate)
	switch {
	case err != nil:
		return err
	case end == 0:
		return fmt.Errorf("no head in one piece: %q", buf[:n])
	}
	_, err = recv(s, buf[:end], 0)
	return err
}

// Upgrade returns the request that opens a WebSocket. With deflate it offers compression,
// as a browser does.
func Upgrade(path string, deflate bool) []byte {
	request := "GET " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + "\r\n"
	if deflate {
		request += "Sec-WebSocket-Extensions: " + offer + "\r\n"
	}
	return []byte(request + "\r\n")
}

// Upgraded checks the answer to Upgrade at the start of data and returns the length of its
// head, or 0 while it is incomplete.
func Upgraded(data []byte, deflate bool) (int, error) {
	end := bytes.Index(data, []byte("\r\n\r\n"))
	if end < 0 {
		if len(data) > maxHead {
			return 0, fmt.Errorf("a head of more than %d bytes", maxHead)
		}
		return 0, nil
	}
	head := string(data[:end])
	switch agreed := strings.Contains(head, "permessage-deflate"); {
	case !strings.HasPrefix(head, "HTTP/1.1 101 "), !strings.Contains(head, accept):
		return 0, fmt.Errorf("the answer is %q", head)
	case agreed != deflate:
		return 0, fmt.Errorf("compression: %v, want %v", agreed, deflate)
	}
	return end + 4, nil
}

// Exchange sends a frame and reads the message that comes back, of which it is checked that
// it comes in one final frame; scratch has to have room for it.
func Exchange(s client.Socket, frame, scratch []byte) error {
	if err := writeAll(s, frame); err != nil {
		return err
	}
	_, err := readFrame(s, scratch)
	return err
}

// readFrame reads one frame, behind which nothing is expected, and returns its payload.
func readFrame(s client.Socket, scratch []byte) ([]byte, error) {
	for have := 0; ; {
		n, err := recv(s, scratch[have:], 0)
		if err != nil {
			return nil, err
		}
		have += n
		head, size := ParseFrame(scratch[:have])
		switch {
		case scratch[0]&^compressed != TextFrame:
			return nil, fmt.Errorf("a frame that begins with %#x", scratch[0])
		case head > 0 && have == head+size:
			return scratch[head:have], nil
		case head > 0 && (have > head+size || head+size > len(scratch)):
			return nil, fmt.Errorf("%d bytes for a frame of %d", have, head+size)
		}
	}
}

// ParseFrame returns the length of a server's frame header and of its payload, 0 while the
// header is incomplete.
func ParseFrame(b []byte) (head, size int) {
	switch {
	case len(b) < 2:
		return 0, 0
	case b[1] < 126:
		return 2, int(b[1])
	case len(b) < 4:
		return 0, 0
	}
	return 4, int(binary.BigEndian.Uint16(b[2:]))
}

// ClientFrame returns a text message in one frame, as a client sends it.
func ClientFrame(payload []byte) []byte { return clientFrame(TextFrame, payload) }

// DeflatedFrame is ClientFrame with the payload compressed.
func DeflatedFrame(payload []byte) []byte {
	var b bytes.Buffer
	z, err := flate.NewWriter(&b, flate.BestSpeed)
	if err == nil {
		_, err = z.Write(payload)
	}
	if err = errors.Join(err, z.Flush()); err != nil {
		panic(err) // there is nothing that could fail
	}
	return clientFrame(TextFrame|compressed, bytes.TrimSuffix(b.Bytes(), []byte{0, 0, 0xFF, 0xFF}))
}

// Inflate returns what was compressed, at most n bytes of it.
func Inflate(payload []byte, n int) ([]byte, error) {
	// What RFC 7692, section 7.2.1 leaves out, and an empty last block, which ends it.
	tail := []byte{0, 0, 0xFF, 0xFF, 1, 0, 0, 0xFF, 0xFF}
	z := flate.NewReader(io.MultiReader(bytes.NewReader(payload), bytes.NewReader(tail)))
	return io.ReadAll(io.LimitReader(z, int64(n)))
}

// Pong returns the answer to a Ping of the server.
func Pong(ping []byte) []byte {
	head, size := ParseFrame(ping)
	return clientFrame(pongFrame, ping[head:head+size])
}

func clientFrame(first byte, payload []byte) []byte {
	frame := frameHead(first, len(payload))
	mask := [4]byte{0x12, 0x34, 0x56, 0x78}
	frame = append(frame, mask[:]...)
	for i, c := range payload {
		frame = append(frame, c^mask[i%4])
	}
	return frame
}

// frameHead returns the beginning of a frame of less than 64 KiB.
func frameHead(first byte, n int) []byte {
	if n < 126 {
		return []byte{first, masked | byte(n)}
	}
	return []byte{first, masked | 126, byte(n >> 8), byte(n)}
}

// Payload returns a text of n bytes.
func Payload(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte((i+i/26)%26)
	}
	return b
}

func writeAll(s client.Socket, data []byte) error {
	for len(data) > 0 {
		n, err := unix.Write(int(s), data)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			if err := awaitRoom(s); err != nil {
				return err
			}
			continue
		case err != nil:
			return fmt.Errorf("write: %w", err)
		}
		data = data[n:]
	}
	return nil
}

// awaitRoom waits until more can be written.
func awaitRoom(s client.Socket) error {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(s), Events: unix.POLLOUT}}, int(stallTime.Milliseconds()))
	if err == unix.EINTR {
		return nil
	}
	if err == nil && n == 0 {
		return errStalled
	}
	return err
}

func recv(s client.Socket, buf []byte, flags int) (int, error) {
	for {
		n, _, err := unix.Recvfrom(int(s), buf, flags)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return 0, fmt.Errorf("read: %w", err)
		case n == 0:
			return 0, io.ErrUnexpectedEOF
		}
		return n, nil
	}
}
