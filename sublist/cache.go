package sublist

import (
	"bytes"
	"sync/atomic"
)

const (
	cacheSets = 4096
	ways      = 4 // entries per set

	// maxCachedSubject is the longest subject in the cache, in bytes: all of them take 4 MB.
	maxCachedSubject = 256

	// admitAtOnce is how many subjects are admitted when they are first seen, so that the
	// statistics of a server with few subjects have all of them. Later ones must be seen twice.
	admitAtOnce = 1024
)

// cache holds results of subjects. It is a set-associative cache of fixed size,
// read without locks: the hash of a subject selects a set, which has a few entries. Millions of
// distinct subjects do not evict those in use: after the first ones, a subject is admitted only if
// it is seen again while the set still has the hash of its last miss, and an entry that was hit
// gets a second chance (CLOCK). Of the misses of a [Cursor] only some are noted.
type cache[T comparable] [cacheSets]set[T]

// set is one cache line of memory on 64-bit systems. Its fields may be inconsistent: an entry has
// its own subject.
type set[T comparable] struct {
	tags atomic.Uint64 // 16 bits of the hash per way, so that a miss reads no entry
	seen atomic.Uint64 // 16 bits of the hash of a recent miss
	hit  atomic.Uint32 // bit per way: it was hit since victim last cleared the bits
	busy atomic.Uint32 // 1 while a goroutine writes tags and ways
	ways [ways]atomic.Pointer[entry[T]]
	_    [8]byte
}

// entry never changes.
type entry[T comparable] struct {
	subject []byte
	stamp   uint64
	touch   touch
	result  *Result[T]
	removes int64 // of the list before
}

func (c *cache[T]) set(hash uint64) *set[T] { return &c[hash%cacheSets] }

func tagOf(hash uint64) uint16 { return uint16(hash >> 16) }

// find returns the entry for subject, valid or stale, and its way; nil if there is none.
func (s *set[T]) find(subject []byte, tag uint16) (*entry[T], int) {
	tags := s.tags.Load()
	for i := range s.ways {
		if uint16(tags>>(16*i)) != tag {
			continue
		}
		if e := s.ways[i].Load(); e != nil && bytes.Equal(e.subject, subject) {
			return e, i
		}
	}
	return nil, 0
}

// markHit gives way i a second chance.
func (s *set[T]) markHit(i int) {
	if bit := uint32(1) << i; s.hit.Load()&bit == 0 {
		s.hit.Or(bit)
	}
}

// missedBefore reports whether tag is that of the last noted miss of the set. If it is not, it is
// noted if the caller says so.
func (s *set[T]) missedBefore(tag uint16, note bool) bool {
	if s.seen.Load() == uint64(tag) {
		return true
	}
	if note {
		s.seen.Store(uint64(tag))
	}
	return false
}

// put stores e in way i. If another goroutine is writing to the set, e is dropped.
func (s *set[T]) put(i int, tag uint16, e *entry[T]) {
	if !s.busy.CompareAndSwap(0, 1) {
		return
	}
	defer s.busy.Store(0)
	s.ways[i].Store(e)
	shift := 16 * i
	s.tags.Store(s.tags.Load()&^(0xffff<<shift) | uint64(tag)<<shift)
}

// victim returns the way to replace by a new entry: an empty or stale one, or one that was not hit.
// If all were hit it clears their bits and returns -1.
func (s *set[T]) victim(gens *generations) int {
	for i := range s.ways {
		if e := s.ways[i].Load(); e == nil || gens.stamp(e.touch) != e.stamp {
			return i
		}
	}
	hit := s.hit.Load()
	for i := range s.ways {
		if hit&(1<<i) == 0 {
			return i
		}
	}
	s.hit.Store(0)
	return -1
}

// dropStale removes stale entries.
func (s *set[T]) dropStale(gens *generations) {
	for i := range s.ways {
		if e := s.ways[i].Load(); e != nil && gens.stamp(e.touch) != e.stamp {
			s.ways[i].CompareAndSwap(e, nil)
		}
	}
}

// dropLarge removes the entries with large results.
func (c *cache[T]) dropLarge() {
	for i := range c {
		for j := range c[i].ways {
			way := &c[i].ways[j]
			if e := way.Load(); e != nil && e.result.isLarge() {
				way.CompareAndSwap(e, nil)
			}
		}
	}
}

// len returns the number of entries.
func (c *cache[T]) len() int {
	n := 0
	for i := range c {
		for j := range c[i].ways {
			if c[i].ways[j].Load() != nil {
				n++
			}
		}
	}
	return n
}
