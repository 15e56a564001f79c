// Package apicheck compares what the packages of this module export with api.txt. It is
// nothing but tests.
//
//	go test ./internal/apicheck           # has anything changed?
//	go test ./internal/apicheck -update   # it has, and is meant to
package apicheck

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write api.txt anew")

const (
	root = "../.."
	file = root + "/api.txt"
)

// packages are those that others may import.
var packages = []string{".", "client", "wsock", "http1", "conn", "uring", "fallback"}

func TestAPI(t *testing.T) {
	var lines []string
	for _, dir := range packages {
		found := declarations(t, filepath.Join(root, dir))
		if len(found) == 0 {
			t.Fatalf("package %s exports nothing", dir)
		}
		lines = append(lines, found...)
	}
	if *update {
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	frozen, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before := strings.Split(strings.TrimSuffix(string(frozen), "\n"), "\n")
	for _, line := range before {
		if !slices.Contains(lines, line) {
			t.Errorf("gone:  %s", line)
		}
	}
	for _, line := range lines {
		if !slices.Contains(before, line) {
			t.Errorf("added: %s", line)
		}
	}
	if t.Failed() {
		t.Error("The public API has changed. If that is intended, say so in CHANGELOG.md, and run\n\tgo test ./internal/apicheck -update")
	} else if !slices.Equal(before, lines) {
		t.Error("api.txt is not in order: run go test ./internal/apicheck -update")
	}
}
