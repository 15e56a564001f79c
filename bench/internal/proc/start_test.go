package proc

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestStartPins(t *testing.T) {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		t.Fatal(err)
	}
	for cpu := range 64 {
		if !allowed.IsSet(cpu) {
			continue
		}
		cmd := exec.Command("grep", "Cpus_allowed_list", "/proc/self/status")
		var out strings.Builder
		cmd.Stdout = &out
		if err := Start(cmd, cpu); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		fields := strings.Fields(out.String())
		if len(fields) != 2 || fields[1] != strconv.Itoa(cpu) {
			t.Errorf("processor %d: child sees %q", cpu, out.String())
		}
	}
}

func TestCheckCPU(t *testing.T) {
	if err := CheckCPU(AnyCPU); err != nil {
		t.Error(err)
	}
	for _, cpu := range []int{-2, 1 << 20} {
		if CheckCPU(cpu) == nil {
			t.Errorf("processor %d: no error", cpu)
		}
	}
}
