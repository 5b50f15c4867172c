package server

import (
	"strconv"
	"strings"
	"time"

	"gnatsd/server/internal/netio"
	"gnatsd/server/internal/tlsfiles"
)

// This file is what /connz and the memory of closed clients keep of one client.

// connRow is what is copied of a client to sort and to show it.
type connRow struct {
	c            *client // nil for one that is gone
	cid          uint64
	host         string
	port         int
	start        time.Time
	active       time.Time
	stop         time.Time // zero while it is connected
	reason       closeReason
	rtt          time.Duration // 0 = unknown
	inMsgs       int64
	inBytes      int64
	out          netio.Stats
	subs         int
	name         string
	lang         string
	version      string
	user         string
	tlsVersion   uint16
	tlsCipher    uint16
	subscription []SubDetail // if asked for
}

// row copies a client. It takes its two locks one after the other, each for a
// few fields.
func (c *client) row() *connRow {
	r := &connRow{
		c: c, cid: c.id, start: time.Unix(0, c.start),
		inMsgs: c.inMsgs.Load(), inBytes: c.inBytes.Load(),
		out: c.out.Stats(), active: c.lastActivity(),
	}
	r.host, r.port = c.peer()
	c.mu.Lock()
	defer c.mu.Unlock()
	r.subs, r.rtt = len(c.subs), c.ping.rtt
	r.tlsVersion, r.tlsCipher = c.tlsVersion, c.tlsCipher
	r.name, r.lang, r.version, r.user = c.opts.Name, c.opts.Lang, c.opts.Version, c.userLocked()
	return r
}

// recordClosed remembers the client, which has ended for reason, and the subscriptions it had.
func (c *client) recordClosed(reason closeReason, had map[string]*subscription) {
	row := c.row()
	row.c, row.stop, row.reason, row.subs = nil, time.Now(), reason, len(had)
	if lag := c.slowStats.Load(); lag != nil && reason.ofSlowConsumer() {
		row.out = *lag
	}
	rec := &closedConn{row: *row}
	if len(had) <= maxClosedSubjects {
		rec.subs = details(had)
	}
	c.srv.closed.file(rec)
}

// idle is how long ago the client did something that matters.
func (r *connRow) idle(now time.Time) time.Duration {
	if !r.stop.IsZero() {
		now = r.stop
	}
	return now.Sub(r.active)
}

// uptime is how long the client has been, or was, connected.
func (r *connRow) uptime(now time.Time) time.Duration {
	if !r.stop.IsZero() {
		now = r.stop
	}
	return now.Sub(r.start)
}

// contains reports whether text, in lower case, is in one of the fields that
// identify a client.
func (r *connRow) contains(text string) bool {
	for _, field := range []string{r.name, r.host + ":" + strconv.Itoa(r.port), strconv.FormatUint(r.cid, 10), r.user, r.lang, r.version} {
		if strings.Contains(strings.ToLower(field), text) {
			return true
		}
	}
	return false
}

// endedFor reports whether the client is gone for a reason that begins like
// this, in any case.
func (r *connRow) endedFor(reason string) bool {
	name := r.reason.String()
	return !r.stop.IsZero() && len(name) >= len(reason) && strings.EqualFold(name[:len(reason)], reason)
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
		Name:    r.name, Lang: r.lang, Version: r.version,
	}
	if r.out.Pending > 0 {
		i.PendingSubject, i.PendingFor = r.out.Subject, r.out.Lag.Round(time.Millisecond).String()
	}
	if !r.stop.IsZero() {
		stop := r.stop.UTC()
		i.Stop, i.Reason = &stop, r.reason.String()
	}
	if r.tlsVersion != 0 {
		i.TLSVersion, i.TLSCipher = tlsfiles.VersionName(r.tlsVersion), tlsfiles.CipherName(r.tlsCipher)
	}
	if opts.Username {
		i.AuthorizedUser = r.user
	}
	switch {
	case opts.SubscriptionsDetail:
		i.SubsDetail = r.subscription
	case opts.Subscriptions:
		for _, sub := range r.subscription {
			i.Subs = append(i.Subs, sub.Subject)
		}
	}
	return i
}
