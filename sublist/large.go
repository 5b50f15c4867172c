package sublist

import "sync"

// largeResults bounds the memory of the large results in the caches: when there is no room for
// another, all are dropped. That takes up to 0.5 ms, far less than it took to make them.
type largeResults struct {
	mu    sync.Mutex // held while one is stored
	words int        // of those that were stored in this round
	round uint32     // begins when all are dropped; the first is 1
}

const (
	// maxSmall is the largest size of a result, in words, that is not large: the small ones take at
	// most 20 MB.
	maxSmall = 128
	// maxLarge bounds the size of all large results in the caches, in words: 16 MB. One of 4 096
	// patterns and a queue group has 25 000.
	maxLarge = 2 << 20
)

func (r *Result[T]) isLarge() bool { return r.words > maxSmall }

// admitLocked makes room for a large result that is about to be stored in a cache. It reports false if
// it is too large. l.large is locked until it is stored.
func (l *List[T]) admitLocked(r *Result[T]) bool {
	if r.round == l.large.round {
		return true
	}
	if r.words > maxLarge {
		return false
	}
	if l.large.words += int(r.words); l.large.words > maxLarge {
		l.large.words = int(r.words)
		l.large.round++
		l.cache.dropLarge()
		l.merges.dropLarge()
	}
	r.round = l.large.round
	return true
}
