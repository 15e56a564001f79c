// Package fallback is the ring for kernels and containers that have no io_uring:
// epoll, behind the same operations and completions as package uring. It performs
// a receive or a send when the descriptor is ready and reports the result, so that
// everything above has one model.
//
// Each descriptor is registered once, edge-triggered, for both directions; what
// is readable and writable is remembered here. A send is tried at once, and only
// its rest waits. Nothing happens behind the caller's back: every system call is
// made by the goroutine that drives the ring, in Send, Enter or Next, and no
// memory is touched by the kernel after that call.
package fallback
