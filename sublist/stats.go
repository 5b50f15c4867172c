package sublist

import "sync/atomic"

// Stats are the statistics of a List. All but Subscriptions and CacheEntries are since New.
type Stats struct {
	Subscriptions int64   // in the list now
	CacheEntries  int64   // subjects in the result cache, valid or not
	Inserts       int64   // subscriptions added
	Removes       int64   // subscriptions removed
	Matches       int64   // calls of Match, except those that a Cursor knew, or has not flushed
	CacheHits     int64   // of Matches, those answered by the cache
	MaxFanout     int64   // most plain subscribers and queue groups of one match
	AvgFanout     float64 // plain subscribers and queue groups per match
}

// HitRate returns the ratio of CacheHits to Matches, from 0 to 1.
func (s Stats) HitRate() float64 {
	if s.Matches == 0 {
		return 0
	}
	return float64(s.CacheHits) / float64(s.Matches)
}

// stripes is the number of copies of the counters of matches, so that goroutines rarely contend for
// one.
const stripes = 16

type counters struct {
	inserts   atomic.Int64
	removes   atomic.Int64
	maxFanout atomic.Int64
	_         [40]byte // cursors read what is above all the time
	stripes   [stripes]stripe
}

// changes returns the number of changes of the list.
func (c *counters) changes() int64 { return c.inserts.Load() + c.removes.Load() }

// stripe is a copy of the counters. It fills a cache line.
type stripe struct {
	matches, hits, copies atomic.Int64
	_                     [40]byte
}

// tally is the matches that one goroutine has counted.
type tally struct{ matches, hits, copies, maxFanout int64 }

// add counts a match.
func (t *tally) add(fanout int, hit bool) {
	t.matches++
	t.copies += int64(fanout)
	t.maxFanout = max(t.maxFanout, int64(fanout))
	if hit {
		t.hits++
	}
}

// match counts a match of a subject with this hash.
func (c *counters) match(hash uint64, fanout int, hit bool) {
	s := &c.stripes[hash>>32%stripes]
	s.matches.Add(1)
	if hit {
		s.hits.Add(1)
	}
	if fanout > 0 {
		s.copies.Add(int64(fanout))
		c.raiseFanout(int64(fanout))
	}
}

// add adds the matches that a goroutine has counted.
func (c *counters) add(t *tally) {
	s := &c.stripes[t.matches%stripes]
	s.matches.Add(t.matches)
	s.hits.Add(t.hits)
	s.copies.Add(t.copies)
	c.raiseFanout(t.maxFanout)
}

func (c *counters) raiseFanout(n int64) {
	for {
		was := c.maxFanout.Load()
		if n <= was || c.maxFanout.CompareAndSwap(was, n) {
			return
		}
	}
}

// Added returns how many subscriptions have been added to the list since the beginning.
func (l *List[T]) Added() int64 { return l.counts.inserts.Load() }

// Count returns the number of subscriptions in the list.
func (l *List[T]) Count() int {
	removes := l.counts.removes.Load() // first: never more than were inserted
	return int(max(0, l.counts.inserts.Load()-removes))
}

// Stats returns the statistics. It reads the whole cache, some 16 000 entries: it is meant for
// monitoring.
func (l *List[T]) Stats() Stats {
	s := Stats{
		Removes:      l.counts.removes.Load(),
		Inserts:      l.counts.inserts.Load(),
		CacheEntries: int64(l.cache.len()),
		MaxFanout:    l.counts.maxFanout.Load(),
	}
	s.Subscriptions = max(0, s.Inserts-s.Removes)
	var copies int64
	for i := range l.counts.stripes {
		stripe := &l.counts.stripes[i]
		s.CacheHits += stripe.hits.Load()
		s.Matches += stripe.matches.Load()
		copies += stripe.copies.Load()
	}
	if s.Matches > 0 {
		s.AvgFanout = float64(copies) / float64(s.Matches)
	}
	return s
}
