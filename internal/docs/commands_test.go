package docs

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// How the commands of README.md are seen to work.
const (
	serves    = "serves"    // started, asked by those that ask, and interrupted at the end
	asks      = "asks"      // run against the program that serves, at its address
	runs      = "runs"      // run to the end
	elsewhere = "elsewhere" // not run by this test; why says by whom, or why not at all
)

// commands are the lines in the shell blocks of README.md, and of the other pages, where
// all are of the last kind.
var commands = map[string]struct{ how, why string }{
	"go run ./examples/hello":                               {serves, ""},
	"curl -i http://127.0.0.1:8080/":                        {asks, ""},
	"curl -i -d 'some body' http://127.0.0.1:8080/echo":     {asks, ""},
	"go test ./...":                                         {elsewhere, ".ci/run runs it: this test is part of it"},
	"go get github.com/ringkit/ringkit":                     {elsewhere, "examples/consumer does without: it has the module beside it"},
	"cd bench && go run . -quick":                           {elsewhere, ".ci/run runs it, which takes minutes"},
	"curl -fsSLo default.json " + profile:                   {elsewhere, "CI does not depend on other people's servers"},
	"docker run --security-opt seccomp=io_uring.json " + in: {elsewhere, "there is no container engine in CI"},
	"cd bench && go run .":                                  {elsewhere, "takes a quarter of an hour; .ci/run runs it with -quick"},
	"go run ./ci/kernels":                                   {elsewhere, ".ci/run runs it for two kernels: all take an hour"},
	"go run ./ci/kernels -doc docs/kernel-matrix.md":        {elsewhere, "takes an hour; TestDocument of ci/kernels writes a page"},
	"jq '" + allow + "' default.json > io_uring.json":       {runs, ""},
}

const (
	profile = "https://raw.githubusercontent.com/moby/profiles/main/seccomp/default.json"
	in      = "your-image"
	allow   = `.syscalls += [{names: ["io_uring_setup", "io_uring_enter", "io_uring_register"], action: "SCMP_ACT_ALLOW"}]`
)

// defaultProfile is what matters of the profile of container engines: what is not listed
// is forbidden.
const defaultProfile = `{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "syscalls": [
	{"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"},
	{"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]}`

// TestCommands runs what README.md tells its readers to run.
func TestCommands(t *testing.T) {
	listed := map[string]bool{}
	var lines []string
	for _, page := range documents(t) {
		for _, f := range fences(page, read(t, page)) {
			if f.lang != "sh" {
				continue
			}
			for _, line := range f.lines {
				switch c, ok := commands[line]; {
				case !ok, page != "README.md" && c.how != elsewhere:
					t.Errorf("%s:%d: nobody knows whether this works; list it in commands:\n%s", page, f.line, line)
				case page == "README.md":
					lines = append(lines, line)
				}
				listed[line] = true
			}
		}
	}
	for line := range commands {
		if !listed[line] {
			t.Errorf("no page has this any more: %s", line)
		}
	}
	for _, m := range regexp.MustCompile("`go run \\./(examples/[a-z]+)").FindAllStringSubmatch(read(t, "README.md"), -1) {
		if _, err := os.Stat(filepath.Join(root, m[1], "main.go")); err != nil {
			t.Errorf("README.md names %s, which is no program: %v", m[1], err)
		}
	}
	if testing.Short() || t.Failed() {
		return
	}
	for _, program := range []string{"go", "curl", "jq"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("to run the commands takes %s", program)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "default.json"), []byte(defaultProfile), 0o600); err != nil {
		t.Fatal(err)
	}
	address := ""
	for _, line := range lines {
		switch commands[line].how {
		case serves:
			address = start(t, line)
		case asks:
			out := shell(t, root, strings.Replace(line, "http://127.0.0.1:8080", address, 1))
			if !strings.HasPrefix(out, "HTTP/1.1 200 OK\r\n") {
				t.Errorf("%s:\n%s", line, out)
			}
		case runs:
			shell(t, dir, line)
		}
	}
	allows(t, filepath.Join(dir, "io_uring.json"))
}

// start starts a server of examples/ on a port that is free, and returns its address when
// it has told it. At the end it is interrupted, and has to end in order.
func start(t *testing.T, line string) string {
	t.Helper()
	dir, ok := strings.CutPrefix(line, "go run ")
	if !ok {
		t.Fatalf("%q is not run by go", line)
	}
	program := filepath.Join(t.TempDir(), "program")
	shell(t, root, "go build -o "+program+" "+dir) // go run does not pass on signals
	cmd := exec.Command(program, "-addr", "127.0.0.1:0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	said := bufio.NewReader(out)
	t.Cleanup(func() {
		defer late.Stop()
		cmd.Process.Signal(syscall.SIGINT)
		io.Copy(io.Discard, said)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: interrupted, it ends with %v", line, err)
		}
	})
	for {
		text, err := said.ReadString('\n')
		if err != nil {
			t.Fatalf("%s: it has told no address: %v", line, err)
		}
		if url := regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(text); url != "" {
			return url
		}
	}
}

func shell(t *testing.T, dir, line string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", line)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// allows looks whether a profile allows io_uring and is otherwise as it was.
func allows(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var p struct {
		DefaultAction string
		Syscalls      []struct {
			Names  []string
			Action string
		}
	}
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatal(err)
	}
	allowed := map[string]bool{}
	for _, s := range p.Syscalls {
		for _, name := range s.Names {
			allowed[name] = s.Action == "SCMP_ACT_ALLOW"
		}
	}
	for _, name := range []string{"read", "io_uring_setup", "io_uring_enter", "io_uring_register"} {
		if !allowed[name] {
			t.Errorf("the profile does not allow %s", name)
		}
	}
	if p.DefaultAction != "SCMP_ACT_ERRNO" || allowed["clone3"] {
		t.Errorf("the profile allows more than it did:\n%s", text)
	}
}
