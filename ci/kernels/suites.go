package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// suite is the tests of one package.
type suite struct {
	name   string // its path in the module, "root" for the first
	pkg    string
	binary string // the path of the file
}

// module finds the directory of the module and its packages with tests.
func module(ctx context.Context) (dir string, all []suite, err error) {
	text, err := output(command(ctx, "", "go", "list", "-json=ImportPath,Module,TestGoFiles,XTestGoFiles", "./..."))
	if err != nil {
		return "", nil, err
	}
	for d := json.NewDecoder(strings.NewReader(text)); ; {
		var p struct {
			ImportPath                string
			Module                    struct{ Path, Dir string }
			TestGoFiles, XTestGoFiles []string
		}
		if err := d.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			return "", nil, fmt.Errorf("go list: %w", err)
		}
		dir = p.Module.Dir
		name := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, p.Module.Path), "/")
		if name == "" {
			name = "root"
		}
		if len(p.TestGoFiles)+len(p.XTestGoFiles) > 0 && forGuests(name) {
			all = append(all, suite{name: name, pkg: p.ImportPath})
		}
	}
	if len(all) == 0 {
		return "", nil, errors.New("no package here has tests: run this in the root of the module")
	}
	return dir, all, nil
}

// forGuests leaves out what is about this machine or the documents, not about the kernel.
func forGuests(name string) bool {
	if name == "internal/apicheck" || name == "internal/docs" {
		return false
	}
	return name == smoke || !strings.HasPrefix(name, "ci/") && !strings.HasPrefix(name, "examples/")
}

// chooseSuites returns the suites with the given names, and the smoke tests in any
// case.
func chooseSuites(all []suite, names []string) ([]suite, error) {
	if len(names) == 0 {
		return all, nil
	}
	chosen := all[:0:0]
	for _, name := range names {
		i := slices.IndexFunc(all, func(s suite) bool { return s.name == name || filepath.Base(s.name) == name })
		if i < 0 {
			var there []string
			for _, s := range all {
				there = append(there, s.name)
			}
			return nil, fmt.Errorf("no suite is called %q: there are %s", name, strings.Join(there, ", "))
		}
		chosen = append(chosen, all[i])
	}
	isSmoke := func(s suite) bool { return s.name == smoke }
	if i := slices.IndexFunc(all, isSmoke); i >= 0 && !slices.ContainsFunc(chosen, isSmoke) {
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// guestBinary is the package of a guest's first process.
const guestBinary = "./ci/kernels/guest"

// build compiles what runs in the guests into a directory: static programs, which
// need nothing beside them.
func build(ctx context.Context, root, dir string, suites []suite, progress func(string, ...any)) error {
	progress("building the guest's first process and %d suites", len(suites))
	if err := goBuild(ctx, root, "build", "-o", filepath.Join(dir, "init"), guestBinary); err != nil {
		return err
	}
	for i := range suites {
		s := &suites[i]
		s.binary = filepath.Join(dir, strings.ReplaceAll(s.name, "/", "-")+".test")
		if err := goBuild(ctx, root, "test", "-c", "-o", s.binary, s.pkg); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func goBuild(ctx context.Context, root, verb string, args ...string) error {
	cmd := command(ctx, root, "go", append([]string{verb, "-trimpath", "-ldflags=-s -w"}, args...)...)
	cmd.Env = append(cmd.Env, "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	_, err := output(cmd)
	return err
}

// sources calls use with the files that tests may look at in the directories of
// their packages: Go's own, and test data.
func sources(root string, use func(name string, content []byte) error) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != "." && (strings.HasPrefix(d.Name(), ".") || nested(path)) {
				return filepath.SkipDir
			}
			return nil
		}
		inData := slices.Contains(strings.Split(name, "/"), "testdata")
		if !d.Type().IsRegular() || !inData && !strings.HasSuffix(name, ".go") && d.Name() != "go.mod" {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return use(name, content)
	})
}

// nested says whether a directory is a module of its own.
func nested(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}
