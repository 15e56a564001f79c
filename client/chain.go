package client

// chain is a doubly linked list of what has a place in it: nothing is allocated, and what
// is in the middle leaves at once. The zero value is empty.
type chain[T any] struct {
	first, last *place[T]
	n           int
}

// place is where an element of a chain is.
type place[T any] struct {
	prev, next *place[T]
	element    *T
}

// head returns the element that came first, nil when there is none.
func (q *chain[T]) head() *T { return q.first.get() }

// tail returns the one that came last.
func (q *chain[T]) tail() *T { return q.last.get() }

func (p *place[T]) get() *T {
	if p == nil {
		return nil
	}
	return p.element
}

// push adds an element at the end; p is its place.
func (q *chain[T]) push(e *T, p *place[T]) {
	p.element, p.prev, p.next = e, q.last, nil
	if q.last != nil {
		q.last.next = p
	} else {
		q.first = p
	}
	q.last = p
	q.n++
}

// remove takes out the element whose place is p, and which is in the chain.
func (q *chain[T]) remove(p *place[T]) {
	if p.prev != nil {
		p.prev.next = p.next
	} else {
		q.first = p.next
	}
	if p.next != nil {
		p.next.prev = p.prev
	} else {
		q.last = p.prev
	}
	*p = place[T]{}
	q.n--
}
