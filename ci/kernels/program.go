package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ringkit/ringkit/ci/kernels/plan"
)

// programNoFile is how many descriptors a program may have: as many as fs.nr_open allows if
// nobody has changed it.
const programNoFile = 1 << 20

// programPlan is what a machine does that runs a program instead of tests. It may do all
// that the first row allows.
func programPlan(o options) plan.Plan {
	under := rows[0].under
	under.NoFile = programNoFile
	return plan.Plan{Limit: o.timeout, Steps: []plan.Step{{
		Suite: o.exec[0], Path: filepath.Join("/", guestPrograms, o.exec[0]), Dir: "/tmp", Args: o.exec[1:],
		Limit: o.timeout, Under: under, Program: true,
	}}}
}

// programs runs the program on each kernel, and says whether it ended well on all. What it
// prints goes to standard output.
func (r *runner) programs(ctx context.Context, kernels []kernel) (ok bool, err error) {
	r.output = os.Stdout
	ok = true
	for _, k := range kernels {
		b := &bootResult{Kernel: k, Row: "program"}
		if err := r.boot1(ctx, b, programPlan(r.opts), rows[0], k.Name+"-program"); err != nil {
			return false, fmt.Errorf("%s: %w", k.Name, err)
		}
		for _, message := range b.Messages {
			r.progress("%s: kernel: %s", k.Name, message)
		}
		for _, s := range b.Suites {
			if s.Problem != "" {
				r.progress("%s: %s", k.Name, s.Problem)
			}
		}
		ok = ok && !b.failed()
	}
	return ok, ctx.Err()
}
