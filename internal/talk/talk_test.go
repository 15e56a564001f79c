package talk

import (
	"errors"
	"io"
	"testing"

	"github.com/ringkit/ringkit/conn"
	"github.com/ringkit/ringkit/wsock"
)

func TestQueueCountsAndForgets(t *testing.T) {
	var q Queue
	if !q.Empty() || q.Pieces() != 0 || q.Waiting() != 0 || q.Posted() {
		t.Errorf("the zero queue: %+v", q)
	}
	q.SetHead([]byte("head"))
	q.Add([]byte("one"))
	q.Add([]byte("three"))
	if q.Empty() || q.Pieces() != 2 || q.Waiting() != 8+2*pieceCost {
		t.Errorf("two pieces: %d, which count for %d", q.Pieces(), q.Waiting())
	}
	q.Drop()
	if q.Pieces() != 1 || q.Waiting() != 5+pieceCost || string(q.q.pending[0]) != "three" {
		t.Errorf("the oldest dropped: %d pieces, which count for %d", q.Pieces(), q.Waiting())
	}
	q.Drop()
	if q.Empty() {
		t.Error("the head was dropped")
	}
	q.Clear()
	if !q.Empty() || q.q != nil {
		t.Errorf("cleared: %+v", q.q)
	}
}

// Who waits for room keeps the queue's memory, and is woken once.
func TestQueueWakes(t *testing.T) {
	var q Queue
	room := q.Room()
	if q.Room() != room {
		t.Error("two who wait are not woken together")
	}
	select {
	case <-room:
		t.Error("woken too early")
	default:
	}
	q.Wake()
	select {
	case <-room:
	default:
		t.Error("not woken")
	}
	if q.q != nil {
		t.Error("the memory is kept")
	}
	q.Wake()
}

// However user code and the end interleave, the last callback is called once, and behind
// user code.
func TestOrderPartsOnce(t *testing.T) {
	for _, test := range []struct {
		name  string
		steps string // e: Enter, x: Exit, o: End
		parts string // who is told to call the last callback
	}{
		{"nothing runs", "o", "o"},
		{"ended twice", "oo", "o-"},
		{"between callbacks", "exexo", "----o"},
		{"while one runs", "eox", "--x"},
		{"twice while one runs", "eoox", "---x"},
		{"none begins behind it", "oe", "o-"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var o Order
			got := ""
			for _, step := range test.steps {
				parts := false
				switch step {
				case 'e':
					if over := o.Phase == Over; o.Enter(conn.Lead{}) == over {
						t.Errorf("Enter = %v, over %v", !over, over)
					}
				case 'x':
					parts = o.Exit()
				case 'o':
					parts = o.End()
				}
				if parts {
					got += string(step)
				} else {
					got += "-"
				}
			}
			if got != test.parts {
				t.Errorf("%s: told by %s, want %s", test.steps, got, test.parts)
			}
		})
	}
	var o Order
	if !o.Greet() || o.Greet() || !o.Greeted() {
		t.Error("the first callback is not called once")
	}
}

func TestBatch(t *testing.T) {
	var b Batch
	for round := range 2 {
		for i := 0; !b.Full(); i++ {
			b.Add(wsock.Message{Kind: wsock.Text, Data: []byte{'a' + byte(i%26)}})
		}
		if b.Len() != batchMessages {
			t.Fatalf("round %d: full with %d messages", round, b.Len())
		}
		for i := range b.Len() {
			m := b.Message(i)
			if m.Kind != wsock.Text || len(m.Data) != 1 || m.Data[0] != 'a'+byte(i%26) || cap(m.Data) != 1 {
				t.Errorf("round %d: message %d is %v %q of %d", round, i, m.Kind, m.Data, cap(m.Data))
			}
		}
		b = b.Emptied()
	}
	b.Add(wsock.Message{Kind: wsock.Binary, Data: make([]byte, batchBytes)})
	if !b.Full() || b.Large() {
		t.Error("the bound in bytes")
	}
	b.Add(wsock.Message{Kind: wsock.Binary, Data: make([]byte, batchKept)})
	if !b.Large() {
		t.Error("much memory is kept")
	}
}

// What a WebSocket is told to have ended with, by its last word and what the transport says.
func TestEnding(t *testing.T) {
	gone := errors.New("gone")
	peers := wsock.Event{Op: wsock.Close, Code: wsock.CloseGoingAway, Data: []byte("bye")}
	for _, test := range []struct {
		name   string
		do     func(e *Ending)
		local  bool
		code   wsock.CloseCode
		reason string
		remote bool
		clean  bool
	}{
		{"the connection is lost", func(*Ending) {}, false, wsock.CloseAbnormal, "", true, false},
		{"given up by this side", func(*Ending) {}, true, wsock.CloseAbnormal, "", false, false},
		{"the peer's Close, answered", func(e *Ending) {
			e.HearClose(peers)
			e.HearError(gone) // comes too late
			e.Answer(nil, wsock.Mask{})
		}, false, wsock.CloseGoingAway, "bye", true, true},
		{"the peer's Close, not answered", func(e *Ending) { e.HearClose(peers) }, false, wsock.CloseGoingAway, "bye", true, false},
		{"an end without Close", func(e *Ending) {
			e.HearError(io.EOF)
			if b := e.Answer(nil, wsock.Mask{}); len(b) > 0 {
				t.Errorf("answered with % x", b)
			}
		}, false, wsock.CloseAbnormal, "", true, false},
		{"a violation", func(e *Ending) {
			e.HearError(&wsock.Error{Code: wsock.CloseProtocolError, Reason: "no"})
			if b := e.Answer(nil, wsock.Mask{}); len(b) == 0 {
				t.Error("the peer is not told")
			}
		}, false, wsock.CloseProtocolError, "", true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var e Ending
			test.do(&e)
			info := e.Lost(gone, test.local)
			if info.Code != test.code || info.Reason != test.reason || info.Remote != test.remote || info.Clean != test.clean {
				t.Errorf("%+v", info)
			}
		})
	}
}

// Decoders with one limit share their settings, and buffers come back.
func TestDecoders(t *testing.T) {
	s := Decoders{Client: true}
	conf := s.Config(100)
	if s.Config(100) != conf || s.Config(200) == conf || !conf.Client || conf.MaxMessage != 100 {
		t.Errorf("%+v", conf)
	}
	for _, size := range []int{1, smallBuffer, smallBuffer + 1, largeBuffer} {
		b := conf.Buffers.Take(size)
		if cap(b) < size || len(b) != 0 {
			t.Fatalf("Take(%d): %d of %d", size, len(b), cap(b))
		}
		conf.Buffers.Put(b[:1])
		if again := conf.Buffers.Take(size); len(again) != 0 || &again[:1][0] != &b[:1][0] {
			t.Errorf("%d bytes are not lent again", size)
		}
	}
	if b := conf.Buffers.Take(largeBuffer + 1); cap(b) <= largeBuffer {
		t.Errorf("%d bytes", cap(b))
	}
}
