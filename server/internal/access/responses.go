package access

import (
	"cmp"
	"sync"
	"time"
)

// Response allows a peer to publish to the reply subjects of messages that it received.
type Response struct {
	MaxMsgs int           // publications for a message received; 0 = 1, negative = unlimited
	Expires time.Duration // how long after it; 0 = 2 minutes, negative = unlimited
}

// Defaults of a [Response], those of nats-server.
const (
	defaultResponses  = 1
	defaultExpiration = 2 * time.Minute
)

// filled returns r with defaults for what is 0, nil for nil.
func (r *Response) filled() *Response {
	if r == nil {
		return nil
	}
	return &Response{cmp.Or(r.MaxMsgs, defaultResponses), cmp.Or(r.Expires, defaultExpiration)}
}

// Replies are the subjects that a peer may publish to because it received messages with them as
// reply. What is allowed for one message ends with the next one of the same reply, as in
// nats-server. The zero value is ready.
type Replies struct {
	mu     sync.Mutex
	grants map[string]*grant
	// The grants in the order in which they were given, a ring without beginning: oldest is
	// next of last.
	last grant
	size int // bytes held
}

// grant is what is allowed for one reply subject. It is in the ring of its [Replies].
type grant struct {
	subject    string
	left       int       // publications; negative = unlimited
	until      time.Time // zero = unlimited
	prev, next *grant
}

const (
	// maxReplies bounds the bytes that the replies of a peer take, some 25 000 of the usual
	// length: of more that are not answered, the oldest are forgotten.
	maxReplies = 4 << 20
	// grantSize is what a grant takes besides its subject: itself, and its place in the map.
	grantSize = 136
)

// Grant notes that the peer is about to receive a message with this reply. It keeps a copy.
func (r *Replies) Grant(reply []byte, allowed *Response, now time.Time) {
	until := time.Time{}
	if allowed.Expires > 0 {
		until = now.Add(allowed.Expires)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.grants == nil {
		r.grants = make(map[string]*grant)
		r.last.prev, r.last.next = &r.last, &r.last
	}
	g := r.grants[string(reply)]
	if g == nil {
		g = &grant{subject: string(reply)}
		r.grants[g.subject] = g
		r.size += len(reply) + grantSize
	} else {
		g.unlink()
	}
	g.left, g.until = allowed.MaxMsgs, until
	g.prev, g.next = r.last.prev, &r.last
	g.prev.next, r.last.prev = g, g
	for r.size > maxReplies || r.last.next.expired(now) {
		r.forgetLocked(r.last.next)
	}
}

// Take returns how many of n publications to subject are allowed, and counts them.
func (r *Replies) Take(subject []byte, n int, now time.Time) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.grants[string(subject)]
	switch {
	case g == nil:
		return 0
	case g.expired(now):
		r.forgetLocked(g)
		return 0
	case g.left < 0:
		return n
	}
	n = min(n, g.left)
	if g.left -= n; g.left == 0 {
		r.forgetLocked(g)
	}
	return n
}

// forgetLocked ends a grant.
func (r *Replies) forgetLocked(g *grant) {
	g.unlink()
	delete(r.grants, g.subject)
	r.size -= len(g.subject) + grantSize
}

// unlink takes a grant out of the ring.
func (g *grant) unlink() {
	g.prev.next, g.next.prev = g.next, g.prev
}

// expired reports whether the time of a grant is over. That of the ring itself never is.
func (g *grant) expired(now time.Time) bool { return !g.until.IsZero() && now.After(g.until) }
