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
	b    []byte // len is what is in use, cap the size of its class
	refs atomic.Int32
	pool *sync.Pool // nil: too large for a pool
	own  bool       // a queue's own: the queue appends to it
}

// Chunk sizes. A read takes a chunk of readSize; small ones hold what is left
// over when a connection goes quiet with half an operation.
const (
	smallChunk = 1 << 10
	readSize   = 64 << 10
)

var chunkSizes = [...]int{smallChunk, 4 << 10, 16 << 10, readSize, 256 << 10, 1 << 20}

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
		c := &chunk{b: make([]byte, 0, s), pool: pool}
		c.refs.Store(1)
		return c
	}
	c := &chunk{b: make([]byte, 0, size)}
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
		c.b = c.b[:0]
		c.own = false
		c.pool.Put(c)
	}
}

// seg is a run of bytes in a chunk. Whoever holds a seg holds one reference to
// its chunk.
type seg struct {
	ck       *chunk
	from, to int
}

func (s seg) bytes() []byte { return s.ck.b[s.from:s.to:s.to] }

func (s seg) len() int { return s.to - s.from }
