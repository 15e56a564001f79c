package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"

	"github.com/ringkit/ringkit/ci/kernels/plan"
)

// Where things are in a guest.
const (
	guestTests    = "t"
	guestSources  = "src"
	guestModule   = "modules"
	guestPrograms = "bin"
)

// hostsFile lets the names of the loopback interface be looked up.
const hostsFile = "127.0.0.1 localhost\n::1 localhost\n"

// writeImage writes the part of the guests' first file system that is the same in
// all: the binaries, and the sources that tests look at. put are further programs.
func writeImage(file, root, initBinary string, suites []suite, put []string) error {
	return compressed(file, func(c *cpioWriter) error {
		for _, dir := range []string{"proc", "sys", "tmp"} {
			c.dir(dir)
		}
		// The first process has the console as its output before it mounts anything.
		c.device("dev/console", 0o600, 5, 1)
		c.device("dev/null", 0o666, 1, 3)
		c.file("etc/hosts", 0o644, []byte(hostsFile))
		c.file("etc/passwd", 0o644, []byte("root:x:0:0:root:/tmp:/bin/false\n"))
		binaries := map[string]string{"init": initBinary}
		for _, s := range suites {
			binaries[guestTests+"/"+filepath.Base(s.binary)] = s.binary
		}
		for _, path := range put {
			binaries[guestPrograms+"/"+filepath.Base(path)] = path
		}
		for name, path := range binaries {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			c.file(name, 0o755, content)
		}
		if len(suites) == 0 {
			return nil
		}
		return sources(root, func(name string, content []byte) error {
			c.file(guestSources+"/"+name, 0o644, content)
			return c.err
		})
	})
}

// planImage returns what is added to the image for one boot: the plan, and the modules
// of the kernel in a directory. The kernel unpacks archives that follow each other.
func planImage(p plan.Plan, modules string) ([]byte, error) {
	var b bytes.Buffer
	c := newCPIO(&b)
	if modules != "" {
		for _, file := range modulesIn(modules) {
			content, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			name := guestModule + "/" + filepath.Base(file)
			c.file(name, 0o644, content)
			p.Modules = append(p.Modules, "/"+name)
		}
	}
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	c.file(filepath.Base(plan.File), 0o644, text)
	return b.Bytes(), c.close()
}

func compressed(file string, fill func(*cpioWriter) error) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	// What a guest takes longer to unpack costs more than what the file is larger.
	z, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
	if err != nil {
		return err
	}
	c := newCPIO(z)
	if err := fill(c); err != nil {
		return err
	}
	if err := c.close(); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return f.Close()
}

// joinImages writes the image for one boot.
func joinImages(file, base string, more []byte) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := os.Open(base)
	if err != nil {
		return err
	}
	defer b.Close()
	n, err := io.Copy(f, b)
	if err != nil {
		return err
	}
	// An archive that is not compressed begins at a multiple of four bytes.
	if _, err := f.Write(append(make([]byte, -n&3), more...)); err != nil {
		return err
	}
	return f.Close()
}
