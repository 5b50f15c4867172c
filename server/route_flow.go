package server

import (
	"slices"

	"gnatsd/server/internal/netio"
)

// flow is what one client causes to be sent to one route, in order: its interest, and messages that
// must not overtake that. It is guarded by the mutex of the interest queue that it is in.
type flow struct {
	from  *conn
	items []flowItem
	first int // number of items[0]
	empty int // items that were cancelled
	// places has the numbers of the SUBs among the items; nil while there are few, or before it
	// is needed.
	places map[*subscription]int

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
	turn     uint32         // of the path that they take
}

// isEnd reports whether an item is the end of the initial sync.
func (o *flowOther) isEnd() bool { return o.removed == nil && o.messages.Bytes == 0 }

// fewItems is how many items are searched one by one.
const fewItems = 16

// len returns the number of items that are not empty.
func (f *flow) len() int { return len(f.items) - f.empty }

// add appends an item.
func (f *flow) add(it flowItem) {
	if f.places != nil && it.sub != nil && !it.removed {
		f.places[it.sub] = f.first + len(f.items)
	}
	f.items = append(f.items, it)
}

// find returns the index of the SUB of a subscription, and false if there is none.
func (f *flow) find(sub *subscription) (i int, queued bool) {
	if len(f.items) <= fewItems {
		i = slices.IndexFunc(f.items, func(it flowItem) bool { return it.sub == sub && !it.removed })
		return i, i >= 0
	}
	if f.places == nil {
		f.places = make(map[*subscription]int, len(f.items))
		for i, it := range f.items {
			if it.sub != nil && !it.removed {
				f.places[it.sub] = f.first + i
			}
		}
	}
	n, queued := f.places[sub]
	return n - f.first, queued
}

// cancel removes the SUB of a subscription that has ended. It reports whether there was one and the
// peer does not know the subscription, so that no UNSUB is needed.
func (f *flow) cancel(sub *subscription) bool {
	i, queued := f.find(sub)
	if !queued || f.items[i].again {
		return false
	}
	f.items[i] = flowItem{}
	delete(f.places, sub)
	f.empty++
	if f.empty > fewItems && 2*f.empty > len(f.items) {
		f.compact()
	}
	return true
}

// compact removes the empty items.
func (f *flow) compact() {
	f.items = slices.DeleteFunc(f.items, func(it flowItem) bool { return it == flowItem{} })
	f.empty, f.places = 0, nil
}

// take removes items from the front: lines and messages of about limit bytes, at least one item.
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
	if len(f.items) == 0 {
		f.items, f.places = nil, nil
	}
}

// messages calls yield for all messages that are queued, until it returns false.
func (f *flow) messages(yield func(*flowOther) bool) {
	for _, it := range f.items {
		if it.other != nil && it.other.messages.Bytes > 0 && !yield(it.other) {
			return
		}
	}
}
