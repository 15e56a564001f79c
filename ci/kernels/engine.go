package main

import (
	"slices"
	"strings"
)

// Engines as they are called in the table.
const (
	anyEngine = "any"
	ioUring   = "io_uring"
	epoll     = "epoll"
)

// engineOf says which engine a test is about. Tests that run on several have a
// subtest for each, named after it: "TestX/epoll", "TestX/uring_without_buffer_ring".
// The tests of an engine's own package are about that engine.
func engineOf(suite, name string) string {
	for part := range strings.SplitSeq(name, "/") {
		if variant, ok := cutEngine(part, "io_uring", "uring"); ok {
			return ioUring + variant
		}
		if variant, ok := cutEngine(part, "epoll"); ok {
			return epoll + variant
		}
	}
	switch suite {
	case "uring":
		return ioUring
	case "fallback":
		return epoll
	}
	return anyEngine
}

func cutEngine(part string, names ...string) (variant string, ok bool) {
	for _, name := range names {
		rest, ok := strings.CutPrefix(part, name)
		// "io_uring_setup" is no variant, but a system call.
		if ok && (rest == "" || rest[0] == ',' || strings.HasPrefix(rest, "_with")) {
			return strings.ReplaceAll(rest, "_", " "), true
		}
	}
	return "", false
}

// sortEngines puts each engine before its variants.
func sortEngines(names []string) {
	rank := func(name string) int {
		first, _, _ := strings.Cut(name, " ")
		return slices.Index([]string{anyEngine, ioUring, epoll}, strings.TrimSuffix(first, ","))
	}
	slices.SortStableFunc(names, func(a, b string) int {
		if c := rank(a) - rank(b); c != 0 {
			return c
		}
		return len(strings.Fields(a)) - len(strings.Fields(b))
	})
}
