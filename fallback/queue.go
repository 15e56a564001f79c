package fallback

// queue is first in, first out. It keeps its memory, and uses what was taken again
// also when it never becomes empty.
type queue[T any] struct {
	items []T
	next  int
}

func (q *queue[T]) len() int { return len(q.items) - q.next }

func (q *queue[T]) push(v T) {
	if len(q.items) == cap(q.items) && q.next > len(q.items)/2 {
		q.items = q.items[:copy(q.items, q.items[q.next:])]
		q.next = 0
	}
	q.items = append(q.items, v)
}

func (q *queue[T]) pop(v *T) bool {
	if q.next == len(q.items) {
		q.items, q.next = q.items[:0], 0
		return false
	}
	*v = q.items[q.next]
	q.next++
	return true
}
