package room

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
)

const (
	// maxListed is how many people of one server are named; others are counted.
	maxListed = 100

	// maxServers bounds the rooms on the bus whose people are shown.
	maxServers = 16

	// grace is how long somebody without a connection is still there: a page that polls,
	// or reconnects, does not leave each time.
	grace = 4 * time.Second

	// collect is for how long those who come and go are gathered before all are told.
	collect = 50 * time.Millisecond

	// beat is how often a room tells the others who is there, and silence is how long it
	// may not, before its people are thought to be gone.
	beat    = 5 * time.Second
	silence = 3 * beat
)

// person is somebody in the room.
type person struct {
	Name string `json:"name"`
	By   string `json:"by"` // the transport
}

// session is a page that is open, or was a moment ago. The room's mutex guards it.
type session struct {
	id       string
	person   person
	channels int
	left     time.Time // when the last channel was closed
}

// presence is who is on one server.
type presence struct {
	Room   string   `json:"room"`
	People []person `json:"people"`
	More   int      `json:"more"`

	heard time.Time
}

// enter is called when a page connects.
func (r *Room) enter(id, name, by string) (*session, error) {
	if !isHex(id) {
		return nil, errSession
	}
	if name = cleanName(name); name == "" {
		return nil, errName
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sessions[id]
	if s == nil {
		if len(r.sessions) >= MaxPeople {
			return nil, errFull
		}
		s = &session{id: id}
		r.sessions[id] = s
	}
	s.person = person{name, by}
	s.channels++
	r.changed()
	return s, nil
}

// leave is called when a connection of a page has ended.
func (r *Room) leave(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.channels--; s.channels > 0 {
		return
	}
	s.left = time.Now()
	time.AfterFunc(grace, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if s.channels == 0 && time.Since(s.left) >= grace && r.sessions[s.id] == s {
			delete(r.sessions, s.id)
			r.changed()
		}
	})
}

// who returns the name of a page that is connected, or was a moment ago.
func (r *Room) who(id string) (name string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sessions[id]
	if s == nil {
		return "", errSession
	}
	return s.person.Name, nil
}

// changed has keep tell who is there.
func (r *Room) changed() {
	select {
	case r.dirty <- struct{}{}:
	default: // it is going to
	}
}

// keep tells people and other rooms who is there, until ctx ends.
func (r *Room) keep(ctx context.Context) {
	defer close(r.done)
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			_ = r.publish(packet{Here: &presence{Room: r.id}})
			return
		case <-r.dirty:
			select {
			case <-ctx.Done():
			case <-time.After(collect):
			}
		case <-ticker.C:
		}
		here := r.present()
		// Without the bus the others hear it with the next beat.
		_ = r.publish(packet{Here: &here})
	}
}

// present tells everybody here who is there, and returns who is on this server.
func (r *Room) present() presence {
	r.mu.Lock()
	defer r.mu.Unlock()
	here := presence{Room: r.id, heard: time.Now()}
	for _, s := range r.sessions {
		if len(here.People) == maxListed {
			here.More++
			continue
		}
		here.People = append(here.People, s.person)
	}
	r.servers[r.id] = here
	r.show()
	return here
}

// meet is told who is on another server.
func (r *Room) meet(p presence) {
	if p.Room == r.id || len(p.Room) > 64 || len(p.People) > maxListed || p.More < 0 {
		return
	}
	for i := range p.People {
		p.People[i].Name = cleanName(p.People[i].Name)
		p.People[i].By = cleanName(p.People[i].By)
	}
	if _, known := r.servers[p.Room]; !known {
		if len(p.People) == 0 || len(r.servers) >= maxServers {
			return
		}
		r.changed() // it does not know of this one either
	}
	p.heard = time.Now()
	r.servers[p.Room] = p
	if len(p.People) == 0 {
		delete(r.servers, p.Room)
	}
	r.show()
}

// show tells everybody here who is there, if that is new.
func (r *Room) show() {
	e := event{Kind: people}
	for _, id := range slices.Sorted(maps.Keys(r.servers)) {
		p := r.servers[id]
		if time.Since(p.heard) > silence {
			delete(r.servers, id)
			continue
		}
		e.People = append(e.People, p.People...)
		e.More += p.More
	}
	slices.SortStableFunc(e.People, func(a, b person) int { return strings.Compare(a.Name, b.Name) })
	if text := e.line(); text != r.shown.text {
		r.tell(e)
		r.shown.text = text
	}
}

// cleanName makes of a name what can be shown on one line.
func cleanName(s string) string {
	s = strings.Map(func(c rune) rune {
		if !unicode.IsGraphic(c) || c == unicode.ReplacementChar {
			return -1
		}
		return c
	}, s)
	runes := []rune(strings.Join(strings.Fields(s), " "))
	return strings.TrimSpace(string(runes[:min(len(runes), MaxName)]))
}
