package server

// A publisher mostly sends one message after another on the same subject with the
// same size. Such a run of operations is framed together, and where nobody or a
// single plain subscription of a client receives it, matched, judged and counted
// once for all. Everything else goes the way of single operations, one after the
// other.

// maxRun bounds the operations of a run.
const maxRun = 512

// stride is how many bytes one operation of a run takes.
func (o *op) stride() int { return len(o.line) + len(o.payload) }

// extend looks for operations in buf that follow o, which is at its start, and
// repeat its line. It returns how many bytes all take together.
func (o *op) extend(buf []byte) int {
	n, k := o.stride(), len(o.line)
	end := n
	for o.more = 0; o.more < maxRun && len(buf)-end >= n; o.more++ {
		next := buf[end : end+n]
		if string(next[:k]) != string(o.line) || next[n-2] != '\r' || next[n-1] != '\n' {
			break
		}
		if o.header > 0 && !isHeader(next[k:k+o.header]) {
			break
		}
		end += n
	}
	return end
}

// payloadAt is the payload, with its CRLF, of operation i of a run.
func (o *op) payloadAt(i int) []byte {
	at := i * o.stride()
	return o.payload[at : at+len(o.payload) : cap(o.payload)]
}

// pubRun publishes what follows the first operation of a run.
func (c *client) pubRun(o *op, st *stage) closeReason {
	same := true
	for i := 1; i <= o.more; {
		n := 0
		if same {
			n = c.pubSame(o, i, st)
		}
		if same = n > 0; same {
			i += n
			continue
		}
		st.msg.payload = o.payloadAt(i)
		if r := c.pubMessage(o.size, true, st); r != keepOpen {
			return r
		}
		i++
	}
	return keepOpen
}

// pubSame publishes operations of a run from number i on, as many as can be dealt
// with together. It returns how many; 0 if the next one needs a closer look.
func (c *client) pubSame(o *op, i int, st *stage) (n int) {
	m := &st.msg
	if c.verbose || c.pedantic || st.tracing || m.size >= refPayload || int64(m.size) > st.maxPending {
		return 0
	}
	if !c.mayPublish(m.subject, true).allowed() {
		return 0
	}
	st.enter()
	res := c.match(m.subject)
	switch {
	case len(res.Queues) > 0 || len(res.Plain) > 1:
	case len(res.Plain) == 1:
		n = c.pubToOne(res.Plain[0], o, i, st)
	case len(m.reply) == 0 || !c.opts.NoResponders:
		n = o.more + 1 - i
	}
	if n > 0 {
		c.cursor.Repeat(n)
		st.inMsgs += int64(n)
		st.inBytes += int64(n) * int64(o.size)
		st.staged(m)
	}
	return n
}

// pubToOne stages operations of a run from number i on for a subscription, if that is
// of a client and has no limit. It returns how many.
func (c *client) pubToOne(sub *subscription, o *op, i int, st *stage) (n int) {
	m := &st.msg
	if sub.conn.role != roleClient || sub.limit.Load() != 0 || sub.conn == &c.conn && c.noEcho {
		return 0
	}
	if f := sub.filter.Load(); f != nil && f.blocks(m.subject) {
		return 0
	}
	n = max(1, min(o.more+1-i, (st.limit-st.encoded)/frameLen(m, sub.sid)))
	n = sub.countRun(n)
	for k := range n {
		m.payload = o.payloadAt(i + k)
		st.toOne(sub, m)
	}
	return n
}

// countRun takes n deliveries like n calls of count, and returns how many of them
// the subscription may receive: less than n if it has got a limit meanwhile.
func (s *subscription) countRun(n int) int {
	total := s.delivered.Add(int64(n))
	limit := s.limit.Load()
	before := total - int64(n)
	if limit == 0 || total < limit {
		return n
	}
	if before < limit { // the last one is among them
		s.conn.expire(s)
	}
	return int(max(0, limit-before))
}
