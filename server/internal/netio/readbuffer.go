package netio

import "sync/atomic"

// ReadBuffer holds the bytes that a connection has read and that are not yet operations. It owns a
// chunk only while there are such bytes: an idle connection has none. The zero value is empty.
type ReadBuffer struct {
	// Owned by the reader.
	chunk *Chunk
	need  int    // unread bytes without which another look is not worthwhile
	start uint32 // the unread bytes are chunk.buf[start:]

	// Atomic.
	held atomic.Uint32 // see Shared.Hold
}

// growthFactor bounds how much faster than its content a buffer may grow: the first bytes of a
// large operation must arrive before memory for the rest is taken.
const growthFactor = 4

// tightFraction is the fraction of a read for which there must be room.
const tightFraction = 8

// Unread returns the bytes that are not yet operations.
func (b *ReadBuffer) Unread() []byte {
	if b.chunk == nil {
		return nil
	}
	return b.chunk.buf[b.start:]
}

// Chunk returns the chunk that holds the unread bytes, nil if there is none.
func (b *ReadBuffer) Chunk() *Chunk { return b.chunk }

// Bytes returns the bytes in the chunk, those that are operations already included.
func (b *ReadBuffer) Bytes() []byte { return b.chunk.buf }

// Offset returns where in Bytes the unread bytes begin.
func (b *ReadBuffer) Offset() int { return int(b.start) }

// Held returns how much memory the buffer has been holding since its reader waited last. Any goroutine
// may call it.
func (b *ReadBuffer) Held() int64 { return int64(b.held.Load()) }

// Space returns memory to read into, at least one byte. A buffer holds limit bytes, or more once an
// operation that needs more has begun to arrive.
//
// A short remainder is moved to the front, so that a read can be long. What is longer is moved when
// there is little room left, and then the buffer is several times as large: however small the
// pieces are in which a large operation arrives, each byte is moved a few times at most.
func (b *ReadBuffer) Space(limit int) []byte {
	have := len(b.Unread())
	need := b.need
	if need <= have+1 { // it is not known how much more will come
		need = 2 * have
	}
	if need > limit { // more such operations will follow: a read should hold several
		need = max(need, growthFactor*min(limit, ReadSize))
	}
	size := max(limit, min(need, growthFactor*have)) // more than have
	room := size - have
	if have > limit/growthFactor {
		room = min(room, max(1, limit/tightFraction))
	}
	switch {
	case b.chunk == nil:
		b.chunk = NewChunk(size)
		b.start = 0
	case b.chunk.free() < room:
		b.move(size)
	}
	used := b.chunk.buf
	return used[len(used):cap(used)]
}

// move takes what is unread to the front of a chunk of the given size.
func (b *ReadBuffer) move(size int) {
	old := b.chunk
	if cap(old.buf) >= size && old.refs.Load() == 1 {
		n := copy(old.buf, old.buf[b.start:])
		old.buf = old.buf[:n]
		b.start = 0
		return
	}
	b.moveTo(NewChunk(size))
}

// moveTo takes what is unread to the front of another chunk.
func (b *ReadBuffer) moveTo(c *Chunk) {
	old := b.chunk
	c.buf = append(c.buf, old.buf[b.start:]...)
	b.chunk, b.start = c, 0
	old.Release()
}

// Filled notes that n bytes were read into what Space returned.
func (b *ReadBuffer) Filled(n int) { b.chunk.buf = b.chunk.buf[:len(b.chunk.buf)+n] }

// Consume notes that n bytes were operations. Nothing is needed any more.
func (b *ReadBuffer) Consume(n int) {
	b.start += uint32(n)
	b.need = 0
}

// Need notes that the next operation has at least n bytes, and that of those that are there the
// first keep matter (0: all of them).
func (b *ReadBuffer) Need(n, keep int) {
	b.need = n
	if keep > 0 {
		b.chunk.buf = b.chunk.buf[:int(b.start)+keep]
	}
}

// Incomplete reports whether more bytes must be read before there can be an operation.
func (b *ReadBuffer) Incomplete() bool {
	n := len(b.Unread())
	return n == 0 || n < b.need
}

// Shrink prepares for a wait that may be long: it gives back the chunk if nothing is unread, and
// moves a short remainder into a small one. A chunk that has just grown stays: sizes of chunks are
// at most twice as large as what was asked for.
func (b *ReadBuffer) Shrink() {
	if b.chunk == nil {
		return
	}
	n, size := len(b.Unread()), cap(b.chunk.buf)
	factor := growthFactor
	if size > ReadSize {
		factor = 2 * growthFactor
	}
	switch {
	case n == 0:
		b.Clear()
	case n*factor <= size && size > SmallSize:
		b.moveTo(NewChunk(n))
	}
}

// Clear drops what is unread and gives back the chunk.
func (b *ReadBuffer) Clear() {
	if b.chunk != nil {
		b.chunk.Release()
	}
	b.chunk, b.start, b.need = nil, 0, 0
}
