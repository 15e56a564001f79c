package main

import (
	"fmt"
	"io"
	"io/fs"
)

// cpioWriter writes an archive in the "newc" format, which the kernel unpacks into
// its first file system (Documentation/driver-api/early-userspace/buffer-format.rst).
type cpioWriter struct {
	w     io.Writer
	n     int64 // written
	inode uint32
	dirs  map[string]bool
	err   error
}

func newCPIO(w io.Writer) *cpioWriter {
	return &cpioWriter{w: w, dirs: map[string]bool{"": true, ".": true}}
}

// Modes of files as they are in an inode.
const (
	modeDir  = 0o040000
	modeFile = 0o100000
	modeChar = 0o020000
)

// file adds a regular file, and the directories above it.
func (c *cpioWriter) file(name string, perm fs.FileMode, content []byte) {
	c.parents(name)
	c.entry(name, modeFile|uint32(perm.Perm()), 0, 0, content)
}

// device adds a character device.
func (c *cpioWriter) device(name string, perm fs.FileMode, major, minor uint32) {
	c.parents(name)
	c.entry(name, modeChar|uint32(perm.Perm()), major, minor, nil)
}

// dir adds a directory and those above it, once.
func (c *cpioWriter) dir(name string) { c.parents(name + "/") }

// parents adds the directories of a path that are not there yet: the kernel does
// not make them by itself.
func (c *cpioWriter) parents(name string) {
	for i, r := range name {
		if r == '/' && !c.dirs[name[:i]] {
			c.dirs[name[:i]] = true
			c.entry(name[:i], modeDir|0o755, 0, 0, nil)
		}
	}
}

// close ends the archive. Another one may follow it in the same image.
func (c *cpioWriter) close() error {
	c.entry("TRAILER!!!", 0, 0, 0, nil)
	return c.err
}

func (c *cpioWriter) entry(name string, mode, major, minor uint32, content []byte) {
	if int64(len(content)) > 1<<32-1 {
		c.err = fmt.Errorf("cpio: %s is larger than the format allows", name)
	}
	c.inode++
	c.write(fmt.Appendf(nil, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		c.inode, mode, 0, 0, 1, 0, len(content), 0, 0, major, minor, len(name)+1, 0, name))
	c.pad()
	c.write(content)
	c.pad()
}

func (c *cpioWriter) write(b []byte) {
	if c.err == nil {
		_, c.err = c.w.Write(b)
		c.n += int64(len(b))
	}
}

// pad fills up to a multiple of four bytes.
func (c *cpioWriter) pad() { c.write(make([]byte, -c.n&3)) }
