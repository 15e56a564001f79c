package subject

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ringkit/ringkit/bench/internal/clients"
	"github.com/ringkit/ringkit/bench/internal/proc"
)

// modulePath is the module of the benchmarks.
const modulePath = "github.com/ringkit/ringkit/bench"

// Builder builds subjects into one directory, each program once.
type Builder struct {
	moduleDir string
	binDir    string
	progress  io.Writer
	built     map[string]string // source to program
}

// NewBuilder returns a builder that writes programs to binDir and tells progress
// what it does. The working directory must be in the module of the benchmarks.
func NewBuilder(ctx context.Context, binDir string, progress io.Writer) (*Builder, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return nil, fmt.Errorf("go env GOMOD: %w", cmp.Or(ctx.Err(), err))
	}
	gomod := strings.TrimSpace(string(out))
	text, err := os.ReadFile(gomod)
	if err != nil || !bytes.HasPrefix(text, []byte("module "+modulePath+"\n")) {
		return nil, fmt.Errorf("run this in the directory of module %s: its sources are needed", modulePath)
	}
	return &Builder{
		moduleDir: filepath.Dir(gomod),
		binDir:    binDir,
		progress:  progress,
		built:     make(map[string]string),
	}, nil
}

// Build makes the subject of that name.
func (b *Builder) Build(ctx context.Context, name string) (Subject, error) {
	r, err := find(name)
	if err != nil {
		return Subject{}, err
	}
	if r.needs != "" {
		if _, err := Installed(r.needs); err != nil {
			return Subject{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	path, err := b.Program(ctx, r.source)
	if err != nil {
		return Subject{}, fmt.Errorf("building %s: %w", name, err)
	}
	return Subject{Name: name, Path: path, args: r.args, more: r.more, Route: route, Engine: r.engine,
		Env:   []string{"TMPDIR=" + b.binDir}, // what it leaves behind goes with the programs
		Floor: strings.HasPrefix(r.source, "floor/"), Canned: r.canned, Client: r.source == clientSource, Sockets: hasSockets(r.more)}, nil
}

// Installed returns the path of a program, also of one that only administrators have in
// theirs.
func Installed(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		if there, also := exec.LookPath(filepath.Join("/usr/sbin", program)); also == nil {
			return there, nil
		}
	}
	return path, err
}

// Program builds a C file or a Go package below the module's directory and returns
// the path of the program.
func (b *Builder) Program(ctx context.Context, source string) (string, error) {
	if path, ok := b.built[source]; ok {
		return path, nil
	}
	name := strings.TrimSuffix(filepath.Base(source), ".c")
	path := filepath.Join(b.binDir, name)
	var cmd *exec.Cmd
	switch {
	case strings.HasSuffix(source, ".c"):
		path = filepath.Join(b.binDir, "floor-"+name)
		cmd = exec.CommandContext(ctx, "gcc", "-O2", "-Wall", "-Wextra", "-o", path, source)
	default:
		cmd = exec.CommandContext(ctx, "go", "build", "-o", path, source)
	}
	cmd.Dir = b.moduleDir

	// An interrupted go command takes its compilers with it; a killed one does not.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	start := time.Now()
	var output bytes.Buffer
	cmd.Stdout = &output
	cmd.Stderr = &output
	err := proc.Start(cmd, proc.AnyCPU)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		printed := strings.ReplaceAll(strings.TrimSpace(output.String()), "\n", "; ")
		return "", fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), cmp.Or(ctx.Err(), err), printed)
	}
	fmt.Fprintf(b.progress, "built %s in %.1f s\n", source, time.Since(start).Seconds())
	b.built[source] = path
	return path, nil
}

// Binary returns a subject for a program built elsewhere that takes -addr and
// -loops as peers/ringkit does: another state of the project, say. It gets the
// arguments in more besides. If -client is among them it is another clientload, a client,
// and gets these only.
func Binary(name, path string, more ...string) (Subject, error) {
	path, err := exec.LookPath(path)
	if err != nil {
		return Subject{}, fmt.Errorf("subject %s: %w", name, err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return Subject{}, fmt.Errorf("subject %s: %w", name, err)
	}
	return Subject{Name: name, Path: path, args: ringkitArgs(), more: more, Route: route, Client: slices.Contains(more, "-client"), Sockets: hasSockets(more)}, nil
}

// hasSockets reports whether arguments name a client of WebSockets.
func hasSockets(args []string) bool {
	i := slices.Index(args, "-client")
	return i >= 0 && i+1 < len(args) && clients.HasSockets(args[i+1])
}
