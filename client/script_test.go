package client

import (
	"bufio"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// script is a server that says what it is told to. Of each request it reads the head, and
// the body if it has a length; then it answers with the next line of the play.
type script struct {
	t    *testing.T
	l    net.Listener
	url  string
	play func(s *scene)

	mu    sync.Mutex
	conns int
	seen  []string // "METHOD /path" of each request
	open  map[net.Conn]bool
	wg    sync.WaitGroup
}

// scene is one connection of a script.
type scene struct {
	*script
	net.Conn
	r   *bufio.Reader
	num int // of the connection, from 0
}

// scripted runs play for each connection.
func scripted(t *testing.T, play func(s *scene)) *script {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &script{t: t, l: l, url: "http://" + l.Addr().String(), play: play, open: make(map[net.Conn]bool)}
	s.wg.Add(1)
	go s.accept()
	t.Cleanup(func() {
		l.Close()
		s.mu.Lock()
		for c := range s.open {
			c.Close()
		}
		s.mu.Unlock()
		s.wg.Wait()
	})
	return s
}

func (s *script) accept() {
	defer s.wg.Done()
	for {
		c, err := s.l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		n := s.conns
		s.conns++
		s.open[c] = true
		s.mu.Unlock()
		s.wg.Add(1)
		go func() {
			defer s.wg.Done()
			defer c.Close()
			s.play(&scene{s, c, bufio.NewReader(c), n})
		}()
	}
}

// answers is a play: to each request of a connection the next answer, and then the end.
func answers(t *testing.T, all ...string) *script {
	return scripted(t, func(s *scene) {
		for _, a := range all {
			if s.request() == nil {
				return
			}
			s.say(a)
		}
	})
}

// request reads the next request, nil at the end.
func (s *scene) request() *http.Request {
	req, err := http.ReadRequest(s.r)
	if err != nil {
		return nil
	}
	if req.ContentLength > 0 {
		if _, err := s.r.Discard(int(req.ContentLength)); err != nil {
			return nil
		}
	}
	s.mu.Lock()
	s.seen = append(s.seen, req.Method+" "+req.RequestURI)
	s.mu.Unlock()
	return req
}

func (s *scene) say(answer string) { s.Conn.Write([]byte(answer)) }

// reset ends the connection with a reset.
func (s *scene) reset() {
	s.Conn.(*net.TCPConn).SetLinger(0)
	s.Conn.Close()
}

// requests returns what was asked, in order of arrival.
func (s *script) requests() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.seen, ", ")
}
