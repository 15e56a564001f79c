package uring_test

import (
	"errors"
	"fmt"

	"github.com/ringkit/ringkit/uring"
)

// What the running kernel offers this process, a feature a line.
func ExampleProbe() {
	report := uring.Probe()
	fmt.Println(report)
	if report.Err != nil {
		fmt.Println("without io_uring:", report.Err)
	}
}

// A ring, or the reason why there is none and what to do about it.
func ExampleNew() {
	ring, err := uring.New(uring.Config{})
	if errors.Is(err, uring.ErrUnavailable) {
		fmt.Println("epoll then:", err)
		return
	} else if err != nil {
		fmt.Println(err) // for want of descriptors or memory
		return
	}
	defer ring.Close(0)
	fmt.Println("tier", ring.Tier())
}
