package ringkit_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/ringkit/ringkit"

// floors lists which packages of the module a package may import. An upper floor
// imports lower ones, never the other way; internal packages are shared by all that
// may import what those import themselves.
var floors = map[string][]string{
	".":        {"client", "wsock", "http1", "conn", "uring", "fallback"},
	"client":   {"wsock", "http1", "conn", "uring", "fallback"},
	"wsock":    {},
	"http1":    {},
	"conn":     {"uring", "fallback"},
	"uring":    {},
	"fallback": {},

	"internal/ring":       {},
	"internal/mapped":     {},
	"internal/check":      {},
	"internal/wheel":      {},
	"internal/inbox":      {},
	"internal/simring":    {},
	"internal/ringtest":   {},
	"internal/tlsconn":    {},
	"internal/netfd":      {},
	"internal/ktls":       {},
	"internal/proxyproto": {},
	"internal/autobahn":   {},
	"internal/talk":       {"wsock", "conn"},
	"internal/bulk":       {},
}

// codecs do no I/O: they import nothing that could.
var codecs = []string{"http1", "wsock"}

var forbiddenInCodecs = []string{"net", "os", "sync", "syscall", "golang.org/x/sys/unix", "context", "log"}

// external are the modules the root module may use outside its tests.
var external = map[string][]string{
	"golang.org/x/sys":                     nil, // anywhere
	"github.com/iceber/iouring-go/syscall": {"uring"},
	"github.com/klauspost/compress/flate":  {"wsock"},
	"github.com/klauspost/compress/gzip":   {"client"},
	"github.com/klauspost/compress/zlib":   {"client"},
	"github.com/klauspost/compress/zstd":   {"client"},
	"github.com/andybalholm/brotli":        {"client"},
	"golang.org/x/net":                     {"client"},
	"golang.org/x/text/encoding":           {"client"},
}

func TestFloors(t *testing.T) {
	for dir, imports := range importsOfModule(t) {
		if strings.HasPrefix(dir, "examples/") || strings.HasPrefix(dir, "ci/") {
			continue // beside the house
		}
		allowed, known := floors[dir]
		if !known {
			t.Errorf("package %s has no floor: enter it in the table", dir)
		}
		for _, imp := range imports {
			checkImport(t, dir, imp, allowed)
		}
	}
}

func checkImport(t *testing.T, dir, imp string, allowed []string) {
	if slices.Contains(codecs, dir) && slices.Contains(forbiddenInCodecs, imp) {
		t.Errorf("codec %s imports %s", dir, imp)
	}
	if own, ok := strings.CutPrefix(imp, module+"/"); ok || imp == module {
		needed := []string{own}
		if strings.HasPrefix(own, "internal/") {
			needed = floors[own]
		}
		for _, floor := range needed {
			if !slices.Contains(allowed, floor) {
				t.Errorf("%s imports %s, which is not on a lower floor", dir, imp)
			}
		}
		return
	}
	if first, _, _ := strings.Cut(imp, "/"); !strings.Contains(first, ".") {
		return // the standard library
	}
	for prefix, dirs := range external {
		if imp == prefix || strings.HasPrefix(imp, prefix+"/") {
			if dirs != nil && !slices.Contains(dirs, dir) {
				t.Errorf("%s imports %s, which only %v may", dir, imp, dirs)
			}
			return
		}
	}
	t.Errorf("%s imports %s, which is no dependency of this module", dir, imp)
}

// importsOfModule returns the imports of each package of this module, without
// those of tests. Modules of their own inside the tree are left out.
func importsOfModule(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			nested, _ := filepath.Glob(path.Join(p, "go.mod"))
			if p != "." && (len(nested) > 0 || strings.HasPrefix(d.Name(), ".")) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir := path.Dir(p)
		found[dir] = append(found[dir], nil...)
		for _, spec := range f.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			found[dir] = append(found[dir], imp)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found["."]) == 0 || len(found["uring"]) == 0 {
		t.Fatalf("found no imports: %v", found)
	}
	return found
}
