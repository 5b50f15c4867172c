package admission

import (
	"container/heap"
	"sync"
	"time"

	"gnatsd/server/internal/linked"
)

// Evictor knows which of many connections is closed first when there are too many. It takes one of
// the Source that has most of them, so that a Source with few keeps them however many another one
// opens, and of these the one that has had its [Rank] for longest, where each rank is worth a
// rankTime.
type Evictor[T any] struct {
	mu     sync.Mutex // guards what follows
	len    int
	groups map[Source]*group[T] // none is empty
	queue  groupQueue[T]        // those that have entries to evict
}

// rankTime is how much longer a connection stays for each rank. It is short: a new connection,
// which has sent nothing yet, must not be closed for the many that have sent something before.
const rankTime = 10 * time.Millisecond

// Rank is what a connection has done so far. The higher, the later it is evicted.
type Rank uint8

const (
	Idle    Rank = iota // it has sent nothing, or nothing since it was last answered
	Partial             // it has sent a part of what it has to send
	Waiting             // it has sent everything, and waits for this process
	Kept                // it is not evicted
)

// Entry is the place of one connection in an Evictor. It is safe for concurrent use.
type Entry[T any] struct {
	of    *Evictor[T]
	owner T
	group *group[T] // nil once it is removed; guarded by of.mu, like what follows
	rank  Rank
	due   time.Time // the earliest goes first
	place linked.Node[Entry[T]]
}

// group has the entries of one Source.
type group[T any] struct {
	source    Source
	size      int                         // entries
	evictable int                         // those that are not Kept
	byRank    [Kept]linked.List[Entry[T]] // those, oldest first
	at        int                         // index in the queue of groups; -1 if it is not there
}

// head returns the entry that is evicted first, nil if there is none.
func (g *group[T]) head() (first *Entry[T]) {
	for i := range g.byRank {
		if e := g.byRank[i].Head(); e != nil && (first == nil || e.due.Before(first.due)) {
			first = e
		}
	}
	return first
}

// groupQueue is a heap; the group that an entry is evicted from comes first.
type groupQueue[T any] []*group[T]

func (q groupQueue[T]) Len() int { return len(q) }

func (q groupQueue[T]) Less(i, j int) bool {
	if q[i].evictable != q[j].evictable {
		return q[i].evictable > q[j].evictable
	}
	return q[i].head().due.Before(q[j].head().due)
}

func (q groupQueue[T]) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].at, q[j].at = i, j
}

func (q *groupQueue[T]) Push(x any) {
	g := x.(*group[T])
	g.at = len(*q)
	*q = append(*q, g)
}

func (q *groupQueue[T]) Pop() any {
	last := len(*q) - 1
	g := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	g.at = -1
	return g
}

// add puts a group in its place.
func (q *groupQueue[T]) add(g *group[T]) { heap.Push(q, g) }

// NewEvictor returns an Evictor without connections.
func NewEvictor[T any]() *Evictor[T] {
	return &Evictor[T]{groups: map[Source]*group[T]{}}
}

// Add adds a connection, which is Idle, and returns its place. The caller must remove it.
func (v *Evictor[T]) Add(from Source, owner T) *Entry[T] {
	v.mu.Lock()
	defer v.mu.Unlock()
	g := v.groups[from]
	if g == nil {
		g = &group[T]{source: from, at: -1}
		v.groups[from] = g
	}
	e := &Entry[T]{of: v, owner: owner, group: g, rank: Kept}
	g.size++
	v.len++
	v.rankLocked(e, Idle)
	return e
}

// Rank changes the rank of a connection. An entry that was removed stays so.
func (e *Entry[T]) Rank(r Rank) {
	e.of.mu.Lock()
	defer e.of.mu.Unlock()
	if e.group != nil && e.rank != r {
		e.of.rankLocked(e, r)
	}
}

// rankLocked moves e to the end of those with rank r.
func (v *Evictor[T]) rankLocked(e *Entry[T], r Rank) {
	g := e.group
	if e.rank < Kept {
		g.byRank[e.rank].Remove(&e.place)
		g.evictable--
	}
	e.rank, e.due = r, time.Now().Add(time.Duration(r)*rankTime)
	if r < Kept {
		g.byRank[r].Add(&e.place, e)
		g.evictable++
	}
	switch {
	case g.evictable > 0 && g.at < 0:
		v.queue.add(g)
	case g.evictable > 0:
		heap.Fix(&v.queue, g.at)
	case g.at >= 0:
		v.dropLocked(g)
	}
}

// dropLocked takes a group without entries to evict out of the heap. Its order is that of a group
// with an entry, so it goes to the end first.
func (v *Evictor[T]) dropLocked(g *group[T]) {
	last := len(v.queue) - 1
	at := g.at
	if at != last {
		v.queue.Swap(at, last)
	}
	v.queue.Pop()
	if at != last {
		heap.Fix(&v.queue, at)
	}
}

// Remove takes the connection out. It may be called more than once.
func (e *Entry[T]) Remove() {
	e.of.mu.Lock()
	defer e.of.mu.Unlock()
	if e.group != nil {
		e.of.removeLocked(e)
	}
}

func (v *Evictor[T]) removeLocked(e *Entry[T]) {
	v.rankLocked(e, Kept)
	g := e.group
	e.group = nil
	v.len--
	if g.size--; g.size == 0 {
		delete(v.groups, g.source)
	}
}

// Evict takes the connection out that is to be closed, and returns it. It reports false if there is
// none.
func (v *Evictor[T]) Evict() (owner T, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.queue) == 0 {
		return owner, false
	}
	e := v.queue[0].head()
	v.removeLocked(e)
	return e.owner, true
}

// Len returns how many connections there are.
func (v *Evictor[T]) Len() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.len
}
