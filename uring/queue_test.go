package uring

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/internal/ring"
)

// answer is what an intercepted io_uring_enter does instead of its work.
type answer struct {
	most  int // submissions to let through when errno is 0
	errno syscall.Errno
}

// refuseAll takes nothing, for want of memory.
var refuseAll = answer{errno: syscall.EAGAIN}

// intercept has the next enters answered by the given answers, and the rest by
// the kernel. It returns a count of all enters.
func intercept(r *testRing, answers ...answer) *int {
	calls := new(int)
	r.enter = func(fd int, submit, minComplete, flags uint32, arg, argSize uintptr) (int, syscall.Errno) {
		*calls++
		if len(answers) == 0 {
			return enter(fd, submit, minComplete, flags, arg, argSize)
		}
		a := answers[0]
		answers = answers[1:]
		if a.errno != 0 {
			return -1, a.errno
		}
		n := min(submit, uint32(a.most))
		if n < submit {
			minComplete = 0 // as the kernel does
		}
		return enter(fd, n, minComplete, flags, arg, argSize)
	}
	return calls
}

// nop submits an operation whose completion tells nothing but the order.
func nop(r *testRing, slot uint32) ring.Token {
	tok := token(ring.OpCancel, slot)
	e := r.prepare()
	e.PrepOperation(opNop, -1, 0, 0, 0)
	e.SetUserData(uint64(tok))
	return tok
}

// order returns the slots of n completions as they come.
func (r *testRing) order(n int) (slots []uint32) {
	r.T.Helper()
	var c ring.Completion
	for deadline := time.Now().Add(patience); len(slots) < n; {
		if time.Now().After(deadline) {
			r.T.Fatalf("%d of %d completions after %v", len(slots), n, patience)
		}
		r.Turn(50 * time.Millisecond)
		for r.Next(&c) {
			slots = append(slots, c.Token.Slot())
		}
	}
	return slots
}

func upTo(n int) []uint32 {
	slots := make([]uint32, n)
	for i := range slots {
		slots[i] = uint32(i)
	}
	return slots
}

// More operations than the submission queue has entries are flushed on the way,
// in order, and so many turns long that the indices run around.
func TestMoreOperationsThanEntries(t *testing.T) {
	eachTier(t, Config{Entries: 8, CQEntries: 4096}, func(t *testing.T, r *testRing) {
		for range 20 {
			for i := range 1000 {
				nop(r, uint32(i))
			}
			if got := r.order(1000); !slices.Equal(got, upTo(1000)) {
				t.Fatalf("out of order or lost: %v", got)
			}
		}
		if s := r.Stats(); s.Flushes == 0 || s.Submitted < 20*1000 {
			t.Errorf("%+v, want flushes and 20000 operations", s)
		}
	})
}

// What the kernel does not take waits in the backlog; nothing is lost and the
// order stays.
func TestKernelTakesNotAll(t *testing.T) {
	const n = 100
	short := func(most int) answer { return answer{most: most} }
	for _, test := range []struct {
		name    string
		answers []answer
	}{
		{"nothing", slices.Repeat([]answer{refuseAll}, n)},
		{"nothing, as EBUSY", slices.Repeat([]answer{{errno: syscall.EBUSY}}, n)},
		{"nothing, without an error", slices.Repeat([]answer{short(0)}, n)},
		{"one at a time", slices.Repeat([]answer{short(1)}, 3*n)},
		{"three or nothing", slices.Repeat([]answer{refuseAll, short(3)}, n)},
		{"nothing, then interrupted, then two", slices.Repeat([]answer{refuseAll, {errno: syscall.EINTR}, short(2)}, n)},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, tr := range tiers {
				t.Run(tr.name, func(t *testing.T) {
					r := open(t, tr.config(Config{Entries: 8, CQEntries: 256}))
					intercept(r, test.answers...)
					for i := range n {
						nop(r, uint32(i))
					}
					if got := r.order(n); !slices.Equal(got, upTo(n)) {
						t.Fatalf("out of order or lost: %v", got)
					}
					if len(r.backlog) != 0 {
						t.Errorf("%d operations are left in the backlog", len(r.backlog))
					}
				})
			}
		})
	}
}

// A backlog longer than the queue is submitted by one Enter, before it waits.
func TestBacklogIsSubmittedBeforeWaiting(t *testing.T) {
	r := open(t, Config{Entries: 8, CQEntries: 256})
	a, b := socketPair(t)
	intercept(r, refuseAll)
	polls := make([]ring.Token, 50)
	for i := range polls {
		polls[i] = token(ring.OpPoll, uint32(i))
		r.Poll(polls[i], a, unix.POLLIN) // does not complete yet
	}
	last := nop(r, 1000)
	r.Turn(-1)
	r.Reap()
	if len(r.Got[last]) == 0 {
		t.Fatal("the last operation was not submitted by the Enter that waited")
	}
	write(t, b, []byte("x"))
	for _, tok := range polls {
		r.Expect(tok, unix.POLLIN)
	}
}

// While the kernel has no memory, an Enter without limit comes back, so that the
// loop can go on; it sleeps a little, so that it does not spin.
func TestNoMemoryDoesNotSpin(t *testing.T) {
	for name, refusal := range map[string]answer{"EAGAIN": refuseAll, "EBUSY": {errno: syscall.EBUSY}, "0": {most: 0}} {
		t.Run(name, func(t *testing.T) {
			r := open(t, Config{})
			calls := intercept(r, slices.Repeat([]answer{refusal}, 20)...)
			tok := nop(r, 1)
			start := time.Now()
			for range 20 {
				r.Turn(-1)
			}
			if took := time.Since(start); took < 20*time.Millisecond {
				t.Errorf("20 refused turns took %v", took)
			}
			if *calls != 20 || r.Stats().Busy != 20 {
				t.Errorf("%d enters, %d counted as busy, want 20", *calls, r.Stats().Busy)
			}
			r.Expect(tok, 0)
		})
	}
}

// Refused for want of room, a turn with completions to read does not sleep: to
// read them is what makes room.
func TestBusyWithCompletionsDoesNotSleep(t *testing.T) {
	r := open(t, Config{})
	r.Turn(0) // the wake-up's poll
	first, second := nop(r, 1), token(ring.OpCancel, 2)
	r.flush()
	nop(r, 2)
	intercept(r, answer{errno: syscall.EBUSY})
	r.Turn(-1)
	if !r.ready() {
		t.Fatal("the completion is not there")
	}
	r.Expect(first, 0)
	r.Expect(second, 0)
}

func TestErrorsOfEnter(t *testing.T) {
	for _, test := range []struct {
		errno syscall.Errno
		fatal bool
	}{
		{syscall.EINTR, false},
		{syscall.ETIME, false},
		{syscall.EAGAIN, false},
		{syscall.EBUSY, false},
		{syscall.EBADR, true},  // a completion was dropped
		{syscall.EEXIST, true}, // not the thread of a ring with SINGLE_ISSUER
		{syscall.EBADFD, true},
		{syscall.ENXIO, true},
		{syscall.EINVAL, true},
		{syscall.EFAULT, true},
	} {
		t.Run(unix.ErrnoName(test.errno), func(t *testing.T) {
			r := open(t, Config{})
			intercept(r, answer{errno: test.errno})
			tok := nop(r, 1)
			err := r.Enter(-1)
			if test.fatal {
				if e, ok := bare(err).(syscall.Errno); !ok || e != test.errno {
					t.Fatalf("Enter: %v, want %v", err, test.errno)
				}
			} else if err != nil {
				t.Fatalf("Enter: %v, want no error", err)
			}
			r.Expect(tok, 0) // what was prepared is still there
		})
	}
}

// An operation the kernel refuses completes with an error and does not stop those
// behind it.
func TestRefusedOperationDoesNotStopTheBatch(t *testing.T) {
	eachTier(t, Config{}, func(t *testing.T, r *testRing) {
		bad := token(ring.OpPoll, 1)
		r.prepare().SetUserData(uint64(bad))
		e := &r.sq.entry[(r.sq.next-1)&r.sq.mask]
		e.PrepOperation(255, -1, 0, 0, 0)
		good := nop(r, 2)
		before := r.Stats().Enters
		r.Turn(-1)
		r.Reap()
		if len(r.Got[bad]) != 1 || len(r.Got[good]) != 1 || r.Stats().Enters != before+1 {
			t.Fatalf("after one enter: %v", r.Got)
		}
		r.Expect(bad, errno(unix.EINVAL))
		r.Expect(good, 0)
	})
}
