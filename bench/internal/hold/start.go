package hold

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/ringkit/ringkit/bench/internal/proc"
)

// Holder is a client process that has been started. Its methods are for one goroutine.
type Holder struct {
	PID  int
	Last Report // what it said last

	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Reader
	said  bytes.Buffer // on standard error
	ended bool
}

// endTime is how long a holder may take to end by itself: the kernel resets its connections.
const endTime = 20 * time.Second

// Start starts a program that does Run on its standard input and output. It ends with ctx,
// with this process, or by End.
func Start(ctx context.Context, program string, args []string, c Config) (*Holder, error) {
	h := &Holder{cmd: exec.CommandContext(ctx, program, args...)}
	h.cmd.Stderr = &h.said
	h.cmd.Env = append(h.cmd.Environ(), "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1")
	// What a terminal sends to all is not for the holder: its parent says when it ends.
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var err error
	if h.in, err = h.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := proc.Start(h.cmd, proc.AnyCPU); err != nil {
		return nil, fmt.Errorf("starting a client process: %w", err)
	}
	h.PID, h.lines = h.cmd.Process.Pid, bufio.NewReader(out)
	if err := h.send(c); err != nil {
		return nil, errors.Join(err, h.End())
	}
	return h, nil
}

func (h *Holder) send(what any) error {
	data, err := json.Marshal(what)
	if err != nil {
		return err
	}
	_, err = h.in.Write(append(data, '\n'))
	return err
}

// Do has an order carried out, and returns what was reported at the end. tell, if it is not
// nil, gets the reports before that.
func (h *Holder) Do(o Order, tell func(Report)) (Report, error) {
	err := h.send(o)
	for err == nil {
		var line []byte
		if line, err = h.lines.ReadBytes('\n'); err != nil {
			break
		}
		var r Report
		if err = json.Unmarshal(line, &r); err != nil {
			break
		}
		h.Last = r
		if r.Done {
			return r, nil
		}
		if tell != nil {
			tell(r)
		}
	}
	return h.Last, fmt.Errorf("client process %d: %w", h.PID, errors.Join(err, h.End()))
}

// End ends the holder and its connections. The error says what it complained of, once.
func (h *Holder) End() error {
	if h.ended {
		return nil
	}
	h.ended = true
	h.in.Close()
	// It may have something to say that nobody wants to know any more.
	go func() { _, _ = io.Copy(io.Discard, h.lines) }()
	kill := time.AfterFunc(endTime, func() { _ = h.cmd.Process.Kill() })
	defer kill.Stop()
	if err := h.cmd.Wait(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(h.said.String()))
	}
	return nil
}
