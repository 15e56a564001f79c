package client

// chain is a doubly linked list of what has a place in it: nothing is allocated, and what is
// in the middle leaves at once. The zero value is empty.
type chain[T any, P placed[T]] struct {
	head, tail *T // the first and the last
	n          int
}

type placed[T any] interface {
	*T
	at() *place[T]
}

// place is where an element of a list is.
type place[T any] struct{ prev, next *T }

// push adds an element at the end.
func (q *chain[T, P]) push(e *T) {
	at := P(e).at()
	at.prev, at.next = q.tail, nil
	if q.tail != nil {
		P(q.tail).at().next = e
	} else {
		q.head = e
	}
	q.tail = e
	q.n++
}

// remove takes an element out, which is in the list.
func (q *chain[T, P]) remove(e *T) {
	at := P(e).at()
	if at.prev != nil {
		P(at.prev).at().next = at.next
	} else {
		q.head = at.next
	}
	if at.next != nil {
		P(at.next).at().prev = at.prev
	} else {
		q.tail = at.prev
	}
	*at = place[T]{}
	q.n--
}
