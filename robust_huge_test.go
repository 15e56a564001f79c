package ringkit

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Clients that ask for a GiB each and read nothing, or a byte now and then, are ended
// after WriteTimeout: what they take is not enough for a send to end. Until then the
// server keeps little for them, whatever kind of handler answers.
func TestHugeAnswersThatNobodyReads(t *testing.T) {
	takesLong(t)
	const (
		clients = 4
		// The queue of each, the pieces that are on their way there, and a part that
		// a native handler makes.
		most = clients * (2*outputHigh + 4*hugePart)
	)
	huge := filepath.Join(t.TempDir(), "huge")
	if err := os.WriteFile(huge, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, hugeParts*hugePart); err != nil { // it takes no room
		t.Fatal(err)
	}
	files := std(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, huge) })
	eachKind(t, func(t *testing.T, e engine) {
		for _, c := range []struct {
			name    string
			handler http.Handler
			request string
		}{
			{"native", HandlerFunc(hostNative), strings.Repeat(ask("GET", "/huge"), hugeParts)},
			{"standard", http.HandlerFunc(hostStandard), ask("GET", "/huge")},
			{"file", files, ask("GET", "/")},
		} {
			for _, reads := range []bool{false, true} {
				s := besieged(t, e, c.handler)
				before := resident(t)
				began := time.Now()
				for range clients {
					p := connectPeer(t, "tcp", s.addr, 16<<10)
					p.sendAside(c.request)
					if _, err := p.r.Peek(1); err != nil {
						t.Fatal(err)
					}
					if reads {
						go sip(p)
					}
				}
				grown := 0
				for end := time.Now().Add(patience); s.conns() > 0 && time.Now().Before(end); time.Sleep(tick / 4) {
					grown = max(grown, resident(t)-before)
				}
				took := time.Since(began)
				if s.conns() > 0 || took < shortWrite-20*time.Millisecond || took > 4*shortWrite+lateness {
					t.Errorf("%s: %d connections after %v", c.name, s.conns(), took)
				}
				if grown > most && !checksEnabled {
					t.Errorf("%s: memory grew by %d KiB, want at most %d", c.name, grown>>10, most>>10)
				}
				if !eventually(func() bool { return s.Stats().Running == 0 }) {
					t.Errorf("%s: a handler goes on: %+v", c.name, s.Stats())
				}
			}
		}
	})
}

// sip reads a byte now and then.
func sip(p *peer) {
	for one := make([]byte, 1); ; time.Sleep(tick / 5) {
		if _, err := p.Conn.Read(one); err != nil {
			return
		}
	}
}
