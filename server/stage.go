package server

import "time"

// stage is what the reader of one connection keeps for the batch it is
// working on: for every connection that is to receive something, the bytes
// that go there. Nothing here is locked, and nothing is counted in shared
// memory, until the batch ends and flush pushes to each target once.
//
// A stage is borrowed from the server's pool for one batch.
type stage struct {
	srv  *Server
	from *conn // whose reader works on the batch

	// targets is a sparse set: sparse[slot] is the index of the target whose
	// connection has that slot, if targets[index] really is that connection.
	targets []target
	sparse  []uint32

	streams [maxStreams]stream
	recent  int // the stream used last
	next    int // the stream to replace next

	encoded int // bytes copied into chunks since the last flush
	limit   int // flush above it

	maxPending int64 // of clients

	inMsgs      int64 // counted locally, added once per batch
	inBytes     int64
	mark        uint64 // number of the message being delivered
	sids        int    // streams that the message being delivered has begun
	tracing     bool
	preferLocal bool  // queue members of this server come first
	now         int64 // UnixNano of the last flush, 0 if there was none
	born        int64 // UnixNano of the moment the batch was read, 0 unless it is a sample
	sampler     sampler

	op      op
	msg     message // of op, if it is a publication
	bare    message // msg without its headers, for who does not take them
	lines   uint64  // control lines of publications, counted twice each (see message.line)
	limits  frameLimits
	lagging []*outbound
	relief  chan bool
	inside  graceKey // what was matched and is not pushed
	members memberCache
}

// target is one connection that receives something in this batch.
type target struct {
	c       *conn
	segs    []seg
	own     *chunk // last chunk that only this target uses
	bytes   int    // in segs
	over    bool   // one message alone is more than may be pending
	msgs    int64
	payload int64
	late    bool   // it must wait for the interest of the publisher
	mark    uint64 // message that was staged last (routes take one copy)
	subject []byte // of a recent message
	born    int64  // UnixNano of the moment the batch was read, 0 = not measured

	// The head encoded last into own, to be copied for a message of the same line.
	headSub  *subscription
	headLine uint64
	from, to int
}

// stageBytes bounds what a batch may encode before it is pushed.
const stageBytes = 1 << 20

// begin prepares for a batch of c.
func (st *stage) begin(c *conn) {
	st.from = c
	opts := c.srv.options()
	st.limit = int(min(stageBytes, max(opts.MaxPending/2, 1)))
	st.maxPending = opts.MaxPending
	st.limits = frameLimits{role: c.role, line: opts.MaxControlLine, payload: opts.MaxPayload}
	if c.role == roleRoute && !c.locked { // before the login a route may cost no more than a client
		st.limits = routeFrameLimits(opts)
	}
	st.preferLocal = opts.Cluster.PreferLocal
	st.tracing = c.srv.log.tracing()
	st.arrival()
}

// enter precedes the choice of subscriptions: from here to the flush, those who
// unsubscribe wait for the batch before they answer a PING.
func (st *stage) enter() {
	if st.inside.shard == nil {
		st.inside = st.srv.grace.enter(st.from.slot)
	}
}

// leave says that everything that was staged is pushed, to other clients at least.
func (st *stage) leave() {
	if st.inside.shard != nil {
		st.srv.grace.leave(st.inside)
		st.inside = graceKey{}
		st.members.clear()
	}
}

// target returns the entry of c, adding it if need be. It is valid until the
// next call.
func (st *stage) target(c *conn) *target {
	slot := c.slot
	if int(slot) >= len(st.sparse) {
		st.sparse = append(st.sparse, make([]uint32, int(slot)+1-len(st.sparse))...)
	}
	i := st.sparse[slot]
	if int(i) < len(st.targets) && st.targets[i].c == c {
		return &st.targets[i]
	}
	return st.addTarget(c)
}

func (st *stage) addTarget(c *conn) *target {
	n := len(st.targets)
	if n < cap(st.targets) {
		st.targets = st.targets[:n+1]
	} else {
		st.targets = append(st.targets, target{})
	}
	st.sparse[c.slot] = uint32(n)
	t := &st.targets[n]
	t.c = c
	return t
}

// reply stages text for the connection that the batch was read from.
func (st *stage) reply(text string) {
	t := st.target(st.from)
	ck := t.room(len(text))
	ck.b = append(ck.b, text...)
	t.grown(ck, len(text))
	st.encoded += len(text)
}

// flush pushes what is staged: to all others first and to the reader's own
// connection last, so that a PONG comes after everything that was published
// before its PING was handed on.
func (st *stage) flush() {
	st.srv.cluster.pushInterest()
	if len(st.targets) == 0 {
		st.leave()
		return
	}
	for i := range st.streams {
		s := &st.streams[i]
		if s.ck != nil {
			s.ck.release()
		}
		*s = stream{}
	}
	st.now = time.Now().UnixNano()
	st.measured()
	var own *target
	var msgs, bytes int64
	reached := 0
	for i := range st.targets {
		t := &st.targets[i]
		msgs += t.msgs
		bytes += t.payload
		if t.c == st.from {
			own = t
			continue
		}
		reached++
		if t.late = st.overtakes(t); !t.late {
			st.push(t)
		}
	}
	st.leave() // what is left is for routes and for who reads here: no grace waits for that
	st.pushLate()
	if own != nil {
		if own.msgs > 0 {
			reached++
		}
		st.push(own)
	}
	st.srv.counters.out(msgs, bytes)
	for i := range st.targets {
		t := &st.targets[i]
		*t = target{segs: t.segs[:0]}
	}
	st.targets = st.targets[:0]
	st.encoded = 0
	if reached > 0 && len(st.lagging) == reached && st.from.role == roleClient {
		st.hold()
	}
	st.lagging = st.lagging[:0]
}

// push hands one target its batch.
func (st *stage) push(t *target) {
	if len(t.segs) == 0 {
		return
	}
	if t.msgs > 0 {
		t.c.lastActive.Store(st.now)
	}
	if t.c.out.push(t) && t.msgs > 0 {
		st.lagging = append(st.lagging, &t.c.out)
	}
	clear(t.segs) // push took the references over
}

// end adds up the batch.
func (st *stage) end() {
	st.flush()
	if st.inMsgs > 0 {
		if st.now == 0 { // nothing was flushed
			st.now = time.Now().UnixNano()
		}
		st.from.counted(st.inMsgs, st.inBytes, st.now)
		st.inMsgs, st.inBytes = 0, 0
	}
	st.from, st.now = nil, 0
	st.op, st.msg, st.bare = op{}, message{}, message{}
}
