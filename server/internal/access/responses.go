package access

import (
	"cmp"
	"sync"
	"time"

	"gnatsd/server/internal/linked"
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
// nats-server. The memory is shared by the connections that asked: when it is full, the one that
// takes most of it loses its oldest, so that no other loses an answer. The zero value is ready.
type Replies struct {
	mu         sync.Mutex
	grants     map[string]*grant
	order      linked.List[grant] // all of them, oldest first
	requesters map[uint64]*requester
	bySize     requestersBySize
	size       int // bytes held
}

// grant is what is allowed for one reply subject.
type grant struct {
	subject string
	left    int       // publications; negative = unlimited
	until   time.Time // zero = unlimited
	by      *requester
	place   linked.Node[grant] // among all
	own     linked.Node[grant] // among those of its requester
}

const (
	// maxReplies bounds the bytes that the replies of a peer take, some 20 000 of the usual
	// length: of more that are not answered, some are forgotten.
	maxReplies = 4 << 20
	// grantSize is what a grant takes besides its subject: itself, and its place in the map.
	grantSize = 184
)

// Grant notes that the peer is about to receive a message with this reply from the connection with
// an id, which is that of a route for what comes from another server. It keeps a copy.
func (r *Replies) Grant(reply []byte, from uint64, allowed *Response, now time.Time) {
	until := time.Time{}
	if allowed.Expires > 0 {
		until = now.Add(allowed.Expires)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.grants == nil {
		r.grants, r.requesters = make(map[string]*grant), make(map[uint64]*requester)
	}
	g := r.grants[string(reply)]
	if g == nil {
		g = &grant{subject: string(reply)}
		r.grants[g.subject] = g
	} else {
		r.removeLocked(g) // it is the latest now, and of another one perhaps
	}
	g.left, g.until = allowed.MaxMsgs, until
	r.addLocked(g, from)
	for r.order.Head().expired(now) { // at the latest, g is not
		r.forgetLocked(r.order.Head())
	}
	for r.size > maxReplies {
		r.forgetLocked(r.bySize.most().grants.Head())
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
	r.removeLocked(g)
	delete(r.grants, g.subject)
}

// size returns the bytes that a grant takes.
func (g *grant) size() int { return len(g.subject) + grantSize }

// expired reports whether the time of a grant is over.
func (g *grant) expired(now time.Time) bool { return !g.until.IsZero() && now.After(g.until) }
