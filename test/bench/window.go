package main

import (
	"sync"
	"sync/atomic"
)

// window bounds what one publisher has in flight: bytes of frames that are published and not yet
// received. It is the same for every broker, and keeps those that do not hold publishers back from
// cutting off their subscribers.
type window struct {
	limit  int64
	shared bool // receivers share the stream (a queue group) instead of each getting all of it

	received []atomic.Int64 // bytes, per receiver
	moved    chan struct{}  // holds a token when received has changed
	failed   chan struct{}  // closed when a receiver has failed

	once sync.Once
	err  error // valid after failed
}

// newWindow is for n receivers; with none, nothing ever waits.
func newWindow(limit int64, n int, shared bool) *window {
	return &window{
		limit: limit, shared: shared, received: make([]atomic.Int64, n),
		moved: make(chan struct{}, 1), failed: make(chan struct{}),
	}
}

// deliver says that receiver i got n bytes more.
func (w *window) deliver(i, n int) {
	w.received[i].Add(int64(n))
	select {
	case w.moved <- struct{}{}:
	default:
	}
}

// fail ends all waiting, now and later, with the first error it is given.
func (w *window) fail(err error) {
	w.once.Do(func() {
		w.err = err
		close(w.failed)
	})
}

// wait returns when of the published bytes at most the limit is in flight. A publisher that had to
// wait is let go at three quarters, so that it does not stop again at once.
func (w *window) wait(published int64) error {
	if len(w.received) == 0 || published-w.done() <= w.limit {
		return nil
	}
	return w.until(published - w.limit*3/4)
}

// drain returns when every published byte has been received.
func (w *window) drain(published int64) error {
	return w.until(published)
}

// until waits for at least n bytes to be received.
func (w *window) until(n int64) error {
	if len(w.received) == 0 {
		return nil
	}
	for w.done() < n {
		select {
		case <-w.moved:
		case <-w.failed:
			return w.err
		}
	}
	return nil
}

// done is how many bytes have been received: by all that share, or by the slowest of those that
// each get everything.
func (w *window) done() int64 {
	var sum, least int64
	for i := range w.received {
		n := w.received[i].Load()
		sum += n
		if i == 0 || n < least {
			least = n
		}
	}
	if w.shared {
		return sum
	}
	return least
}
