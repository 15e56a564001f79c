// Package static is the file that servers send in the scenario of that name.
package static

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/ringkit/ringkit/bench/internal/client"
)

// Prefix is that of the paths below which files are served, and Path that of the
// one there is, of Size bytes.
const (
	Prefix = "/static/"
	Path   = Prefix + name
	Size   = 64 << 10

	name = "64k.bin"
)

// Write makes the file in a directory.
func Write(dir string) error {
	if err := os.WriteFile(filepath.Join(dir, name), content(), 0o644); err != nil {
		return fmt.Errorf("writing the file to serve: %w", err)
	}
	return nil
}

func content() []byte { return bytes.Repeat([]byte("0123456789abcde\n"), Size/16) }

// Handler serves the files of a directory as a program for net/http would, and what
// is not below Prefix with next.
func Handler(dir string, next http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(Prefix, http.StripPrefix(Prefix, http.FileServer(http.Dir(dir))))
	mux.Handle("/", next)
	return mux
}

// Probe asks a server for the file and checks what it sends.
func Probe(url string) error { return client.Check(http.MethodGet, url, 0, "", content()) }
