package inbox

import (
	"slices"
	"sync"
	"testing"
)

func TestOrderOfOneProducer(t *testing.T) {
	var q Queue[int]
	for i := range 100 {
		q.Push(&Node[int]{Value: i})
	}
	want := 0
	for n := q.TakeAll(); n != nil; n = n.Next() {
		if n.Value != want {
			t.Fatalf("got %d, want %d", n.Value, want)
		}
		want++
	}
	if want != 100 || !q.Empty() {
		t.Fatalf("took %d nodes, empty %v", want, q.Empty())
	}
}

func TestOneWakePerSleep(t *testing.T) {
	var q Queue[int]
	if wake, _ := q.Push(&Node[int]{}); wake {
		t.Error("a running consumer needs no wake")
	}
	if q.Sleep() {
		t.Error("slept over a full inbox")
	}
	q.TakeAll()
	if !q.Sleep() {
		t.Error("did not sleep over an empty inbox")
	}
	wakes := 0
	for range 5 {
		if wake, _ := q.Push(&Node[int]{}); wake {
			wakes++
		}
	}
	if wakes != 1 {
		t.Errorf("%d wakes, want 1", wakes)
	}
}

// A consumer that sleeps on a channel must see every node of many producers: a
// lost wake-up hangs this test.
func TestNoWakeIsLost(t *testing.T) {
	const producers, each = 8, 5000
	var q Queue[int]
	bell := make(chan struct{}, 1)
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() {
			for i := range each {
				if wake, _ := q.Push(&Node[int]{Value: p*each + i}); wake {
					bell <- struct{}{}
				}
			}
		})
	}
	last := make([]int, producers)
	for got := 0; got < producers*each; {
		if q.Sleep() {
			<-bell
		}
		q.Awake()
		for n := q.TakeAll(); n != nil; n = n.Next() {
			p, i := n.Value/each, n.Value%each
			if i != last[p] {
				t.Fatalf("producer %d: got %d, want %d", p, i, last[p])
			}
			last[p]++
			got++
		}
	}
	wg.Wait()
}

// What is pushed while the queue is being closed is either taken, or refused.
func TestClose(t *testing.T) {
	for range 1000 {
		var q Queue[int]
		var wg sync.WaitGroup
		accepted := make([]bool, 4)
		for i := range accepted {
			wg.Go(func() { _, accepted[i] = q.Push(&Node[int]{Value: i}) })
		}
		taken := make([]bool, len(accepted))
		take := func() {
			for n := q.TakeAll(); n != nil; n = n.Next() {
				taken[n.Value] = true
			}
		}
		for !q.Close() {
			take()
		}
		wg.Wait()
		if take(); !slices.Equal(taken, accepted) || !q.Empty() || q.Close() {
			t.Fatalf("accepted %v, taken %v", accepted, taken)
		}
	}
}
