package main

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ringkit/ringkit/ci/kernels/plan"
)

// messages reads what the kernel logs, from the beginning.
type messages struct{ fd int }

func openMessages() (*messages, error) {
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/kmsg: %w", err)
	}
	return &messages{fd}, nil
}

// levelWarning is the last level worth sending: what is less severe tells of a
// boot as it should be.
const levelWarning = 4

// forward sends the messages since the last call.
func (m *messages) forward(w *port) {
	buf := make([]byte, 8<<10)
	for {
		n, err := unix.Read(m.fd, buf)
		switch err {
		case nil:
		case unix.EINTR, unix.EPIPE: // EPIPE: some were overwritten before they were read
			continue
		default: // EAGAIN: there are no more
			return
		}
		if level, text := parseMessage(string(buf[:n])); level <= levelWarning {
			w.record(plan.Record{Kind: plan.Kernel, Text: text})
		}
	}
}

// parseMessage takes a record of /dev/kmsg apart: "priority,sequence,time,flags;text",
// followed by lines with the properties of a device.
func parseMessage(record string) (level int, text string) {
	head, text, _ := strings.Cut(record, ";")
	text, _, _ = strings.Cut(text, "\n")
	var priority int
	if _, err := fmt.Sscanf(head, "%d,", &priority); err != nil {
		return 0, record
	}
	return priority & 7, text
}
