package room

import (
	"embed"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"time"

	"github.com/ringkit/ringkit"
	"github.com/ringkit/ringkit/wsock"
)

//go:embed page
var files embed.FS

// maxRequest bounds what a page sends: a message of MaxText bytes, each of which JSON may
// write as six.
const maxRequest = 8*MaxText + 1024

// backAfter is when a client of events comes back that has lost its connection.
const backAfter = 500 * time.Millisecond

// Channels whose clients do not read are closed: they come back, and get what they missed.
var (
	liveOptions = &ringkit.ChannelOptions{MaxMessageBytes: maxRequest, Overflow: ringkit.OverflowClose}
	pollOptions = &ringkit.ChannelOptions{LongPoll: true, PollTimeout: 25 * time.Second}
)

// Handler serves the page and the room:
//
//	GET  /socket  a WebSocket, which takes messages too
//	GET  /events  a stream of server-sent events
//	GET  /poll    what is new, as soon as there is something; at once with now=1
//	POST /say     a message, for those who cannot send on their connection
//
// The first three take the parameters session, name, and lastEventId, which is the ID of
// the last event that was seen. Events are lines of JSON, one or more at a time.
func (r *Room) Handler() http.Handler {
	page, err := fs.Sub(files, "page")
	if err != nil {
		panic(err) // it is embedded
	}
	static := http.FileServerFS(page)
	mux := http.NewServeMux()
	for _, path := range []string{"GET /{$}", "GET /chat.js", "GET /chat.css"} {
		mux.HandleFunc(path, func(w http.ResponseWriter, q *http.Request) {
			h := w.Header()
			h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "+
				"img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
			h.Set("X-Content-Type-Options", "nosniff")
			h.Set("Cache-Control", "no-cache")
			static.ServeHTTP(w, q)
		})
	}
	mux.HandleFunc("GET /socket", r.socket)
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, q *http.Request) {
		r.connect(w, q, liveOptions, "events")
	})
	mux.HandleFunc("GET /poll", r.poll)
	mux.HandleFunc("POST /say", r.post)
	return mux
}

func (r *Room) socket(w http.ResponseWriter, q *http.Request) {
	if q.Header.Get("Upgrade") == "" {
		w.Header().Set("Upgrade", "websocket")
		http.Error(w, "here is a WebSocket", http.StatusUpgradeRequired)
		return
	}
	r.connect(w, q, liveOptions, "websocket")
}

func (r *Room) poll(w http.ResponseWriter, q *http.Request) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	if q.FormValue("now") == "" {
		r.connect(w, q, pollOptions, "poll")
		return
	}
	s, err := r.enter(q.FormValue("session"), q.FormValue("name"), "poll")
	if err != nil {
		refuse(w, err)
		return
	}
	r.mu.Lock()
	lines, _ := r.since(ringkit.LastEventID(q))
	r.mu.Unlock()
	r.leave(s)
	if lines == "" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	io.WriteString(w, lines)
}

// connect opens a channel for a page.
func (r *Room) connect(w http.ResponseWriter, q *http.Request, o *ringkit.ChannelOptions, by string) {
	s, err := r.enter(q.FormValue("session"), q.FormValue("name"), by)
	if err != nil {
		refuse(w, err)
		return
	}
	seen := ringkit.LastEventID(q)
	_, err = o.Open(w, q, ringkit.Events{
		Open:    func(ch *ringkit.Channel) { r.welcome(ch, o.LongPoll, seen) },
		Message: func(ch *ringkit.Channel, m wsock.Message) { r.hear(ch, s, m) },
		Close:   func(*ringkit.Channel, wsock.CloseInfo) { r.leave(s) },
	})
	if err != nil {
		r.leave(s)
	}
}

// welcome sends what was missed, and makes the channel a member. Send cannot wait here.
func (r *Room) welcome(ch *ringkit.Channel, poll bool, seen string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	lines, last := r.since(seen)
	switch {
	case poll && lines != "":
		ch.Send(ringkit.Text(lines)) // that was the answer
		return
	case poll:
	case lines != "":
		ch.SendEvent(ringkit.ServerEvent{ID: last, Data: lines, Retry: backAfter})
	default:
		ch.StartEvents()
	}
	r.group.Join(ch)
}

// words are what a page says.
type words struct {
	Session string `json:"session"`
	Key     string `json:"key"`
	Text    string `json:"text"`
}

// hear is called with a message of a WebSocket.
func (r *Room) hear(ch *ringkit.Channel, s *session, m wsock.Message) {
	var said words
	if err := json.Unmarshal(m.Data, &said); err != nil {
		ch.CloseWith(wsock.CloseInvalidPayload, "messages are JSON")
		return
	}
	name, err := r.who(s.id)
	if err == nil {
		err = r.say(name, said.Key, said.Text)
	}
	if err != nil {
		ch.Send(ringkit.Text(event{Kind: refused, Key: said.Key, Text: err.Error()}.line()))
	}
}

// post is hear for those who cannot send on their channel. A page of another origin
// cannot send this type of content.
func (r *Room) post(w http.ResponseWriter, q *http.Request) {
	if q.Header.Get("Content-Type") != "application/json" {
		http.Error(w, "messages are JSON", http.StatusUnsupportedMediaType)
		return
	}
	var said words
	if err := json.NewDecoder(http.MaxBytesReader(w, q.Body, maxRequest)).Decode(&said); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	name, err := r.who(said.Session)
	if err == nil {
		err = r.say(name, said.Key, said.Text)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func refuse(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	switch {
	case errors.Is(err, errSession):
		status = http.StatusConflict
	case errors.Is(err, errFull), errors.Is(err, errBus):
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "1")
	}
	http.Error(w, err.Error(), status)
}
