// Package fallback is the ring for kernels and containers that have no io_uring:
// epoll, behind the same operations and completions as package uring. It performs
// a receive or a send when the descriptor is ready and reports the result, so that
// everything above has one model.
//
// Each descriptor is registered once, edge-triggered, for both directions; that it
// is readable is remembered here until a receive has shown that it is not. A send
// is tried at once, and only its rest waits. Nothing happens behind the caller's
// back: every system call is made by the goroutine that drives the ring, by the
// method that prepares an operation, by Enter or by Next, and no memory is touched
// by the kernel after that call.
//
// A descriptor has one of each kind of operations in flight at most: an accept or
// a receive, a send or a connect, a poll. The operations of a slot are those of one
// descriptor. A descriptor that the ring has seen is closed by CloseFD and by
// nothing else: the number may be another socket's right afterwards.
package fallback
