package client

import (
	"container/list"
	"crypto/tls"
	"sync"
)

// maxSessions is how many TLS sessions a transport remembers, those used last.
const maxSessions = 64

// sessions are what TLS sessions can be resumed of. Each is for connections with the same
// key: one that was agreed on with another tls.Config may be without a verified peer, or
// have another certificate of the client's.
type sessions struct {
	mu  sync.Mutex
	all map[sessionKey]*list.Element // of *session
	lru list.List                    // the one used last in front
}

type sessionKey struct {
	key  key
	name string // crypto/tls's
}

type session struct {
	key   sessionKey
	state *tls.ClientSessionState
}

// sessionsOf is the part with one key, a tls.ClientSessionCache.
type sessionsOf struct {
	*sessions
	key key
}

// Get implements tls.ClientSessionCache.
func (s sessionsOf) Get(name string) (*tls.ClientSessionState, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.all[sessionKey{s.key, name}]
	if e == nil {
		return nil, false
	}
	s.lru.MoveToFront(e)
	return e.Value.(*session).state, true
}

// Put implements tls.ClientSessionCache.
func (s sessionsOf) Put(name string, state *tls.ClientSessionState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := sessionKey{s.key, name}
	e := s.all[k]
	switch {
	case state == nil && e != nil:
		s.drop(e)
	case state == nil:
	case e != nil:
		e.Value.(*session).state = state
		s.lru.MoveToFront(e)
	default:
		if s.all == nil {
			s.all = make(map[sessionKey]*list.Element)
		}
		s.all[k] = s.lru.PushFront(&session{k, state})
		if len(s.all) > maxSessions {
			s.drop(s.lru.Back())
		}
	}
}

func (s *sessions) drop(e *list.Element) {
	s.lru.Remove(e)
	delete(s.all, e.Value.(*session).key)
}
