package server

import (
	"fmt"
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

// TestSubscriptionsCountTheirText adds and removes subscriptions, and compares the bytes of their names
// with those that are there.
func TestSubscriptionsCountTheirText(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(2, 2))
	var subs subscriptions
	var list []*subscription
	for range 1000 {
		if k := len(list); k > 0 && r.IntN(3) == 0 {
			i := r.IntN(k)
			subs.remove(list[i])
			list[i], list = list[k-1], list[:k-1]
			continue
		}
		sid := fmt.Sprint(r.Uint64())
		if r.IntN(2) == 0 {
			sid = "s" + sid
		}
		sub := newSubscription(&conn{}, []byte("foo"), nil, []byte(sid))
		subs.add(sub)
		list = append(list, sub)
	}
	want := int64(0)
	for sub := range subs.all {
		want += int64(len(sub.text))
	}
	if subs.text != want || subs.len() != len(list) {
		t.Errorf("got %d bytes of %d, want %d of %d", subs.text, subs.len(), want, len(list))
	}
}
