package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// redraw is how often the bar is drawn.
const redraw = 100 * time.Millisecond

// progress shows how far all transfers are: on one line of a terminal that is drawn again
// and again, otherwise on a line for each that has ended. It says what is wrong in any case.
type progress struct {
	bar, lines bool

	mu      sync.Mutex
	w       io.Writer
	urls    int
	ended   int
	failed  int
	got     int64 // bytes of bodies
	want    int64 // of those whose size is known
	unknown int   // transfers under way whose size is not known
	rate    float64
	at      time.Time // when rate was computed
	had     int64     // got, then
	stop    chan struct{}
	stopped chan struct{}
}

// newProgress decides what to show: no bar where bodies go to the same terminal.
func newProgress(stdout, stderr io.Writer, o *options) *progress {
	p := &progress{w: stderr, urls: len(o.urls), at: time.Now()}
	mixed := o.toStdout() && isTerminal(stdout)
	p.bar = !o.silent && !mixed && isTerminal(stderr)
	p.lines = !o.silent && !mixed && !p.bar
	return p
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// begin draws the bar until end.
func (p *progress) begin() {
	if !p.bar {
		return
	}
	p.stop, p.stopped = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(p.stopped)
		tick := time.NewTicker(redraw)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				p.mu.Lock()
				p.draw(time.Now())
				p.mu.Unlock()
			case <-p.stop:
				return
			}
		}
	}()
}

func (p *progress) end() {
	if !p.bar {
		return
	}
	close(p.stop)
	<-p.stopped
	p.draw(time.Now())
	fmt.Fprintln(p.w)
}

// clear is how a terminal goes back to the beginning of a line and erases it.
const clear = "\r\x1b[K"

// say writes a line.
func (p *progress) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar {
		fmt.Fprint(p.w, clear)
	}
	fmt.Fprintf(p.w, format+"\n", args...)
}

func (p *progress) draw(now time.Time) {
	if since := now.Sub(p.at).Seconds(); since > 0 {
		latest := float64(p.got-p.had) / since
		if p.had == 0 {
			p.rate = latest
		} else {
			p.rate = 0.9*p.rate + 0.1*latest // of about the last second
		}
		p.at, p.had = now, p.got
	}
	fmt.Fprint(p.w, clear, p.line())
}

// line returns the bar.
func (p *progress) line() string {
	text := fmt.Sprintf("%d of %d", p.ended, p.urls)
	if p.failed > 0 {
		text += fmt.Sprintf(" (%d failed)", p.failed)
	}
	text += "  " + size(p.got)
	if p.unknown == 0 && p.want > 0 {
		const width = 20
		done := min(width, int(width*p.got/p.want))
		text = fmt.Sprintf("%s of %s  [%-*s] %3d %%", text, size(p.want), width, bars[:done], min(100, 100*p.got/p.want))
	}
	text += fmt.Sprintf("  %s/s", size(int64(p.rate)))
	if left := p.want - p.got; p.unknown == 0 && left > 0 && p.rate > 1 {
		seconds := int64(float64(left) / p.rate)
		text += fmt.Sprintf("  ETA %d:%02d", seconds/60, seconds%60)
	}
	return text
}

const bars = "===================="

// size returns a number of bytes for people.
func size(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/1024, 0
	for value >= 1000 && unit < 3 {
		value /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGT"[unit])
}

// transfer is the progress of one URL.
type transfer struct {
	p     *progress
	begun bool
	size  int64 // -1 if it is not known
	got   int64
}

func (p *progress) transfer() *transfer { return &transfer{p: p} }

// begin says how long the body is, -1 if nobody knows.
func (t *transfer) begin(size int64) {
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	t.begun, t.size = true, size
	if size < 0 {
		t.p.unknown++
	} else {
		t.p.want += size
	}
}

func (t *transfer) add(n int) {
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	t.got += int64(n)
	t.p.got += int64(n)
}

// end has what was transferred be all there is to transfer.
func (t *transfer) end(err error) {
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	t.p.ended++
	if err != nil {
		t.p.failed++
	}
	switch {
	case !t.begun:
	case t.size < 0:
		t.p.unknown--
		t.p.want += t.got
	default:
		t.p.want += t.got - t.size
	}
}
