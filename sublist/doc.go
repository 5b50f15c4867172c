// Package sublist finds the subscribers of a published subject.
//
// A [List] holds subscriptions of any comparable type; it knows subjects and queue groups, but not
// connections. It has three structures:
//
//   - index: patterns without wildcards, found by one map lookup;
//   - trie: patterns with wildcards, a radix tree of tokens;
//   - cache: results of subjects that were seen more than once, read without a
//     lock. A [Cursor] in front of it caches one subject for one goroutine.
//
// A [Result] never changes after it was returned. The result of a pattern is built when it is first
// matched after a change. A subject that matches several patterns gets a merged result, which is
// interned: a million subjects that match the same four patterns share one Result, and a miss of
// the cache allocates nothing. Large results are cached until all of them together take too much memory,
// see [largeResults].
//
// A change invalidates only cached results that it can touch, see [generations].
//
// Locks: the index has one per shard, the trie has one. While one of them is held, only that of the
// subscribers of a pattern is taken, and no function of the caller is called. The lock of the large
// results is held while one is cached.
package sublist
