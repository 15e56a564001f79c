package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/ringkit/ringkit/bench/internal/report"
	"github.com/ringkit/ringkit/bench/internal/subject"
)

// tool is something that measuring needs, or is better with.
type tool struct {
	program  string // or file
	packages string // of Debian that have it
	use      string // what is missing without
}

var tools = []tool{
	{"wrk", "wrk", "requests by wrk; ./load sends them instead"},
	{"gcc", "gcc libc6-dev", "floors in C"},
	{"/usr/include/linux/io_uring.h", "linux-libc-dev", "floor on io_uring"},
	{"nginx", "nginx", "rows for nginx"},
}

// lookForTools returns the tools that are not there.
func lookForTools() (absent []tool) {
	for _, t := range tools {
		var err error
		if strings.HasPrefix(t.program, "/") {
			_, err = os.Stat(t.program)
		} else {
			_, err = subject.Installed(t.program)
		}
		if err != nil {
			absent = append(absent, t)
		}
	}
	return absent
}

// advice says how to get what is not there, "" if nothing is.
func advice(absent []tool) string {
	if len(absent) == 0 {
		return ""
	}
	var packages []string
	for _, t := range absent {
		packages = append(packages, t.packages)
	}
	return "for the whole: apt-get install " + strings.Join(packages, " ") + "\ngoing on with what is there"
}

// versions returns those of what is measured and of what it is measured with.
func versions(ctx context.Context, subjects []subject.Subject) []report.Version {
	var list []report.Version
	add := func(name, version string) {
		v := report.Version{Name: name, Version: version}
		if version != "" && !slices.Contains(list, v) {
			list = append(list, v)
		}
	}
	for _, s := range subjects {
		info, err := buildinfo.ReadFile(s.Path)
		if err != nil {
			continue // a program in C
		}
		add("Go", info.GoVersion)
		_, _, module := subject.About(s.Name)
		for _, dep := range info.Deps {
			if dep.Path == module {
				add(module, dep.Version)
			}
		}
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				add("ringkit", setting.Value)
			}
			if setting.Key == "vcs.modified" && setting.Value == "true" {
				add("ringkit, beyond that revision", "uncommitted changes")
			}
		}
	}
	for _, t := range [][]string{{"nginx", "-v"}, {"wrk", "-v"}, {"gcc", "--version"}} {
		add(t[0], firstLine(ctx, t[0], t[1]))
	}
	return list
}

// firstLine returns the first line that a program prints, "" if there is none.
func firstLine(ctx context.Context, program, arg string) string {
	path, err := subject.Installed(program)
	if err != nil {
		return ""
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, path, arg)
	cmd.Stdout, cmd.Stderr = &out, &out
	_ = cmd.Run() // wrk calls it an error to be asked
	line, _, _ := strings.Cut(out.String(), "\n")
	return strings.TrimSpace(strings.TrimPrefix(fmt.Sprint(line), program+" version: "))
}
