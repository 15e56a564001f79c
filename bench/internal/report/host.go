package report

import (
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/uring"
)

// Host is what one needs to know to compare reports.
type Host struct {
	Kernel     string `json:"kernel"`
	System     string `json:"system,omitempty"`
	Arch       string `json:"arch"`
	CPU        string `json:"cpu,omitempty"`
	Processors int    `json:"processors"`
	MemoryMiB  int64  `json:"memory_mib,omitzero"`
	Go         string `json:"go"`
	Tier       string `json:"io_uring"` // what ringkit has found of io_uring
}

// ReadHost looks at the machine.
func ReadHost() Host {
	h := Host{Arch: runtime.GOARCH, Processors: runtime.NumCPU(), Go: runtime.Version(), Tier: uring.Probe().Tier()}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		h.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		h.MemoryMiB = int64(info.Totalram) * int64(info.Unit) >> 20
	}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		h.CPU = field(string(text), "model name", ":") // not every architecture has one
	}
	if text, err := os.ReadFile("/etc/os-release"); err == nil {
		h.System = strings.Trim(field(string(text), "PRETTY_NAME", "="), `"`)
	}
	return h
}

// field returns the first value of a name in lines of names and values.
func field(text, name, separator string) string {
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(line, separator)
		if strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
