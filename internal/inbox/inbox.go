// Package inbox is the way into an event loop from other goroutines: a queue with
// many producers and one consumer, which wakes a sleeping consumer once however
// many producers arrive.
package inbox

import "sync/atomic"

// Node carries a value through a queue. It may be embedded in a longer-lived
// object, so that posting does not allocate; it is in at most one queue at a time.
type Node[T any] struct {
	next  *Node[T]
	Value T
}

// Queue is ready to use when zero. Push may be called by any goroutine, the other
// methods by the one consumer. The order of one producer's nodes is kept.
type Queue[T any] struct {
	head  atomic.Pointer[Node[T]] // last pushed first
	sleep atomic.Bool             // the consumer is about to wait, or waits
	end   Node[T]                 // is the head of a queue that is closed
}

// Push adds n, unless the queue is closed, and reports whether it did. Wake says that the
// consumer has to be woken: true for exactly one of the pushes that find it asleep.
func (q *Queue[T]) Push(n *Node[T]) (wake, ok bool) {
	for {
		old := q.head.Load()
		if old == &q.end {
			return false, false
		}
		n.next = old
		if q.head.CompareAndSwap(old, n) {
			break
		}
	}
	return q.sleep.Load() && q.sleep.CompareAndSwap(true, false), true
}

// Close closes the queue if it is empty, and reports whether it did.
func (q *Queue[T]) Close() bool { return q.head.CompareAndSwap(nil, &q.end) }

// Sleep announces that the consumer is going to wait, and reports whether it may:
// false when there is something to take first. After the wait it calls Awake.
func (q *Queue[T]) Sleep() bool {
	q.sleep.Store(true)
	if q.head.Load() == nil {
		return true
	}
	q.sleep.Store(false)
	return false
}

// Awake ends what Sleep began.
func (q *Queue[T]) Awake() {
	if q.sleep.Load() {
		q.sleep.Store(false)
	}
}

// Empty reports whether there is nothing to take.
func (q *Queue[T]) Empty() bool {
	head := q.head.Load()
	return head == nil || head == &q.end
}

// TakeAll empties the queue and returns its nodes, oldest first. Walk them with
// Next, which releases each node for reuse.
func (q *Queue[T]) TakeAll() *Node[T] {
	if q.Empty() {
		return nil
	}
	var first *Node[T]
	for n := q.head.Swap(nil); n != nil; {
		older := n.next
		n.next = first
		first = n
		n = older
	}
	return first
}

// Next returns the node after n and takes n out of the list.
func (n *Node[T]) Next() *Node[T] {
	next := n.next
	n.next = nil
	return next
}
