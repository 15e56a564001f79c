package ringkit

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"testing"
)

// What TLS has agreed on is told to either kind of handler.
func TestSecureState(t *testing.T) {
	describe := func(s *tls.ConnectionState) string {
		if s == nil {
			return "none"
		}
		return fmt.Sprintf("%s %s", tls.VersionName(s.Version), s.NegotiatedProtocol)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/std", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, describe(r.TLS)) })
	mux.Handle("/mounted", HandlerFunc(func(x *Exchange) { x.WriteString(describe(x.TLS())) }))
	native := HandlerFunc(func(x *Exchange) {
		if x.Path() != "/native" {
			x.Delegate(mux)
			return
		}
		x.WriteString(describe(x.TLS()))
	})
	eachEngine(t, func(t *testing.T, e engine) {
		want := "none"
		if e.secure {
			want = "TLS 1.3 "
		}
		p := serve(t, e, &Server{Handler: native}).dial()
		for _, path := range []string{"/native", "/std", "/mounted"} {
			if a := p.get(path); a.body != want {
				t.Errorf("%s: %q, want %q", path, a.body, want)
			}
		}
	})
}
