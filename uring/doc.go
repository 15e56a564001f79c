// Package uring drives Linux's io_uring for a network event loop: one ring, one
// system call a turn, completions in batches.
//
// It contains mechanism only. Which connection an operation belongs to, when to
// receive again and what to do about an error is decided by the caller, which
// recognises its operations by the token it gave them.
//
// What the running kernel can do is found by doing it, never from its version:
// see [Probe]. The least that [New] accepts is what kernel 6.0 brought (multishot
// receive and accept, provided-buffer rings); everything newer is used when present.
//
// A [Ring] is driven by one goroutine at a time. It is created without
// IORING_SETUP_SINGLE_ISSUER so that this may be another goroutine tomorrow, with
// one caution: the kernel finishes a request on the thread that submitted it, so
// that thread has to stay alive while the request is in flight.
package uring
