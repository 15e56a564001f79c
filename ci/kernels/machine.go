package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/ringkit/ringkit/ci/kernels/plan"
)

// machine is a virtual machine that boots a kernel and runs a plan.
type machine struct {
	qemu    string // path of the program
	kvm     bool
	kernel  string // path of the image
	image   string // path of the first file system
	console string // path of the file for what the kernel writes
	cpus    int
	memory  string // as qemu has it, 1536M or 16G
}

const (
	emulator        = "qemu-system-x86_64"
	emulatorPackage = "qemu-system-x86"
)

// arguments of the kernel. Where it would stop or go on damaged, it panics, and
// where it panics, it restarts, which ends the machine.
const kernelArguments = "console=ttyS0 loglevel=5 panic=-1 oops=panic nokaslr mitigations=off " +
	"tsc=reliable random.trust_cpu=on"

func findEmulator() (string, error) {
	path, err := exec.LookPath(emulator)
	if err != nil {
		return "", fmt.Errorf("%s is not installed: on Debian it is in the package %s", emulator, emulatorPackage)
	}
	return path, nil
}

func (m machine) args() []string {
	accel := "tcg,thread=single" // with several threads guests were seen to hang
	if m.kvm {
		accel = "kvm"
	}
	return []string{
		"-accel", accel, "-cpu", "max,la57=off", "-smp", strconv.Itoa(m.cpus), "-m", m.memory,
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-serial", "file:" + m.console,
		"-chardev", "stdio,id=port,signal=off", "-serial", "chardev:port",
		"-kernel", m.kernel, "-initrd", m.image, "-append", kernelArguments,
	}
}

// run boots the machine and writes what the guest says to w, until the machine
// ends or the context does.
func (m machine) run(ctx context.Context, w io.Writer) error {
	cmd := exec.CommandContext(ctx, m.qemu, m.args()...)
	var complaints tail
	cmd.Stdout, cmd.Stderr = w, &complaints
	cmd.WaitDelay = 5 * time.Second
	// If this program is killed, the machine goes with it. The kernel looks at the
	// thread that started it, which therefore has to stay.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Run()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil {
		return fmt.Errorf("%s: %w %s", emulator, err, complaints)
	}
	return nil
}

// tail keeps the last bytes written to it.
type tail []byte

func (t *tail) Write(p []byte) (int, error) {
	*t = append(*t, p...)
	if over := len(*t) - 4<<10; over > 0 {
		*t = (*t)[over:]
	}
	return len(p), nil
}

// records splits what a guest says into its records and the rest.
type records struct {
	record func(plan.Record)
	rest   io.Writer
	line   []byte // of a record that has not ended
	inside bool
}

func (r *records) Write(p []byte) (int, error) {
	from := 0 // where the rest begins that has not been written
	for i, c := range p {
		switch {
		case c == plan.Mark:
			if !r.inside {
				r.pass(p[from:i])
			}
			r.inside, r.line = true, r.line[:0]
		case r.inside && c == '\n':
			if rec, err := plan.Parse(r.line); err == nil {
				r.record(rec)
			} else {
				r.pass(append(r.line, '\n'))
			}
			r.inside, from = false, i+1
		case r.inside:
			r.line = append(r.line, c)
		}
	}
	if !r.inside {
		r.pass(p[from:])
	}
	return len(p), nil
}

func (r *records) pass(p []byte) {
	if len(p) > 0 {
		_, _ = r.rest.Write(p)
	}
}

// canaryLimit is how long a kernel has to come up under KVM, which takes it a
// second where KVM works.
const canaryLimit = 10 * time.Second

// canUseKVM boots a kernel to see whether KVM works: that the device is there does
// not mean that stock kernels boot on it.
func canUseKVM(ctx context.Context, m machine) error {
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	f.Close()
	m.kvm = true
	up := errors.New("the guest is up")
	limit, stop := context.WithTimeoutCause(ctx, canaryLimit, fmt.Errorf("no guest came up in %v", canaryLimit))
	defer stop()
	limit, cancel := context.WithCancelCause(limit)
	defer cancel(nil)
	err = m.run(limit, &records{rest: io.Discard, record: func(r plan.Record) {
		if r.Kind == plan.Hello {
			cancel(up)
		}
	}})
	if err == nil {
		err = errors.New("the guest ended before it was up")
	}
	if errors.Is(err, up) {
		return nil
	}
	return err
}
