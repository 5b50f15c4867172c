package server

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"gnatsd/server/internal/monitor"
	"gnatsd/server/internal/netio"
	"gnatsd/server/internal/tlsfiles"
	"gnatsd/sublist"
)

// connRow is a copy of the fields of a client that /connz and records of closed clients need.
type connRow struct {
	c          *client // nil for a closed one
	cid        uint64
	host       string
	port       int
	start      time.Time
	active     time.Time
	stop       time.Time // zero while it is connected
	reason     closeReason
	rtt        time.Duration // 0 = unknown
	inMsgs     int64
	inBytes    int64
	out        netio.Stats
	subs       int
	name       string
	lang       string
	version    string
	user       string
	account    string // "" where there is no system account
	tlsVersion uint16
	tlsCipher  uint16
	closedSubs []subRecord // of the record of a closed client
	rates      *ConnRates  // nil unless they are asked for, and known
}

// row returns the row of a client. It locks first the write queue, then the connection, each for a
// few fields.
func (c *client) row() *connRow {
	r := &connRow{
		c: c, cid: c.id, start: time.Unix(0, c.start),
		inMsgs: c.inMsgs.Load(), inBytes: c.inBytes.Load(),
		out: c.out.Stats(), active: c.lastActivity(),
	}
	r.host, r.port = c.peer()
	if c.srv.system != nil {
		r.account = c.account()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r.subs, r.rtt = c.subs.len(), c.ping.rtt
	r.tlsVersion, r.tlsCipher = c.tlsVersion, c.tlsCipher
	r.name, r.lang, r.version, r.user = c.opts.Name, c.opts.Lang, c.opts.Version, c.userLocked()
	return r
}

// lastRow returns the row of a client that ends: one that could not log in is whom it said to be. Only
// its reader calls it.
func (c *client) lastRow() *connRow {
	r := c.row()
	if o := c.refused; o != nil {
		r.user, r.name, r.lang, r.version = o.userName(), o.Name, o.Lang, o.Version
	}
	return r
}

// recordClosed adds the client, which was closed for reason, and the subscriptions that it had to
// the records of closed connections.
func (c *client) recordClosed(reason closeReason, subs *subscriptions) {
	row := c.lastRow()
	row.c, row.stop, row.reason, row.subs = nil, time.Now(), reason, subs.len()
	if stats := c.slowStats.Load(); stats != nil && reason.ofSlowConsumer() {
		row.out = *stats
	}
	rec := &closedConn{row: *row}
	if bytes := listSize(subs); bytes <= maxClosedListBytes && bytes > 0 {
		rec.subs, rec.listBytes = make([]subRecord, 0, subs.len()), bytes
		for sub := range subs.all {
			rec.subs = append(rec.subs, sub.record())
		}
	}
	c.srv.closed.add(rec)
}

// idle returns how long the client has been idle at now, or was when it closed.
func (r *connRow) idle(now time.Time) time.Duration {
	if !r.stop.IsZero() {
		now = r.stop
	}
	return now.Sub(r.active)
}

// uptime returns how long the client has been connected at now, or was when it closed.
func (r *connRow) uptime(now time.Time) time.Duration {
	if !r.stop.IsZero() {
		now = r.stop
	}
	return now.Sub(r.start)
}

// contains reports whether one of the fields that identify a client contains text, in any case.
// text is in lower case.
func (r *connRow) contains(text string) bool {
	for _, field := range []string{r.name, r.host + ":" + strconv.Itoa(r.port), strconv.FormatUint(r.cid, 10), r.user, r.lang, r.version} {
		if strings.Contains(strings.ToLower(field), text) {
			return true
		}
	}
	return false
}

// interested returns the rows of clients with a subscription that has subjects in common with a
// pattern. The subscriptions of a large client are looked for in the routing tables, as
// subsOf does.
func (s *Server) interested(rows []*connRow, pattern string) []*connRow {
	large := map[*conn]bool{} // whether it has one
	var y monitor.Yielder
	rows = slices.DeleteFunc(rows, func(r *connRow) bool {
		y.Step()
		if r.c == nil {
			return !slices.ContainsFunc(r.closedSubs, func(n subRecord) bool { return sublist.Overlap(n.text.subject(), pattern) })
		}
		found, known := r.c.hasInterest(pattern)
		if !known {
			large[&r.c.conn] = false
		}
		return known && !found
	})
	if len(large) == 0 {
		return rows
	}
	s.allSubs(func(e sublist.Entry[*subscription]) bool {
		if found, ok := large[e.Value.conn]; ok && !found && sublist.Overlap(e.Value.subject(), pattern) {
			large[e.Value.conn] = true
		}
		return true
	})
	return slices.DeleteFunc(rows, func(r *connRow) bool {
		if r.c == nil {
			return false
		}
		found, ok := large[&r.c.conn]
		return ok && !found
	})
}

// hasInterest reports whether the client has a subscription that has subjects in common with a
// pattern; known is false if there are too many to be looked at under its lock.
func (c *client) hasInterest(pattern string) (found, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.subs.len() > maxSubsCopy {
		return false, false
	}
	for sub := range c.subs.all {
		if sublist.Overlap(sub.subject(), pattern) {
			return true, true
		}
	}
	return false, true
}

// closedFor reports whether the client was closed for a reason with a prefix, in any case.
func (r *connRow) closedFor(prefix string) bool {
	name := r.reason.String()
	return !r.stop.IsZero() && len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix)
}

// info returns the row as the page shows it.
func (r *connRow) info(now time.Time, opts *ConnzOptions) *ConnInfo {
	i := &ConnInfo{
		Cid: r.cid, IP: r.host, Port: r.port, Kind: "Client", Type: "nats",
		Start: r.start.UTC(), LastActivity: r.active.UTC(),
		RTT:    rttText(r.rtt),
		Uptime: spanText(r.uptime(now)), Idle: spanText(r.idle(now)),
		Pending: int(r.out.Pending),
		InMsgs:  r.inMsgs, InBytes: r.inBytes, OutMsgs: r.out.Messages, OutBytes: r.out.Payload,
		NumSubs: uint32(r.subs),
		Name:    r.name, Lang: r.lang, Version: r.version, Rates: r.rates,
	}
	if r.out.Pending > 0 {
		i.PendingSubject, i.PendingFor = r.out.Subject, r.out.Lag.Round(time.Millisecond).String()
	}
	i.DroppedMsgs, i.DroppedBytes = r.out.Lost.Messages, r.out.Lost.Payload
	if !r.stop.IsZero() {
		stop := r.stop.UTC()
		i.Stop, i.Reason = &stop, r.reason.String()
	}
	if r.tlsVersion != 0 {
		i.TLSVersion, i.TLSCipher = tlsfiles.VersionName(r.tlsVersion), tlsfiles.CipherName(r.tlsCipher)
	}
	if opts.Username {
		i.AuthorizedUser, i.Account = r.user, r.account
	}
	return i
}
