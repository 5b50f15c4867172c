// Package sublist finds the subscribers of a published subject.
//
// A [List] holds subscriptions of any comparable type; it knows subjects and
// queue groups and knows nothing of connections. Three structures share the
// work, from cold to hot:
//
//   - index: patterns without a wildcard, found by one map lookup;
//   - trie: patterns with a wildcard, one level per token;
//   - cache: results of subjects that were seen more than once, read without a
//     lock. A [Cursor] in front of it remembers one subject for one goroutine.
//
// A [Result] never changes after it was returned. Each pattern builds its own
// when it is first matched after a change; a subject that matches several
// patterns gets a merged one, which is interned, so that a million subjects
// under the same four patterns share one Result and a miss allocates nothing.
//
// A change makes invalid only what it can touch, see [generations].
//
// Locks: the index has one per shard, the trie has one. No two are ever held
// together and nothing is called out to while one is held.
package sublist
