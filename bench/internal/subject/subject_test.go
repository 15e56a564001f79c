package subject

import (
	"slices"
	"strings"
	"testing"
)

func TestDefault(t *testing.T) {
	names := Default()
	for _, want := range []string{Uring, Ringkit, NetHTTP, FastHTTP} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not among %q", want, names)
		}
	}
	for _, name := range names {
		if err := Check(name); err != nil {
			t.Error(err)
		}
	}
}

func TestRecipes(t *testing.T) {
	seen := make(map[string]bool)
	for _, r := range recipes {
		if seen[r.name] {
			t.Errorf("%s is there twice", r.name)
		}
		seen[r.name] = true
		if IsClient(r.name) {
			if slices.Contains(Clients(), r.name) == slices.Contains(SocketClients(), r.name) || !slices.Contains(r.more, "-client") ||
				hasSockets(r.more) != slices.Contains(SocketClients(), r.name) {
				t.Errorf("%s: incomplete", r.name)
			}
			continue
		}
		args := strings.Join(r.args(3), " ")
		if !strings.Contains(args, "127.0.0.1:0") && !strings.Contains(args, "-p 0") {
			t.Errorf("%s: %q does not let the kernel choose the port", r.name, args)
		}
		if !strings.Contains(Describe(), r.about) {
			t.Errorf("%s: incomplete", r.name)
		}
	}
}

func TestInOrder(t *testing.T) {
	got := InOrder([]string{FastHTTP, "ringkit-std-inline", NetHTTP, FastHTTP, Uring})
	if want := []string{Uring, "ringkit-std-inline", NetHTTP, FastHTTP}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCheckUnknown(t *testing.T) {
	if err := Check("iis"); err == nil || !strings.Contains(err.Error(), FastHTTP) {
		t.Errorf("got %v", err)
	}
}

func TestIsPeer(t *testing.T) {
	for name, want := range map[string]bool{Ringkit: false, "ringkit-std": false, Uring: false, "before": false, Gorilla: true, "nbio": true} {
		if IsPeer(name) != want {
			t.Errorf("%s is a peer: %v", name, !want)
		}
	}
}

func TestGroups(t *testing.T) {
	for _, names := range [][]string{Mixed(), Two(), Files()} {
		if !slices.Contains(names, "ringkit-std") || !slices.Contains(names, NetHTTP) {
			t.Errorf("the two to compare are not among %q", names)
		}
		if slices.Contains(names, Uring) {
			t.Errorf("a floor is among %q", names)
		}
	}
	if !slices.Contains(Mixed(), "ringkit-std-inline") {
		t.Errorf("what the others are there to avoid is not among %q", Mixed())
	}
}

func TestRingkitArgs(t *testing.T) {
	if got := strings.Join(ringkitArgs("-mode", "inline")(2), " "); got != "-addr 127.0.0.1:0 -loops 2 -mode inline" {
		t.Errorf("got %q", got)
	}
	if got := strings.Join(ringkitArgs()(0), " "); got != "-addr 127.0.0.1:0" {
		t.Errorf("got %q", got)
	}
}

func TestBinary(t *testing.T) {
	s, err := Binary("before", "/bin/sh", "-handler", "std")
	if err != nil || s.Name != "before" || s.Path != "/bin/sh" || s.Route != "/" {
		t.Errorf("got %+v, %v", s, err)
	}
	if got := strings.Join(s.Args(1), " "); got != "-addr 127.0.0.1:0 -loops 1 -handler std" {
		t.Errorf("arguments %q", got)
	}
	if got := strings.Join(s.With("-files", "/srv").Args(1), " "); got != "-addr 127.0.0.1:0 -loops 1 -handler std -files /srv" {
		t.Errorf("arguments %q with more", got)
	}
	for client, want := range map[string][2]bool{"call": {true, false}, "dial": {true, true}} {
		s, err := Binary("before", "/bin/sh", "-client", client)
		if err != nil || s.Client != want[0] || s.Sockets != want[1] {
			t.Errorf("-client %s: %+v, %v", client, s, err)
		}
	}
	if _, err := Binary("x", "/nonexistent"); err == nil {
		t.Error("missing program: no error")
	}
}
