package server

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// This file is how the interest of local clients reaches routes: one line per
// subscription that comes or goes.
//
// Whoever changes a subscription queues the change for every route while it
// holds the lock of the client, so that a route sees the changes of one
// subscription in their order. At the end of a batch, before any PONG, what is
// queued is encoded and pushed, many lines at a time. A route that lags gets the
// rest from a goroutine of its own, at its pace; nobody waits for that.
//
// A new route is entered among the registered ones first and then walks through
// all subscriptions: each is queued under the lock of its client, if it is still
// there. So a line may be repeated, which the protocol permits, and none is
// missing, nor does one come after its withdrawal.
//
// A message must not overtake the interest of its own publisher: what it asks for
// may be answered at once, to an inbox that the other server must know. So changes
// are numbered, a client remembers its last one, and its messages to a route wait
// until that has gone ahead, as long as it moves.

// feed is the interest on its way to one route.
type feed struct {
	to *route

	waiting atomic.Int64 // changes queued and not pushed yet
	told    atomic.Int64 // changes with a number up to this have been pushed
	walked  atomic.Bool  // what was there when the route came is queued
	pushing sync.Mutex   // held while lines are encoded and pushed

	mu       sync.Mutex // guards what follows
	queue    []interestChange
	pump     bool          // a goroutine works on the queue
	progress chan struct{} // closed when more has been pushed; nil if nobody waits
	ended    bool
}

// interestChange is interest that comes or goes: of one subscription, or of all that a
// client had.
type interestChange struct {
	sub  *subscription
	all  []*subscription // if sub is nil
	gone bool
	bulk bool // told to a new route, which is not traced
	// When it has been pushed, so has everything with a number up to this. It is 0
	// while a new route walks through what there is: the rest may be behind it.
	seq int64
}

const (
	// feedBytes is about how much is encoded at a time.
	feedBytes = 64 << 10
	// feedLimit is how many changes may wait for one route, some 300 MB if each
	// is of a subscription that is kept only by it.
	feedLimit = 2 << 20
	// feedStep is how many subscriptions a new route queues before it looks
	// whether the peer keeps up.
	feedStep = 4096
)

// interestChanged queues a change of a client's subscription for all routes.
// The caller holds the lock of the client's conn.
func (k *cluster) interestChanged(sub *subscription, gone bool) {
	if !k.on || !k.rules.Load().announces(sub, gone) {
		return
	}
	routes := k.active()
	for _, r := range routes {
		r.feed.add(interestChange{sub: sub, gone: gone}, 1)
	}
	if !gone {
		sub.conn.announced = k.changes.Add(1)
	}
	if len(routes) == 0 {
		return
	}
	if gone && sub.queue != "" {
		k.orphans.remember(sub)
	}
}

// interestDropped queues the withdrawal of all that a client had. The caller
// holds the lock of the client's conn.
func (k *cluster) interestDropped(subs map[string]*subscription) {
	routes := k.active()
	if len(routes) == 0 || len(subs) == 0 {
		return
	}
	all := make([]*subscription, 0, len(subs))
	rules := k.rules.Load()
	for _, sub := range subs {
		if rules.announces(sub, true) {
			all = append(all, sub)
		}
	}
	for _, r := range routes {
		r.feed.add(interestChange{all: all, gone: true}, len(all))
	}
}

// pushInterest pushes what is queued, if the routes keep up. When it returns,
// what was queued before has been pushed or left to a goroutine.
func (k *cluster) pushInterest() {
	for _, r := range k.active() {
		if r.feed.waiting.Load() > 0 {
			r.feed.push()
		}
	}
}

// add queues a change that stands for n lines.
func (f *feed) add(ch interestChange, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended || n == 0 {
		return
	}
	if f.walked.Load() {
		ch.seq = f.to.srv.cluster.changes.Load()
	}
	f.queue = append(f.queue, ch)
	if f.waiting.Add(int64(n)) > feedLimit && !ch.gone {
		f.to.close(closeSlowPending)
	}
}

// push works on the queue unless a goroutine does, and leaves what is much to
// one.
func (f *feed) push() {
	f.pushing.Lock()
	defer f.pushing.Unlock()
	if f.pumping() {
		return
	}
	if lagging := f.pushSome(); (lagging || f.waiting.Load() > 0) && f.startPump() {
		go f.run() // Shutdown waits for it; it ends with the queue or the route
	}
}

func (f *feed) pumping() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pump || f.ended
}

// startPump marks that a goroutine begins. It reports false if there is nothing
// to do for one.
func (f *feed) startPump() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pump || f.ended || len(f.queue) == 0 || f.to.srv.ended() {
		return false
	}
	f.pump = true
	return true
}

// stopPump reports whether the goroutine may end: the queue is empty.
func (f *feed) stopPump() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.queue) > 0 && !f.ended {
		return false
	}
	f.pump = false
	return true
}

// run works on the queue until it is empty, at the pace of the peer.
func (f *feed) run() {
	for !f.stopPump() {
		f.await()
		f.pushing.Lock()
		f.pushSome()
		f.pushing.Unlock()
	}
}

// await waits until the peer takes more.
func (f *feed) await() {
	relief := make(chan bool, 1)
	if f.to.out.await(relief) {
		<-relief // the queue of the route gets shorter, or is dropped at its end
	}
}

// take returns changes for about feedBytes of lines, and up to which number all
// will have been pushed with them.
func (f *feed) take() (list []interestChange, upTo int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := min(len(f.queue), feedBytes/lineGuess)
	list = f.queue[:n:n]
	f.queue = f.queue[n:]
	if len(f.queue) == 0 {
		f.queue = nil
		return list, f.to.srv.cluster.changes.Load()
	}
	return list, list[n-1].seq
}

// pushed says that changes were pushed: all up to a number, if the walk through
// what was there is over.
func (f *feed) pushed(upTo int64) {
	if f.walked.Load() {
		f.told.Store(max(upTo, f.told.Load()))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.progressedLocked()
}

func (f *feed) progressedLocked() {
	if f.progress != nil {
		close(f.progress)
		f.progress = nil
	}
}

// behind reports whether changes up to a number may still have to be pushed.
func (f *feed) behind(number int64) bool {
	return number > f.told.Load() && (f.waiting.Load() > 0 || !f.walked.Load())
}

// next returns a channel that is closed when more has been pushed or the route has
// ended; nil if it has.
func (f *feed) next() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return nil
	}
	if f.progress == nil {
		f.progress = make(chan struct{})
	}
	return f.progress
}

// awaitTold waits until changes up to a number have been pushed, for as long as the
// peer takes what it is sent, but not longer than limit. It reports false if they
// have not.
func (f *feed) awaitTold(number int64, limit time.Duration) bool {
	end, look := time.NewTimer(limit), time.NewTicker(stallStep)
	defer end.Stop()
	defer look.Stop()
	for {
		next := f.next() // before looking, so that no progress is missed
		if next == nil || !f.behind(number) {
			return true
		}
		select {
		case <-next:
		case <-look.C:
			if f.to.out.stalled() {
				return false
			}
		case <-end.C:
			return false
		}
	}
}

// lineGuess is a guess of the length of a line.
const lineGuess = 64

// pushSome encodes and pushes a part of the queue. It reports whether the peer
// lags behind. The caller holds pushing.
func (f *feed) pushSome() (lagging bool) {
	list, upTo := f.take()
	defer f.pushed(upTo)
	text := make([]byte, 0, feedBytes)
	lines := 0
	for _, ch := range list {
		all := ch.all
		if ch.sub != nil {
			all = []*subscription{ch.sub}
		}
		for _, sub := range all {
			at := len(text)
			text = appendInterest(text, sub, ch.gone)
			if f.to.tracing && !ch.bulk {
				f.to.tracef("<<- [%s]", text[at:len(text)-len("\r\n")])
			}
			if len(text) >= feedBytes {
				lagging = f.to.out.push(&load{segs: []seg{{b: text}}, bytes: len(text)})
				text = text[:0]
			}
		}
		lines += len(all)
	}
	if len(text) > 0 {
		lagging = f.to.out.push(&load{segs: []seg{{b: text}}, bytes: len(text)})
	}
	if lines == 0 {
		return false
	}
	f.to.active()
	f.waiting.Add(int64(-lines))
	return lagging
}

// end gives up what is queued.
func (f *feed) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	f.queue = nil
	f.progressedLocked()
}

// sendAll queues all interest of local clients for a new route, and sends it at
// the pace of the peer.
func (f *feed) sendAll() {
	defer f.to.srv.conns.Done()
	k := f.to.srv.cluster
	n := 0
	for e := range f.to.srv.subs.All {
		sub := e.Value
		if sub.conn.role != roleClient || !k.rules.Load().announces(sub, false) {
			continue
		}
		f.addLiving(sub)
		if n++; n%feedStep == 0 {
			f.push()
			f.await()
		}
		if f.to.ended() {
			return
		}
	}
	f.endWalk()
	f.push()
	f.to.debugf("Sent local subscriptions to route")
}

// endWalk says that all there was is queued.
func (f *feed) endWalk() {
	f.pushing.Lock()
	defer f.pushing.Unlock()
	f.walked.Store(true)
	f.pushSome()
}

// addLiving queues a subscription if it is still there, and to be announced. That
// is judged under the lock of its client: a reload that forbids it comes before
// or withdraws it afterwards.
func (f *feed) addLiving(sub *subscription) {
	c := sub.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.subs[sub.sid] == sub && f.to.srv.cluster.rules.Load().announces(sub, false) {
		f.add(interestChange{sub: sub, bulk: true}, 1)
	}
}

// Ids of subscriptions on routes.
const (
	plainID = "RSID:"
	queueID = "QRSID:"
)

// appendInterest appends the line that announces or withdraws a subscription.
// Without a queue two blanks follow the subject, as 1.x writes it.
func appendInterest(b []byte, sub *subscription, gone bool) []byte {
	if gone {
		b = append(b, "UNSUB "...)
	} else {
		b = append(b, "SUB "...)
		b = append(b, sub.subject...)
		b = append(b, ' ')
		b = append(b, sub.queue...)
		b = append(b, ' ')
	}
	b = appendRouteSID(b, sub)
	return append(b, '\r', '\n')
}

// appendRouteSID appends the id by which routes know a subscription.
func appendRouteSID(b []byte, sub *subscription) []byte {
	if sub.queue == "" {
		b = append(b, plainID...)
	} else {
		b = append(b, queueID...)
	}
	b = strconv.AppendUint(b, sub.conn.id, 10)
	b = append(b, ':')
	return append(b, sub.sid...)
}
