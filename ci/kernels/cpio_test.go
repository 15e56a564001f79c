package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

func TestCPIO(t *testing.T) {
	var b bytes.Buffer
	c := newCPIO(&b)
	c.dir("tmp")
	c.dir("tmp")
	c.file("t/deep/odd", 0o755, []byte("12345"))
	c.device("dev/console", 0o600, 5, 1)
	c.file("empty", 0o644, nil)
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"tmp 040755 0:0 ", "t 040755 0:0 ", "t/deep 040755 0:0 ", "t/deep/odd 100755 0:0 12345",
		"dev 040755 0:0 ", "dev/console 020600 5:1 ", "empty 100644 0:0 ", "TRAILER!!! 000000 0:0 ",
	}
	if got := readCPIO(t, b.Bytes()); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// readCPIO takes an archive apart by the description of the format.
func readCPIO(t *testing.T, b []byte) (entries []string) {
	t.Helper()
	const header = 110
	inodes := map[int]bool{}
	for at := 0; at < len(b); {
		var f [13]int // inode, mode, uid, gid, links, time, size, 4 × device, length of the name, check
		if string(b[at:at+6]) != "070701" {
			t.Fatalf("no header at %d: %q", at, b[at:])
		}
		for i := range f {
			if _, err := fmt.Sscanf(string(b[at+6+8*i:at+14+8*i]), "%x", &f[i]); err != nil {
				t.Fatal(err)
			}
		}
		name := string(b[at+header : at+header+f[11]-1])
		at = (at + header + f[11] + 3) &^ 3
		if inodes[f[0]] {
			t.Errorf("%s has the inode of another file", name)
		}
		inodes[f[0]] = true
		entries = append(entries, fmt.Sprintf("%s %06o %d:%d %s", name, f[1], f[9], f[10], b[at:at+f[6]]))
		at = (at + f[6] + 3) &^ 3
	}
	return entries
}

// The program that others use for the format reads it, too.
func TestCPIOIsReadByOthers(t *testing.T) {
	path, err := exec.LookPath("cpio")
	if err != nil {
		t.Skip(err)
	}
	var b bytes.Buffer
	c := newCPIO(&b)
	c.file("a/b", 0o644, []byte("content"))
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--list", "--quiet")
	cmd.Stdin = &b
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "a\na/b\n" {
		t.Errorf("%q, %v", out, err)
	}
}
