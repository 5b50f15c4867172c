package server

// inbuf holds the bytes that a connection has read and that are not yet
// operations. It owns a chunk only while there are such bytes: a quiet
// connection has none.
type inbuf struct {
	ck *chunk
	r  int // the unread bytes are ck.b[r:]
	w  int // bytes wanted before it is worth looking again
}

// grow bounds how much faster than its content a buffer may grow: the first
// bytes of a large operation must arrive before memory for the rest is taken.
const grow = 4

// unread returns the bytes that are not yet operations.
func (in *inbuf) unread() []byte {
	if in.ck == nil {
		return nil
	}
	return in.ck.b[in.r:]
}

// space returns memory to read into, at least one byte. A buffer holds limit
// bytes, or more once an operation that wants more has begun to arrive.
func (in *inbuf) space(limit int) []byte {
	have := len(in.unread())
	size := max(limit, min(in.w, grow*have), have+1)
	switch {
	case in.ck == nil:
		in.ck = newChunk(size)
		in.r = 0
	case in.ck.free() < size-have:
		in.move(size)
	}
	b := in.ck.b
	return b[len(b):cap(b)]
}

// move takes what is unread to the front of a chunk of the given size.
func (in *inbuf) move(size int) {
	old, r := in.ck, in.r
	if cap(old.b) >= size && old.refs.Load() == 1 {
		n := copy(old.b, old.b[r:])
		old.b = old.b[:n]
		in.r = 0
		return
	}
	in.moveTo(newChunk(size))
}

// moveTo takes what is unread to the front of another chunk.
func (in *inbuf) moveTo(ck *chunk) {
	old, r := in.ck, in.r
	in.ck = ck
	in.ck.b = append(in.ck.b, old.b[r:]...)
	in.r = 0
	old.release()
}

// filled says that n bytes were read into what space returned.
func (in *inbuf) filled(n int) { in.ck.b = in.ck.b[:len(in.ck.b)+n] }

// take says that n bytes were operations, and forgets what was wanted.
func (in *inbuf) take(n int) {
	in.r += n
	in.w = 0
}

// want says that the next look is worth while only with n unread bytes, and
// that of those that are there the first keep matter (0: all of them).
func (in *inbuf) want(n, keep int) {
	in.w = n
	if keep > 0 {
		in.ck.b = in.ck.b[:in.r+keep]
	}
}

// short reports whether more bytes must be read before looking again.
func (in *inbuf) short() bool {
	n := len(in.unread())
	return n == 0 || n < in.w
}

// rest prepares for a wait that may be long: it gives back the chunk if
// nothing is unread, and moves a short remainder into a small one.
func (in *inbuf) rest() {
	if in.ck == nil {
		return
	}
	n := len(in.unread())
	switch {
	case n == 0:
		in.drop()
	case n*grow <= cap(in.ck.b) && cap(in.ck.b) > smallChunk:
		in.moveTo(newChunk(n))
	}
}

// drop forgets everything.
func (in *inbuf) drop() {
	if in.ck != nil {
		in.ck.release()
		in.ck = nil
	}
	in.r, in.w = 0, 0
}
