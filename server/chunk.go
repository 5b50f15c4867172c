package server

import (
	"sync"
	"sync/atomic"
)

// chunk is a piece of memory for bytes on their way in or out. Chunks come in
// a few sizes from pools and are counted by reference, so that one encoded
// message or one read buffer can be on its way to many connections at once.
//
// The bytes of a chunk that somebody refers to are never written again; only
// the owner who took it may append behind them.
type chunk struct {
	// Set once.
	mem  []byte     // all of it: what others read through, while the owner appends
	pool *sync.Pool // nil: too large for a pool

	// Changed by the owner alone.
	b []byte // what is in use: len grows, cap is the size of its class

	// Atomic.
	refs atomic.Int32
}

// Chunk sizes. A read takes a chunk of readSize; small ones hold what is left
// over when a connection goes quiet with half an operation.
const (
	smallChunk = 1 << 10
	readSize   = 64 << 10
)

// Each class is at most twice the one below it, and above a read buffer half as large again,
// so that a chunk is never much larger than what it was taken for.
var chunkSizes = [...]int{
	smallChunk, 2 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, readSize,
	96 << 10, 128 << 10, 192 << 10, 256 << 10, 384 << 10, 512 << 10, 768 << 10, 1 << 20,
}

var chunkPools [len(chunkSizes)]sync.Pool

// newChunk takes an empty chunk that holds at least size bytes, with one
// reference.
func newChunk(size int) *chunk {
	for i, s := range chunkSizes {
		if size > s {
			continue
		}
		pool := &chunkPools[i]
		if c, ok := pool.Get().(*chunk); ok {
			c.refs.Store(1)
			return c
		}
		return makeChunk(s, pool)
	}
	return makeChunk(size, nil)
}

func makeChunk(size int, pool *sync.Pool) *chunk {
	c := &chunk{mem: make([]byte, size), pool: pool}
	c.b = c.mem[:0]
	c.refs.Store(1)
	return c
}

// free is how many bytes can still be appended.
func (c *chunk) free() int { return cap(c.b) - len(c.b) }

func (c *chunk) retain() { c.refs.Add(1) }

// release gives up one reference; the last one returns the chunk to its pool.
func (c *chunk) release() {
	switch n := c.refs.Add(-1); {
	case n > 0:
		return
	case n < 0:
		panic("chunk released twice")
	}
	if c.pool != nil {
		c.b = c.mem[:0]
		c.pool.Put(c)
	}
}

// seg is a run of bytes on its way out. With a chunk, the bytes are in it and may be kept by
// taking a reference; without one they are only lent for the time of a call.
type seg struct {
	b  []byte
	ck *chunk
}

// worthKeeping reports whether a segment fills so much of its chunk that keeping the chunk costs
// little more memory than a copy.
func (s seg) worthKeeping() bool { return s.ck != nil && 3*len(s.b) >= 2*len(s.ck.mem) }
