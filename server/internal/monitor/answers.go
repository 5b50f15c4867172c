package monitor

import (
	"context"
	"slices"
	"sync"
	"time"
)

// answers bounds the bytes of large pages that are made and not written yet. A page begins only
// when there is room for it; where there is none, the answer that was begun first is given up, if
// its client has had some time to read it. Pages are made one at a time, so all together never have
// more than max and one page.
type answers struct {
	// Set once.
	max   int64         // how many bytes may be held when another page begins
	page  int64         // how many one page may have
	time  time.Duration // for how long a client may read an answer when others wait for room
	stall time.Duration // for how long it may read nothing of it then

	mu    sync.Mutex // guards what follows
	bytes int64
	list  []*answer     // oldest first
	freed chan struct{} // closed at the next end of an answer, if something waits for it
}

// answer is a large page that is being made or written.
type answer struct {
	all *answers // set once

	// Guarded by mu of answers.
	bytes int64
	begun time.Time // when it was made
	conn  *webConn  // nil where another program's port serves it
}

// The limits of the answers of all ports.
const (
	maxAnswers  = 64 << 20
	maxPage     = 192 << 20
	minPage     = 1 << 20
	answerTime  = 5 * time.Second
	answerStall = time.Second
)

// await waits until there is room for another page. It gives up old answers for that. The error is
// that of ctx.
func (a *answers) await(ctx context.Context) error {
	for {
		old, wait, freed := a.full(time.Now())
		if freed == nil {
			return nil
		}
		if old != nil {
			old.evict()
		}
		timer := time.NewTimer(max(wait, time.Millisecond)) // the client that was cut off ends at once
		select {
		case <-freed:
			timer.Stop()
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// full returns nil for freed if there is room. If not, it returns what is closed at the end of an
// answer, the connection of the answer that is to be given up if it is time for that, and how long
// it is until it is time for the next.
func (a *answers) full(now time.Time) (old *webConn, wait time.Duration, freed <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.bytes < a.max {
		return nil, 0, nil
	}
	if a.freed == nil {
		a.freed = make(chan struct{})
	}
	wait = a.time
	for _, one := range a.list {
		if one.conn == nil {
			continue
		}
		left := a.left(one, now)
		if left <= 0 && old == nil {
			old, one.conn = one.conn, nil
			continue
		}
		wait = min(wait, max(left, 0))
	}
	return old, wait, a.freed
}

// left returns how much longer the client may read the answer when others wait for room.
func (a *answers) left(one *answer, now time.Time) time.Duration {
	moved := one.begun
	if last := one.conn.moved.Load(); last != nil && last.After(moved) {
		moved = *last
	}
	return min(a.time-now.Sub(one.begun), a.stall-now.Sub(moved))
}

// begin adds an answer that has nothing yet.
func (a *answers) begin(conn *webConn) *answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	one := &answer{all: a, begun: time.Now(), conn: conn}
	a.list = append(a.list, one)
	return one
}

// grow says that n more bytes are about to be held. The error says that the page is too large.
func (one *answer) grow(n int64) error {
	a := one.all
	a.mu.Lock()
	defer a.mu.Unlock()
	if one.bytes+n > a.page {
		return tooLarge(a.page)
	}
	one.bytes += n
	a.bytes += n
	return nil
}

// made says that the answer is complete: its client may read it.
func (one *answer) made() {
	one.all.mu.Lock()
	defer one.all.mu.Unlock()
	one.begun = time.Now()
}

// end removes an answer that was written, or not.
func (a *answers) end(one *answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bytes -= one.bytes
	a.list = slices.DeleteFunc(a.list, func(other *answer) bool { return other == one })
	if a.freed != nil {
		close(a.freed)
		a.freed = nil
	}
}
