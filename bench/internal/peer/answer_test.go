package peer

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ringkit/ringkit/bench/internal/client"
)

func TestStandard(t *testing.T) {
	for _, test := range []struct{ method, path, body, kind, want string }{
		{"GET", "/", "", client.ContentType, client.Body},
		{"GET", JSON, "", JSONType, `{"message":"Hello, World!"}`},
		{"POST", Upload, strings.Repeat("x", 1<<20), client.ContentType, "1048576"},
		{"POST", Upload, "", client.ContentType, "0"},
	} {
		w := httptest.NewRecorder()
		Standard(w, httptest.NewRequest(test.method, test.path, strings.NewReader(test.body)))
		if w.Code != 200 || w.Body.String() != test.want || w.Header().Get("Content-Type") != test.kind {
			t.Errorf("%s: %d, %s, %q", test.path, w.Code, w.Header(), w.Body)
		}
	}
}
