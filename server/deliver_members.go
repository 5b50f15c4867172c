package server

// memberCache keeps the queue subscriptions that routed messages named most
// recently, by the ids they were named with. It is forgotten whenever a batch
// is pushed, so who unsubscribes waits for what it holds like for every match
// (deliver_grace.go).
type memberCache struct {
	rows [maxMembers]memberRow
	used int
	next int // row to replace when all are used
}

type memberRow struct {
	id  [maxMemberID]byte
	n   int // bytes of id
	sub *subscription
}

const (
	maxMembers  = 16
	maxMemberID = 40 // bytes; longer ids are looked up every time
)

// find returns what an id named before, nil if that is not known any more.
func (c *memberCache) find(id []byte) *subscription {
	for i := range c.rows[:c.used] {
		if r := &c.rows[i]; r.n == len(id) && string(r.id[:r.n]) == string(id) {
			return r.sub
		}
	}
	return nil
}

// add notes what an id names.
func (c *memberCache) add(id []byte, sub *subscription) {
	if len(id) > maxMemberID {
		return
	}
	i := c.next
	if c.used < maxMembers {
		i = c.used
		c.used++
	} else {
		c.next = (c.next + 1) % maxMembers
	}
	r := &c.rows[i]
	r.n, r.sub = copy(r.id[:], id), sub
}

// clear forgets everything.
func (c *memberCache) clear() {
	for i := range c.rows[:c.used] {
		c.rows[i].sub = nil
	}
	c.used, c.next = 0, 0
}
