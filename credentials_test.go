package ringkit

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Handlers of both kinds know who is at the other end of a unix socket, wherever
// they run; of TCP there is nothing to know.
func TestPeerCredentials(t *testing.T) {
	type key struct{}
	say := func(c Credentials, ok bool) string { return fmt.Sprintf("%d %d %d %t", c.PID, c.UID, c.GID, ok) }
	handler := HandlerFunc(func(x *Exchange) {
		switch x.Path() {
		case "/native":
			x.WriteString(say(x.PeerCredentials()))
		case "/blocked":
			time.Sleep(10 * time.Millisecond)
			x.WriteString(say(x.PeerCredentials()))
		case "/mounted":
			x.Delegate(HandlerFunc(func(x *Exchange) { x.WriteString(say(x.PeerCredentials())) }))
		default:
			x.Delegate(std(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprint(w, say(PeerCredentials(context.WithValue(r.Context(), key{}, 1))))
			}))
		}
	})
	eachKind(t, func(t *testing.T, e engine) {
		for _, m := range []Mode{Auto, Goroutine, Inline} {
			path := filepath.Join(t.TempDir(), "socket")
			s := listens(t, e, &Server{Addr: "unix:" + path, Mode: m, Handler: handler})
			go s.Serve(listenTCP(t))
			s.listening(2)
			us := say(Credentials{os.Getpid(), uint32(os.Getuid()), uint32(os.Getgid())}, true)
			for i, want := range []string{us, say(Credentials{}, false), us} {
				addr := s.Addrs()[i%2]
				p := connectPeer(t, addr.Network(), addr.String(), 0)
				for _, path := range []string{"/native", "/blocked", "/mounted", "/standard", "/native", "/standard"} {
					if a := p.get(path); a.body != want {
						t.Errorf("%v, %v%s: %q, want %q", m, addr, path, a.body, want)
					}
				}
				p.Close()
			}
			s.ends(drain)
		}
	})
	if c, ok := PeerCredentials(context.Background()); ok {
		t.Errorf("without a request: %v", c)
	}
}
