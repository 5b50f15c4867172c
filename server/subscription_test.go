package server

import (
	"math/rand/v2"
	"testing"

	"gnatsd/sublist"
)

// TestEntriesAreRemoved removes random ones, of large groups and small ones, and leaves the others.
func TestEntriesAreRemoved(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 1))
	list := sublist.New[*subscription]()
	var leave []sublist.Entry[*subscription]
	gone, stay := map[*subscription]bool{}, 0
	for _, group := range []struct {
		subject, queue string
		n              int
	}{{"b.>", "q", 3 * largeGroup}, {"a", "", 2 * largeGroup}, {"a", "q", 2*largeGroup - 5}, {"c", "q", 20}, {"a.*", "", 7}, {"b.>", "", 1}} {
		for range group.n {
			e := sublist.Entry[*subscription]{Subject: group.subject, Queue: group.queue, Value: new(subscription)}
			okay(t, list.Insert(e.Subject, e.Queue, e.Value))
			if gone[e.Value] = r.IntN(3) > 0; gone[e.Value] {
				leave = append(leave, e)
			} else {
				stay++
			}
		}
	}
	r.Shuffle(len(leave), func(i, j int) { leave[i], leave[j] = leave[j], leave[i] })
	removeEntries(list, leave)
	if got := list.Count(); got != stay {
		t.Errorf("%d are left, want %d", got, stay)
	}
	for e := range list.All {
		if gone[e.Value] {
			t.Fatalf("one of %s %s is left", e.Subject, e.Queue)
		}
	}
}
