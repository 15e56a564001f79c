package ringkit

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/ringkit/ringkit/wsock"
)

// A group has members on several loops and over several transports; each gets every
// message once and in order, those who have left get none.
func TestGroupBroadcast(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		var room Group
		join := Events{Open: func(ch *Channel) {
			if !ch.IsWebSocket() {
				ch.StartEvents()
			}
			room.Join(ch)
		}}
		// Who has connected first says nothing for as long as the others take to connect.
		patient := &ChannelOptions{PingInterval: -1, CloseWait: -1}
		s := serve(t, e, &Server{Loops: 2, Handler: channelsWith(patient, func() Events { return join })})
		const sockets, messages = 300, 20 // more than one step of a loop
		peers := make([]*wsPeer, sockets)
		for i := range peers {
			peers[i] = s.webSocket(handlerKinds[i%3], i%2 == 0)
		}
		stream := s.dial()
		stream.send(ask("GET", "/std"))
		if !eventually(func() bool { return room.Len() == sockets+1 }) {
			t.Fatalf("%d members", room.Len())
		}
		peers[0].send(string(wsock.AppendClose(nil, wsock.CloseNormal, "", testMask)))
		peers[0].expectClose(wsock.CloseNormal)
		if !eventually(func() bool { return room.Len() == sockets }) {
			t.Fatalf("%d members after one has left", room.Len())
		}
		for i := range messages {
			if err := room.Broadcast(Text(fmt.Sprint("message ", i, " ", pattern(i*100)))); err != nil {
				t.Fatal(err)
			}
		}
		for _, p := range peers[1:] {
			for i := range messages {
				p.expectMessage(Text(fmt.Sprint("message ", i, " ", pattern(i*100))))
			}
		}
		room.Close(4001, "closed")
		for _, p := range peers[1:] {
			if ev := p.expectClose(4001); string(ev.Data) != "closed" {
				t.Errorf("reason %q", ev.Data)
			}
			p.send(string(wsock.AppendClose(nil, 4001, "", testMask)))
		}
		want := ":\n\n"
		for i := range messages {
			ev := ServerEvent{Data: fmt.Sprint("message ", i, " ", pattern(i*100))}
			want += string(ev.Append(nil))
		}
		if a := stream.expectAnswer(200, want); a.get("Content-Type") != "text/event-stream" {
			t.Errorf("%+v", a.fields)
		}
		if !eventually(func() bool { return room.Len() == 0 }) {
			t.Errorf("%d members at the end", room.Len())
		}
		if n := room.Missed(); n != 0 {
			t.Errorf("%d messages were missed", n)
		}
	})
}

// Long polling: the first message is the answer, and the client asks again, also when there
// was none in time.
func TestLongPoll(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		var room Group
		patient, hasty := &ChannelOptions{LongPoll: true}, &ChannelOptions{LongPoll: true, PollTimeout: tick}
		join := func() Events { return Events{Open: room.Join} }
		s := serve(t, e, &Server{Handler: channelsWith(patient, join)})
		late := serve(t, e, &Server{Handler: channelsWith(hasty, join)})
		for _, kind := range handlerKinds {
			p := s.dial()
			for i := range 3 {
				p.send(ask("GET", kind))
				if !eventually(func() bool { return room.Len() == 1 }) {
					t.Fatal("nobody polls")
				}
				room.Broadcast(Text(fmt.Sprint(i)))
				if a := p.expectAnswer(200, fmt.Sprint(i)); a.get("Content-Length") != "1" {
					t.Errorf("%+v", a)
				}
			}
			if !eventually(func() bool { return room.Len() == 0 }) {
				t.Fatal("somebody polls")
			}
			p = late.dial()
			p.send(ask("GET", kind))
			p.expectAnswer(http.StatusNoContent, "")
			p.send(ask("GET", "/ok"))
			p.expectAnswer(200, "ok")
		}
	})
}

// Groups of two servers that share a bus hear what is said on either.
func TestGroupOverBus(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		var bus LocalBus
		var rooms [2]Group
		var sites [2]*site
		var peers [2]*wsPeer
		for i := range rooms {
			disconnect, err := rooms[i].Connect(&bus, "room", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer disconnect()
			if _, err := rooms[i].Connect(&bus, "room", nil); err != ErrConnected {
				t.Errorf("Connect twice: %v", err)
			}
			sites[i] = serve(t, e, &Server{Handler: channelsWith(&ChannelOptions{}, func() Events { return Events{Open: rooms[i].Join} })})
			peers[i] = sites[i].webSocket("/std", false)
			if !eventually(func() bool { return rooms[i].Len() == 1 }) {
				t.Fatal("nobody joined")
			}
		}
		for i := range rooms {
			if err := rooms[i].Broadcast(Text("from " + fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
			for _, p := range peers {
				p.expectMessage(Text("from " + fmt.Sprint(i)))
			}
		}
	})
}

// An event is broadcast with its ID to those who get events, and as a message to the
// others; also over a bus.
func TestGroupBroadcastEvent(t *testing.T) {
	eachKind(t, func(t *testing.T, e engine) {
		for _, connected := range []bool{false, true} {
			var room Group
			if connected {
				disconnect, err := room.Connect(new(LocalBus), "room", func(err error) { t.Error(err) })
				if err != nil {
					t.Fatal(err)
				}
				defer disconnect()
			}
			join := Events{Open: func(ch *Channel) {
				if !ch.IsWebSocket() {
					ch.StartEvents()
				}
				room.Join(ch)
			}}
			s := serve(t, e, &Server{Handler: channelsWith(&ChannelOptions{}, func() Events { return join })})
			socket, stream := s.webSocket("/std", true), s.dial()
			stream.send(ask("GET", "/std"))
			if !eventually(func() bool { return room.Len() == 2 }) {
				t.Fatalf("%d members", room.Len())
			}
			ev := ServerEvent{Name: "said", ID: "7", Data: "two\nlines", Retry: 1500 * time.Millisecond}
			if err := room.BroadcastEvent(ev); err != nil {
				t.Fatal(err)
			}
			socket.expectMessage(Text("two\nlines"))
			room.Close(wsock.CloseNormal, "")
			stream.expectAnswer(200, ":\n\nevent: said\nid: 7\nretry: 1500\ndata: two\ndata: lines\n\n")
			socket.expectClose(wsock.CloseNormal)
			socket.send(string(wsock.AppendClose(nil, wsock.CloseNormal, "", testMask)))
		}
	})
}
