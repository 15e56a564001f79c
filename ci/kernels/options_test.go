package main

import (
	"bytes"
	"errors"
	"flag"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestOptions(t *testing.T) {
	var complaints bytes.Buffer
	o, err := parseOptions([]string{"-kernels", "6.12, ./vmlinuz", "-quick", "-cache", "/cache"}, &complaints)
	if err != nil || complaints.Len() > 0 {
		t.Fatalf("%v %s", err, complaints.String())
	}
	if !slices.Equal(o.kernels, []string{"6.12", "./vmlinuz"}) || !o.quick || o.timeout != 8*time.Minute || o.json != "/cache/results.json" {
		t.Errorf("%+v", o)
	}
	for args, part := range map[string]string{
		"-kernels six":          `"six"`,
		"-kernels 6.1,6.1":      "twice",
		"-kernels ,":            "names none",
		"-rows upside-down":     "there are normal",
		"-jobs 0":               "-jobs",
		"-count 0":              "-count",
		"-timeout -1s":          "-timeout",
		"-quick -long":          "exclude",
		"-accel xen":            `"xen"`,
		"-memory lots":          "-memory",
		"-put a":                "-exec",
		"-exec b -put a":        `"b"`,
		"-exec a -put a -quick": "excludes",
		"6.12":                  "flags only",
	} {
		if _, err := parseOptions(strings.Fields(args), &complaints); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v, want something with %s", args, err, part)
		}
	}
	if _, err := parseOptions([]string{"-h"}, &complaints); !errors.Is(err, flag.ErrHelp) || !strings.Contains(complaints.String(), "seccomp") {
		t.Errorf("%v\n%s", err, complaints.String())
	}
}

func TestProgramOptions(t *testing.T) {
	var complaints bytes.Buffer
	o, err := parseOptions([]string{"-exec", "hello -n 3", "-put", "/x/hello,/y/other", "-memory", "8G", "-timeout", "1h", "-cache", "/cache"}, &complaints)
	if err != nil || o.memory != "8G" || !slices.Equal(o.put, []string{"/x/hello", "/y/other"}) {
		t.Fatalf("%+v, %v", o, err)
	}
	p := programPlan(o)
	if s := p.Steps[0]; len(p.Steps) != 1 || s.Path != "/bin/hello" || !slices.Equal(s.Args, []string{"-n", "3"}) || !s.Program || s.Limit != time.Hour || s.Under.NoFile != programNoFile {
		t.Errorf("%+v", p)
	}
}

func TestScale(t *testing.T) {
	for s, want := range map[string]float64{"": 1, "2": 2, "0.5": 0.5} {
		if got, err := parseScale(s); got != want || err != nil {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"fast", "0", "-1", "1e9", "NaN"} {
		if got, err := parseScale(s); err == nil {
			t.Errorf("%q: %v", s, got)
		}
	}
}

func TestChooseSuites(t *testing.T) {
	all := []suite{{name: "root"}, {name: smoke}, {name: "internal/wheel"}}
	for _, c := range []struct{ names, want string }{
		{"", "root " + smoke + " internal/wheel"},
		{"wheel", "internal/wheel " + smoke},
		{"smoke,root", smoke + " root"},
	} {
		chosen, err := chooseSuites(all, list(c.names))
		var got []string
		for _, s := range chosen {
			got = append(got, s.name)
		}
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%q: %q, %v; want %s", c.names, got, err, c.want)
		}
	}
	if _, err := chooseSuites(all, []string{"wheels"}); err == nil || !strings.Contains(err.Error(), "internal/wheel") {
		t.Error(err)
	}
}
