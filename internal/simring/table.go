package simring

import (
	"fmt"
	"syscall"

	"github.com/ringkit/ringkit/internal/ring"
)

// files is the table of a ring, for what has no descriptor.
type files struct {
	slots int
	in    map[int]*file // by ring.Direct(slot)
}

// opCancelAll is what Shutdown prepares for a file in the table.
const opCancelAll = ring.Op(255)

// inTable returns what is in a slot, which has to be in use.
func (r *Ring) inTable(direct int, what any) *file {
	f := r.table.in[direct]
	if f == nil {
		r.fail("%v on slot %d, which is empty", what, ring.FileSlot(direct))
	}
	return f
}

// Files implements conn.FileTable.
func (r *Ring) Files() int { return r.table.slots }

// Register implements conn.FileTable.
func (r *Ring) Register(fd int, slot uint32) (direct int) {
	direct = ring.Direct(slot)
	f := r.stream(fd, "register")
	switch {
	case int(slot) >= r.table.slots:
		r.fail("register of descriptor %d in slot %d of %d", fd, slot, r.table.slots)
	case r.table.in[direct] != nil:
		r.fail("register of descriptor %d in slot %d, which is in use", fd, slot)
	case r.chance(r.faults.NoFile):
		r.table.in[direct] = &file{r: r, names: 1, void: true, peer: &Peer{r: r, reset: true}}
	default:
		r.table.in[direct] = f
		f.names++
	}
	r.unname(fd, f)
	return direct
}

// Install implements conn.FileTable.
func (r *Ring) Install(direct int) (fd int, err error) {
	f := r.inTable(direct, "install")
	r.submit()
	switch {
	case f.void:
		return -1, syscall.EBADF
	case r.now < r.scarce || len(r.files) >= r.maxFDs || r.chance(r.faults.NoInstall):
		return -1, syscall.EMFILE
	}
	return r.name(f), nil
}

// cancelAll ends what is in flight on a file.
func (r *Ring) cancelAll(f *file) {
	for _, o := range f.ops {
		if o == nil {
			continue
		}
		act := func() {
			if o.submitted && !o.done && !o.leaving {
				r.cancelled(o)
			}
		}
		if r.chance(r.faults.LateCancel) {
			r.After(r.delay(), act)
			continue
		}
		act()
	}
}

// leaks reports what is left in the table, or was not submitted.
func (t *files) leaks(prepared []*op) (what []string) {
	for direct := range t.in {
		what = append(what, fmt.Sprintf("slot %d is in use", ring.FileSlot(direct)))
	}
	for _, o := range prepared {
		if o.kind == ring.OpNone && ring.IsDirect(o.fd) {
			what = append(what, fmt.Sprintf("slot %d was closed, which was not submitted", ring.FileSlot(o.fd)))
		}
	}
	return what
}
