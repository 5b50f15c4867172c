package netio

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Chunk is a piece of memory for bytes on their way in or out. Chunks come in a few sizes from
// pools and are counted by reference, so that one encoded message or one read buffer can be on its
// way to many connections at once.
//
// Bytes that are referred to never change; only the owner who took the chunk may append behind
// them.
type Chunk struct {
	// Set once.
	mem  []byte     // all of it: what others read through, while the owner appends
	pool *sync.Pool // nil: too large for a pool

	// Changed by the owner alone.
	buf []byte // what is in use: its length grows by appending, its capacity is the size of the chunk

	// Atomic.
	refs atomic.Int32
}

// Sizes of chunks.
const (
	SmallSize = 1 << 10   // holds the rest of a read when a connection waits with half an operation
	ReadSize  = 64 << 10  // of a read
	LongRead  = 512 << 10 // of a read whose bytes go to many connections
)

// Each size is at most twice the one below it, and above a read buffer half as large again, so that
// a chunk is never much larger than what it was taken for.
var chunkSizes = [...]int{
	SmallSize, 2 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, ReadSize,
	96 << 10, 128 << 10, 192 << 10, 256 << 10, 384 << 10, 512 << 10, 768 << 10, 1 << 20,
}

var chunkPools [len(chunkSizes)]sync.Pool

// NewChunk takes an empty chunk that holds at least size bytes, with one reference.
func NewChunk(size int) *Chunk {
	i, _ := slices.BinarySearch(chunkSizes[:], size)
	if i == len(chunkSizes) {
		return makeChunk(size, nil)
	}
	if c, ok := chunkPools[i].Get().(*Chunk); ok {
		c.refs.Store(1)
		return c
	}
	return makeChunk(chunkSizes[i], &chunkPools[i])
}

func makeChunk(size int, pool *sync.Pool) *Chunk {
	c := &Chunk{mem: make([]byte, size), pool: pool}
	c.buf = c.mem[:0]
	c.refs.Store(1)
	return c
}

// Space returns the memory of an empty chunk.
func (c *Chunk) Space() []byte { return c.mem[:0] }

// Shared reports whether there is another reference than that of its owner.
func (c *Chunk) Shared() bool { return c.refs.Load() > 1 }

// free returns how many bytes can still be appended.
func (c *Chunk) free() int { return cap(c.buf) - len(c.buf) }

// retain adds a reference.
func (c *Chunk) retain() { c.refs.Add(1) }

// Release gives up one reference; the last one returns the chunk to its pool.
func (c *Chunk) Release() {
	switch n := c.refs.Add(-1); {
	case n > 0:
		return
	case n < 0:
		panic("netio: chunk released twice")
	}
	if c.pool != nil {
		c.buf = c.mem[:0]
		c.pool.Put(c)
	}
}

// Segment is bytes on their way out. With a chunk, they are in it and may be kept by taking a
// reference; without one they are only lent for the time of a call.
type Segment struct {
	Bytes []byte
	Chunk *Chunk
}

// worthKeeping reports whether a segment fills so much of its chunk that keeping the chunk costs
// little more memory than a copy.
func (s Segment) worthKeeping() bool { return s.Chunk != nil && 3*len(s.Bytes) >= 2*len(s.Chunk.mem) }

func releaseAll(segs []Segment) {
	for _, s := range segs {
		s.Chunk.Release()
	}
}

// cut divides segments behind their first n bytes, or behind all there are.
func cut(segs []Segment, n int) (front, rest []Segment) {
	k := 0
	for k < len(segs) && n >= len(segs[k].Bytes) {
		n -= len(segs[k].Bytes)
		k++
	}
	front, rest = segs[:k:k], segs[k:]
	if n > 0 && len(rest) > 0 {
		s := &rest[0]
		s.Chunk.retain()
		front = append(front, Segment{Bytes: s.Bytes[:n:n], Chunk: s.Chunk})
		s.Bytes = s.Bytes[n:]
	}
	return front, rest
}

// dropSent releases the first n bytes of segments, and returns the rest.
func dropSent(segs []Segment, n int) []Segment {
	sent, rest := cut(segs, n)
	releaseAll(sent)
	return rest
}

// skip returns the segments without their first n bytes. Segments are copied before they are cut:
// the caller still owns the originals.
func skip(segs []Segment, n int) []Segment {
	for len(segs) > 0 && n >= len(segs[0].Bytes) {
		n -= len(segs[0].Bytes)
		segs = segs[1:]
	}
	if n > 0 {
		segs = append([]Segment(nil), segs...)
		segs[0].Bytes = segs[0].Bytes[n:]
	}
	return segs
}
