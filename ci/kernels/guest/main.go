// Guest is the first process of a virtual machine: it carries out its plan, says
// on a serial port how that went, and switches the machine off.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/ci/kernels/plan"
)

func main() {
	switch {
	case len(os.Args) == 3 && os.Args[1] == "step":
		fmt.Fprintln(os.Stderr, "guest:", become(os.Args[2]))
		os.Exit(cannotRun)
	case os.Getpid() != 1:
		fmt.Fprintln(os.Stderr, "guest: is to be the first process of a virtual machine")
		os.Exit(2)
	}
	if err := boot(); err != nil {
		fmt.Println("guest:", err)
	}
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART); err != nil {
		fmt.Println("guest: reboot:", err)
	}
	select {} // the first process must not end: the kernel would panic
}

func boot() error {
	if err := mounts(); err != nil {
		return err
	}
	w, err := openPort(plan.Port)
	if err != nil {
		return err
	}
	defer w.drain()
	w.record(plan.Record{Kind: plan.Hello, Text: release()})
	if err := work(w); err != nil {
		w.record(plan.Record{Kind: plan.Broken, Text: err.Error()})
		return err
	}
	w.record(plan.Record{Kind: plan.Done})
	return nil
}

func work(w *port) error {
	var p plan.Plan
	text, err := os.ReadFile(plan.File)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &p); err != nil {
		return fmt.Errorf("%s: %w", plan.File, err)
	}
	if err := loopbackUp(); err != nil {
		return err
	}
	for _, file := range p.Modules {
		if err := loadModule(file); err != nil {
			return fmt.Errorf("load %s: %w", file, err)
		}
	}
	for name, value := range p.Sysctl {
		if err := os.WriteFile("/proc/sys/"+name, []byte(value), 0); err != nil {
			return fmt.Errorf("sysctl: %w", err)
		}
	}
	kernel, err := openMessages()
	if err != nil {
		return err
	}
	deadline := time.Now().Add(p.Limit)
	for _, s := range p.Steps {
		run(w, s, time.Until(deadline))
		kernel.forward(w)
	}
	return nil
}

func release() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err.Error()
	}
	return unix.ByteSliceToString(u.Release[:])
}
