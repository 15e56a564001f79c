package main

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// debPackage is a package of an index that has a kernel in it.
type debPackage struct {
	Name    string
	Version string
	SHA256  string // of the package
	Size    int64  // in bytes
	Binary  bool   // linux-binary-*, which has the kernel from 6.19 on
	Release release
	Parts   []debPackage // that have its modules: linux-modules-*, from 7.2 on
}

// release is the beginning of a kernel's version.
type release struct{ major, minor int }

// kernelPackage matches the packages with kernels for clouds: the smallest ones
// that have everything needed here built in. Those ending in -unsigned, -dbg and
// the like are left out. From 7.2 on their modules have a package of their own.
var kernelPackage = regexp.MustCompile(`^linux-(image|binary|modules)-(\d+)\.(\d+)[0-9A-Za-z.+~-]*-cloud-amd64$`)

// parsePackages reads an index in the format of "Packages" files and returns the
// kernels in it.
func parsePackages(r io.Reader) ([]debPackage, error) {
	var found []debPackage
	modules := map[[2]string]debPackage{} // by name and version of what they belong to
	fields := map[string]string{}
	flush := func() {
		p, ok := kernelOf(fields)
		if rest, are := strings.CutPrefix(p.Name, modulesPrefix); ok && are {
			modules[[2]string{rest, p.Version}] = p
		} else if ok {
			found = append(found, p)
		}
		clear(fields)
	}
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		line := s.Text()
		if line == "" {
			flush()
			continue
		}
		if name, value, ok := strings.Cut(line, ":"); ok && line[0] != ' ' && line[0] != '\t' {
			fields[name] = strings.TrimSpace(value)
		}
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("index of packages: %w", err)
	}
	flush()
	for i, p := range found {
		if m, ok := modules[[2]string{strings.TrimPrefix(p.Name, "linux-binary-"), p.Version}]; ok {
			found[i].Parts = []debPackage{m}
		}
	}
	return found, nil
}

const modulesPrefix = "linux-modules-"

func kernelOf(fields map[string]string) (debPackage, bool) {
	m := kernelPackage.FindStringSubmatch(fields["Package"])
	if m == nil || fields["SHA256"] == "" || fields["Version"] == "" {
		return debPackage{}, false
	}
	major, err1 := strconv.Atoi(m[2])
	minor, err2 := strconv.Atoi(m[3])
	size, err3 := strconv.ParseInt(fields["Size"], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		return debPackage{}, false
	}
	return debPackage{
		Name:    fields["Package"],
		Version: fields["Version"],
		SHA256:  fields["SHA256"],
		Size:    size,
		Binary:  m[1] == "binary",
		Release: release{major, minor},
	}, true
}

// wanted is a kernel asked for by the beginning of its version: "6.12" or "7".
type wanted struct {
	major int
	minor int // -1 for the newest
}

func (w wanted) String() string {
	if w.minor < 0 {
		return strconv.Itoa(w.major)
	}
	return fmt.Sprintf("%d.%d", w.major, w.minor)
}

func (w wanted) matches(r release) bool {
	return r.major == w.major && (w.minor < 0 || r.minor == w.minor)
}

func parseWanted(s string) (wanted, error) {
	major, minor, dotted := strings.Cut(s, ".")
	w := wanted{minor: -1}
	var err error
	if w.major, err = strconv.Atoi(major); err == nil && dotted {
		w.minor, err = strconv.Atoi(minor)
	}
	if err != nil || w.major < 0 || dotted && w.minor < 0 {
		return w, fmt.Errorf("%q is no beginning of a kernel's version, such as 6.12 or 7", s)
	}
	return w, nil
}

// choose returns the newest package of the kernel asked for.
func choose(all []debPackage, w wanted) (best debPackage, ok bool) {
	for _, p := range all {
		if w.matches(p.Release) && (!ok || newer(p, best)) {
			best, ok = p, true
		}
	}
	return best, ok
}

// newer orders by version. Of the packages of one version, the one called binary
// has the kernel, and the other one is empty.
func newer(p, q debPackage) bool {
	if c := compareVersions(p.Version, q.Version); c != 0 {
		return c > 0
	}
	return p.Binary && !q.Binary
}
