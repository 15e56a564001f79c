package browser

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/ringkit/ringkit/uring"
)

var engines = []string{"io_uring", "epoll"}

func eachEngine(t *testing.T, test func(t *testing.T, engine string)) {
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			if engine == "io_uring" {
				needIOUring(t)
			}
			test(t, engine)
		})
	}
}

func needIOUring(t *testing.T) {
	t.Helper()
	r, err := uring.New(uring.Config{})
	if errors.Is(err, uring.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(0); err != nil {
		t.Fatal(err)
	}
}

// build builds an example of the root module, and returns the path of the program.
func build(t *testing.T, name string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), name)
	cmd := exec.Command("go", "build", "-o", bin, "./examples/"+name)
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	return bin
}

// program is an example that runs.
type program struct {
	*testing.T
	cmd   *exec.Cmd
	addr  string // host:port
	ended chan error
}

var address = regexp.MustCompile(`http://([0-9.:]+)`)

// start starts a program on an address, and waits until it says that it listens.
func start(t *testing.T, bin, engine, addr string) *program {
	t.Helper()
	cmd := exec.Command(bin, "-engine", engine, "-addr", addr)
	cmd.Env = append(os.Environ(), "RINGKIT_ENGINE=")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &program{t, cmd, "", make(chan error, 1)}
	t.Cleanup(func() { cmd.Process.Kill() })
	listens := make(chan string, 1)
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if m := address.FindStringSubmatch(lines.Text()); m != nil {
				listens <- m[1]
			}
		}
		p.ended <- cmd.Wait()
	}()
	select {
	case p.addr = <-listens:
	case err := <-p.ended:
		t.Fatalf("%s ended: %v", bin, err)
	case <-time.After(patience):
		t.Fatalf("%s does not listen", bin)
	}
	return p
}

// stop ends the program as Ctrl-C does.
func (p *program) stop() {
	p.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		p.Fatal(err)
	}
	select {
	case err := <-p.ended:
		if err != nil {
			p.Errorf("%v: %v", p.cmd.Args, err)
		}
	case <-time.After(patience):
		p.Fatalf("%v does not end", p.cmd.Args)
	}
}
