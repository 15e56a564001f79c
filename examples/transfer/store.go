package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ringkit/ringkit"
)

// tellEvery is how often those who watch are told of a file that is arriving.
const tellEvery = 100 * time.Millisecond

// store has the files, and those who watch them arrive.
type store struct {
	files   *os.Root
	watch   ringkit.Group
	parts   atomic.Uint64 // numbers files that are arriving
	options ringkit.ChannelOptions
}

func (s *store) handler() http.Handler {
	// Who does not read misses how far a file has been, and gets how far it is.
	s.options = ringkit.ChannelOptions{HighWater: 16 << 10, Overflow: ringkit.OverflowDropOldest}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'")
		w.Write(page)
	})
	mux.HandleFunc("POST /files/{name}", s.take)
	mux.HandleFunc("GET /files/{name}", s.send)
	mux.HandleFunc("GET /progress", func(w http.ResponseWriter, r *http.Request) {
		s.options.Open(w, r, ringkit.Events{Open: func(ch *ringkit.Channel) {
			s.watch.Join(ch)
			ch.StartEvents()
		}})
	})
	return mux
}

// state is how much of a file has come.
type state struct {
	Name string `json:"name"`
	Got  int64  `json:"got"`  // bytes
	Size int64  `json:"size"` // bytes, -1 while it is unknown
	Done bool   `json:"done"` // all of it is there
	Lost bool   `json:"lost"` // its sender has gone, or sent too much
}

func (s *store) tell(st state) {
	data, err := json.Marshal(st)
	if err != nil {
		panic(err) // there is nothing in it that JSON does not have
	}
	s.watch.BroadcastEvent(ringkit.ServerEvent{Name: "progress", Data: string(data)})
}

// take writes a body to a file as it arrives. The file has its name when it is complete.
func (s *store) take(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if !valid(name) {
		http.Error(w, "a file has a name of letters, digits, '.', '_' and '-', which begins with none of these three", http.StatusBadRequest)
		return
	}
	part := ".part" + strconv.FormatUint(s.parts.Add(1), 10)
	f, err := s.files.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		http.Error(w, "the file cannot be made", http.StatusInternalServerError)
		return
	}
	defer s.files.Remove(part) // fails when it has been renamed
	st := state{Name: name, Size: r.ContentLength}
	s.tell(st)
	_, err = io.Copy(f, &counted{r.Body, s, &st, time.Now()})
	if err = errors.Join(err, f.Close()); err == nil {
		err = s.files.Rename(part, name)
	}
	st.Done, st.Lost = err == nil, err != nil
	s.tell(st)
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		http.Error(w, "the file is too long", http.StatusRequestEntityTooLarge)
	case err != nil:
		http.Error(w, "the file was not kept", http.StatusInternalServerError)
	default:
		w.Header().Set("Location", "/files/"+name)
		w.WriteHeader(http.StatusCreated)
	}
}

// counted is a body whose progress is told.
type counted struct {
	r    io.Reader
	s    *store
	st   *state
	last time.Time
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.st.Got += int64(n)
	if now := time.Now(); now.Sub(c.last) >= tellEvery {
		c.last = now
		c.s.tell(*c.st)
	}
	return n, err
}

// send sends a file. The page cache goes to the socket without a copy (sendfile).
func (s *store) send(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if !valid(name) {
		http.NotFound(w, r)
		return
	}
	f, err := s.files.Open(name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		http.Error(w, "the file cannot be read", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream") // it may be anything: no browser runs it
	w.Header().Set("Content-Disposition", "attachment")
	http.ServeContent(w, r, name, info.ModTime(), f)
}

func valid(name string) bool {
	const signs = "._-"
	if name == "" || len(name) > 100 || strings.ContainsRune(signs, rune(name[0])) {
		return false
	}
	for _, c := range name {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune(signs, c)) {
			return false
		}
	}
	return true
}
