package sublist

import (
	"bytes"
	"hash/maphash"
	"sync/atomic"
)

// buckets is the number of counters of each kind. A change also invalidates, by hash collision, one
// in so many of the cached results that it does not concern.
const buckets = 4096

// generations counts changes by the subjects that they can touch, so that a change does not
// invalidate what is cached about other subjects:
//
//   - a pattern without wildcards touches its own subject;
//   - a pattern with two or more literal tokens in front of its first wildcard
//     touches the subjects that begin with the first two;
//   - with one literal token, the subjects that begin with it;
//   - with none, all subjects.
//
// Each kind has a counter per hash bucket; the last has one counter. Four counters concern a
// subject (see [touch]). Counters only grow: their sum, the stamp, is the same exactly as long as
// none has changed.
//
// A reader takes the stamp before it looks up a subject, and a writer counts while it holds the
// lock of what it changes. So what was found before a change has a stamp from before it, and is
// invalid when the writer has returned.
type generations struct {
	seed    maphash.Seed
	all     atomic.Uint64
	literal [buckets]atomic.Uint64
	prefix  [buckets]atomic.Uint64
}

// touch is the set of counters that concern a subject.
type touch struct {
	literal uint16 // bucket of the subject
	first   uint16 // bucket of its first token
	second  uint16 // bucket of its first two tokens, or first again
}

func literalBucket(hash uint64) uint16 { return uint16(hash >> 32 % buckets) }

// touchOf returns the counters that concern a subject.
func (g *generations) touchOf(subject []byte, hash uint64) touch {
	end := bytes.IndexByte(subject, separator)
	if end < 0 {
		b := uint16(hash % buckets)
		return touch{literalBucket(hash), b, b}
	}
	first := uint16(maphash.Bytes(g.seed, subject[:end]) % buckets)
	next := bytes.IndexByte(subject[end+1:], separator)
	if next < 0 {
		return touch{literalBucket(hash), first, uint16(hash % buckets)}
	}
	second := uint16(maphash.Bytes(g.seed, subject[:end+1+next]) % buckets)
	return touch{literalBucket(hash), first, second}
}

// stamp returns the sum of the counters in t.
func (g *generations) stamp(t touch) uint64 {
	return g.all.Load() + g.literal[t.literal%buckets].Load() + g.prefix[t.first%buckets].Load() + g.prefix[t.second%buckets].Load()
}

// touchLiteral counts a change to the pattern without wildcards that has this hash.
func (g *generations) touchLiteral(hash uint64) { g.literal[literalBucket(hash)].Add(1) }

// touchPattern counts a change to a pattern with wildcards.
func (g *generations) touchPattern(pattern string) {
	first, rest, _ := cut(pattern)
	if first == oneToken || first == tailToken {
		g.all.Add(1)
		return
	}
	prefix := first
	if second, _, _ := cut(rest); second != oneToken && second != tailToken {
		prefix = pattern[:len(first)+1+len(second)]
	}
	g.prefix[maphash.String(g.seed, prefix)%buckets].Add(1)
}
