package server

import "gnatsd/server/internal/netio"

// flow is what one client causes to be sent to one route, in order: its interest, and messages that
// must not overtake that. It is guarded by the mutex of the interest queue that it is in.
type flow struct {
	from  *conn
	items []flowItem
	first int // number of items[0]
	empty int // items that were cancelled
	// places has the numbers of SUBs among the items: of those with number indexed or a higher one, and
	// some others. It is nil while there are few items, or before it is needed.
	places  map[*subscription]int
	indexed int
	// While empty items are removed, those before index moved are in place, and all from there to
	// scanned are empty. scanned is 0 at other times.
	moved, scanned int

	ending  bool // the client has ended; what was queued is set aside
	resting bool // it is in no list of the queue, as it is ending
}

// flowItem is one subscription that is added or removed, or something else. The zero item is empty.
type flowItem struct {
	sub     *subscription
	other   *flowOther // if sub is nil
	removed bool
	again   bool // the peer may have been sent the SUB before; it is not traced
}

// isSub reports whether an item is a subscription that is added.
func (it *flowItem) isSub() bool { return it.sub != nil && !it.removed }

// flowOther is all subscriptions that a client had, which are removed, or messages, or the end of
// the initial sync.
type flowOther struct {
	removed  []*subscription
	messages netio.Delivery // if there are no subscriptions; empty for the end of the sync
	to       *route         // that the messages are for, if it is in a pool
	index    uint32         // of the path that they take
}

// isEnd reports whether an item is the end of the initial sync.
func (o *flowOther) isEnd() bool { return o.removed == nil && o.messages.Bytes == 0 }

const (
	// fewItems is how many items are searched one by one.
	fewItems = 16
	// flowStep is how many items are looked at under the lock of the queue for one that changes: a
	// client may have a million.
	flowStep = 64
)

// len returns the number of items that are not empty.
func (f *flow) len() int { return len(f.items) - f.empty }

// add appends an item.
func (f *flow) add(it flowItem) {
	if f.places != nil && it.sub != nil && !it.removed {
		f.places[it.sub] = f.first + len(f.items)
	}
	f.items = append(f.items, it)
}

// find returns the index of the last SUB of a subscription, and false if there is none, or none was
// found: not all items may be indexed.
func (f *flow) find(sub *subscription) (i int, queued bool) {
	if len(f.items) <= fewItems {
		for i = len(f.items) - 1; i >= 0; i-- {
			if it := &f.items[i]; it.sub == sub && it.isSub() {
				return i, true
			}
		}
		return 0, false
	}
	f.index()
	n, queued := f.places[sub]
	return n - f.first, queued
}

// index adds some more items to places, the last ones first.
func (f *flow) index() {
	if f.places == nil {
		f.places = make(map[*subscription]int, flowStep)
		f.indexed = f.first + len(f.items)
	}
	for end := max(f.first, f.indexed-flowStep); f.indexed > end; {
		f.indexed--
		it := &f.items[f.indexed-f.first]
		if _, later := f.places[it.sub]; it.isSub() && !later {
			f.places[it.sub] = f.indexed
		}
	}
}

// cancel removes the SUB of a subscription that has ended. It reports whether it did: then the peer does
// not know the subscription, and no UNSUB is needed.
func (f *flow) cancel(sub *subscription) bool {
	i, queued := f.find(sub)
	if !queued || f.items[i].again {
		return false
	}
	f.items[i] = flowItem{}
	delete(f.places, sub)
	f.empty++
	if f.scanned > 0 || f.empty > fewItems && 2*f.empty > len(f.items) {
		f.compact()
	}
	return true
}

// compact goes on to remove the empty items: it moves some of the others.
func (f *flow) compact() {
	end := min(len(f.items), f.scanned+flowStep)
	for ; f.scanned < end; f.scanned++ {
		it := f.items[f.scanned]
		if it == (flowItem{}) {
			continue
		}
		f.items[f.scanned] = flowItem{}
		f.items[f.moved] = it
		if n, ok := f.places[it.sub]; ok && it.isSub() && n == f.first+f.scanned {
			f.places[it.sub] = f.first + f.moved
		}
		f.moved++
	}
	if f.scanned == len(f.items) {
		f.empty -= len(f.items) - f.moved
		f.items = f.items[:f.moved]
		f.indexed = min(f.indexed, f.first+len(f.items))
		f.moved, f.scanned = 0, 0
	}
}

// take removes items from the front: lines and messages of about limit bytes, at least one item. Empty
// items count as a byte of messages.
func (f *flow) take(list []flowItem, limit int) (_ []flowItem, lines, messages int) {
	n := 0
	for ; n < len(f.items) && lines+messages < limit; n++ {
		switch it := &f.items[n]; {
		case it.sub != nil:
			lines += lineSize(it.sub)
			delete(f.places, it.sub)
			list = append(list, *it)
		case it.other == nil:
			f.empty--
			messages++
		case it.other.removed == nil:
			messages += it.other.messages.Bytes
			list = append(list, *it)
		default:
			part, size := takeSubs(it.other.removed, limit-lines-messages)
			lines += size
			list = append(list, flowItem{other: &flowOther{removed: part}})
			if it.other.removed = it.other.removed[len(part):]; len(it.other.removed) > 0 {
				f.dropFirst(n)
				return list, lines, messages
			}
		}
	}
	f.dropFirst(n)
	return list, lines, messages
}

// takeSubs returns the first subscriptions, with lines of about limit bytes.
func takeSubs(all []*subscription, limit int) (part []*subscription, size int) {
	n := 0
	for ; n < len(all) && size < limit; n++ {
		size += lineSize(all[n])
	}
	return all[:n], size
}

// dropFirst removes the first n items.
func (f *flow) dropFirst(n int) {
	f.items = f.items[n:]
	f.first += n
	f.indexed = max(f.indexed, f.first)
	f.moved, f.scanned = max(0, f.moved-n), max(0, f.scanned-n)
	if len(f.items) == 0 {
		f.clear()
	}
}

// clear removes all items.
func (f *flow) clear() {
	f.items, f.places = nil, nil
	f.empty, f.moved, f.scanned = 0, 0, 0
}

// messages calls yield for all messages that are queued, until it returns false.
func (f *flow) messages(yield func(*flowOther) bool) {
	for _, it := range f.items {
		if it.other != nil && it.other.messages.Bytes > 0 && !yield(it.other) {
			return
		}
	}
}
