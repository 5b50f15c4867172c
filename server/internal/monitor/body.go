package monitor

import (
	"errors"
	"fmt"
	"io"
)

// Body is an encoded page. It is kept in pieces of one size, so that however long it becomes nothing is
// moved, and no memory is reserved for what may follow. The zero value is empty, and has no bound. It is
// used by one goroutine.
type Body struct {
	room   *answer // where the pieces are counted; nil if they are not
	pieces [][]byte
	size   int // in bytes
}

// bodyPiece is the size of a piece, in bytes: small enough to be cleared and written at once without
// others waiting for it, and large enough for few writes.
const bodyPiece = 64 << 10

// Write appends text. The error says that the page is too large.
func (b *Body) Write(text []byte) (n int, err error) {
	for n < len(text) {
		piece, err := b.last()
		if err != nil {
			return n, err
		}
		k := min(len(text)-n, bodyPiece-len(*piece))
		*piece = append(*piece, text[n:n+k]...)
		b.size += k
		n += k
	}
	return n, nil
}

// last returns a piece that is not full. The first one grows: most pages are small.
func (b *Body) last() (*[]byte, error) {
	n := len(b.pieces)
	if n > 0 && len(b.pieces[n-1]) < bodyPiece {
		return &b.pieces[n-1], nil
	}
	if b.room != nil {
		if err := b.room.grow(bodyPiece); err != nil {
			return nil, err
		}
	}
	var piece []byte
	if n > 0 {
		piece = make([]byte, 0, bodyPiece)
	}
	b.pieces = append(b.pieces, piece)
	return &b.pieces[n], nil
}

// writeTo writes the pieces.
func (b *Body) writeTo(w io.Writer) error {
	for _, piece := range b.pieces {
		if _, err := w.Write(piece); err != nil {
			return err
		}
	}
	return nil
}

// tooLarge is the error of a page that would have more than that many bytes.
type tooLarge int64

// Error implements error.
func (n tooLarge) Error() string {
	return fmt.Sprintf("the page has more than %d MB: ask for less with offset and limit, or without subs", n>>20)
}

// isTooLarge reports whether err says that a page is too large.
func isTooLarge(err error) bool {
	var n tooLarge
	return errors.As(err, &n)
}
