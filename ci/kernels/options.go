package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

type options struct {
	kernels []string
	suites  []string
	rows    []string
	json    string
	doc     string
	cache   string
	accel   string
	run     string
	count   int
	timeout time.Duration
	jobs    int
	keep    bool
	quick   bool
	long    bool
	exec    []string // a program and its arguments, instead of tests
	put     []string // files for it
	memory  string
}

const usage = `Usage: go run ./ci/kernels [flags]

Runs the tests of every package on several Linux kernels, in virtual machines, and
prints how many passed, failed and were skipped, by kernel, row, engine and suite. With
-exec it runs a program on them instead, and passes on what that prints.
ci/README.md says how to read the table.

Rows:
`

func parseOptions(args []string, complaints io.Writer) (o options, err error) {
	f := flag.NewFlagSet("kernels", flag.ContinueOnError)
	f.SetOutput(io.Discard) // errors are returned
	var kernels, suites, rowList string
	f.StringVar(&kernels, "kernels", "5.10,6.1,6.12,6.18,7", "kernels: `versions` such as 6.12, or 7 for the newest 7.x, or paths of images with a slash in them")
	f.StringVar(&suites, "suites", "", "`packages` whose tests to run, such as root,conn,uring; all if empty")
	f.StringVar(&rowList, "rows", "", "`rows` to run; all if empty")
	f.StringVar(&o.run, "run", "", "run only the tests that match this `pattern`, as in go test")
	f.IntVar(&o.count, "count", 1, "run each test so many times, as in go test")
	f.StringVar(&o.json, "json", "", "`file` for the results in full; results.json in the cache directory if empty")
	f.StringVar(&o.doc, "doc", "", "`page`, such as docs/kernel-matrix.md, to put a short table into")
	f.StringVar(&o.cache, "cache", "", "`directory` for kernels, logs and results; ringkit-kernels in the user's cache directory if empty")
	f.StringVar(&o.accel, "accel", "auto", "auto, kvm or tcg; auto is kvm if a guest boots with it")
	f.DurationVar(&o.timeout, "timeout", 0, "limit for all suites of one boot; 0 is 30m, with -quick 8m, with -long 2h")
	f.IntVar(&o.jobs, "jobs", 1, "number of machines at the same time")
	f.BoolVar(&o.keep, "keep", false, "keep the binaries and images, and say where they are")
	f.BoolVar(&o.quick, "quick", false, "without the slowest tests, and only smoke tests under restrictions")
	f.BoolVar(&o.long, "long", false, "run tests without -test.short: with all seeds, to which the kernel makes no difference")
	var program, put string
	f.StringVar(&program, "exec", "", "`command` to run instead of tests, a program from -put and its arguments; the first row is used")
	f.StringVar(&put, "put", "", "`files` to have in /bin of the machine, by commas: programs are static")
	f.StringVar(&o.memory, "memory", "1536M", "`memory` of a machine, as qemu has it: 1536M, 16G")
	f.Usage = func() {}
	help := func() {
		f.SetOutput(complaints)
		fmt.Fprint(complaints, usage)
		for _, r := range rows {
			fmt.Fprintf(complaints, "  %-10s %s\n", r.name, r.about)
		}
		fmt.Fprintf(complaints, "\nThe rows after the first are run on one kernel. Times are for a machine without KVM;\n"+
			"%s=2 in the environment says that this one is twice as slow.\n\nFlags:\n", timeScale)
		f.PrintDefaults()
	}
	if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
		help()
		return o, err
	} else if err != nil {
		return o, fmt.Errorf("%w (see -h)", err)
	}
	o.kernels, o.suites, o.rows = list(kernels), list(suites), list(rowList)
	o.exec, o.put = strings.Fields(program), list(put)
	if err := o.check(f.Args()); err != nil {
		return o, fmt.Errorf("%w (see -h)", err)
	}
	return o, o.complete()
}

// memorySize is what -memory may be.
var memorySize = regexp.MustCompile(`^[1-9][0-9]*[MG]$`)

func list(s string) (items []string) {
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

func (o *options) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("takes flags only, not %q", rest[0])
	case len(o.kernels) == 0:
		return errors.New("-kernels names none")
	case o.jobs < 1:
		return errors.New("-jobs is at least 1")
	case o.count < 1:
		return errors.New("-count is at least 1")
	case o.timeout < 0:
		return errors.New("-timeout is not negative")
	case o.quick && o.long:
		return errors.New("-quick and -long exclude each other")
	case !memorySize.MatchString(o.memory):
		return fmt.Errorf("-memory is a number with M or G, not %q", o.memory)
	case len(o.put) > 0 && len(o.exec) == 0:
		return errors.New("-put is for -exec")
	case len(o.exec) > 0 && !slices.ContainsFunc(o.put, func(file string) bool { return filepath.Base(file) == o.exec[0] }):
		return fmt.Errorf("-exec: %q is none of the files of -put", o.exec[0])
	case len(o.exec) > 0 && (len(o.suites) > 0 || len(o.rows) > 0 || o.run != "" || o.doc != "" || o.quick || o.long || o.count != 1):
		return errors.New("-exec runs no tests, and excludes -suites, -rows, -run, -count, -doc, -quick and -long")
	case o.accel != "auto" && o.accel != "kvm" && o.accel != "tcg":
		return fmt.Errorf("-accel is auto, kvm or tcg, not %q", o.accel)
	}
	for i, k := range o.kernels {
		if strings.Contains(k, "/") {
			continue
		}
		if _, err := parseWanted(k); err != nil {
			return err
		}
		for _, other := range o.kernels[:i] {
			if other == k {
				return fmt.Errorf("kernel %s is named twice", k)
			}
		}
	}
	_, err := chooseRows(o.rows)
	return err
}

// complete fills in what depends on other flags and on the machine.
func (o *options) complete() (err error) {
	if o.timeout == 0 {
		switch {
		case o.quick:
			o.timeout = 8 * time.Minute
		case o.long:
			o.timeout = 2 * time.Hour
		default:
			o.timeout = 30 * time.Minute
		}
	}
	if o.cache == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("no cache directory: %w; name one with -cache", err)
		}
		o.cache = filepath.Join(dir, "ringkit-kernels")
	}
	// Other programs are given paths below it, and run elsewhere.
	if o.cache, err = filepath.Abs(o.cache); err != nil {
		return err
	}
	if o.json == "" {
		o.json = filepath.Join(o.cache, "results.json")
	}
	return nil
}

// parseScale reads the environment variable timeScale.
func parseScale(s string) (float64, error) {
	if s == "" {
		return 1, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f >= 0.1 && f <= 100) {
		return 0, fmt.Errorf("%s=%q is not a number from 0.1 to 100", timeScale, s)
	}
	return f, nil
}
