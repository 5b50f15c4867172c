package server

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gnatsd/server/internal/access"
)

// This file is what the connections of a user with limits have in common: how many there are, and
// what all of them together take of the server.

// userTable has the users with limits, by name.
type userTable struct {
	mu    sync.Mutex // guards what follows
	users map[string]*userUsage
	sweep int // users above which those that are not in use are removed
}

// userUsage is what the connections of one user take.
type userUsage struct {
	name string // set once

	// Atomic.
	subs     atomic.Int64
	paused   atomic.Int64 // readers that wait for the rates
	msgs     rate         // of publications
	bytes    rate         // of their payloads
	refusals logLimit     // of lines about connections that are too many

	// Guarded by userTable.mu.
	limits *access.Limits // of the connection that was bound last
	conns  map[*conn]bool
}

// limitedUser is what a connection of a user with limits is bound to. It does not change.
type limitedUser struct {
	limits *access.Limits
	usage  *userUsage
}

// dropsMessages reports whether the connection loses messages that do not fit into what it may have
// pending, rather than being closed.
func (c *conn) dropsMessages() bool {
	if _, service := c.ops.(*systemConn); service {
		return true
	}
	return c.limited.Load().slowConsumer() != access.Disconnect
}

// slowConsumer returns what happens to the connection if it does not read fast enough; u may be nil.
func (u *limitedUser) slowConsumer() access.SlowConsumer {
	if u == nil {
		return access.Disconnect
	}
	return u.limits.SlowConsumer
}

// sheds reports whether much is pending for a connection whose messages are dropped when that is too
// much.
func (c *conn) sheds() bool {
	return c.limited.Load().slowConsumer() != access.Disconnect && c.out.HalfFull()
}

// minUserSweep is the least number of users that are looked at for those not in use.
const minUserSweep = 1024

// enter adds a connection to a user. It reports false if there are as many already as there may be
// and admit is set.
func (t *userTable) enter(c *conn, id *access.Identity, admit bool) (u *userUsage, fits bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	u = t.users[id.Name]
	if u == nil {
		u = t.addLocked(id.Name)
	}
	count, most := len(u.conns), id.Limits.MaxConnections
	if u.conns[c] {
		count--
	}
	if admit && most > 0 && count >= most {
		return u, false
	}
	if was := u.limits; was != nil && (was.MaxMsgsPerSecond != id.Limits.MaxMsgsPerSecond || was.MaxBytesPerSecond != id.Limits.MaxBytesPerSecond) {
		u.msgs.at.Store(0) // it is in units of the old rate
		u.bytes.at.Store(0)
	}
	u.limits, u.conns[c] = id.Limits, true
	return u, true
}

// addLocked adds a user. Where there are many, as those of an embedding program may be, it removes
// those of which nothing is to be remembered.
func (t *userTable) addLocked(name string) *userUsage {
	if t.users == nil {
		t.users = map[string]*userUsage{}
	}
	if len(t.users) > max(t.sweep, minUserSweep) {
		maps.DeleteFunc(t.users, func(_ string, u *userUsage) bool { return len(u.conns) == 0 })
		t.sweep = 2 * len(t.users)
	}
	u := &userUsage{name: name, conns: map[*conn]bool{}}
	t.users[name] = u
	return u
}

// leave removes a connection from a user.
func (t *userTable) leave(c *conn, u *userUsage) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(u.conns, c)
}

// excess removes the connections that a user has above its limit, the newest, and returns them by
// user.
func (t *userTable) excess() map[*userUsage][]*conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := map[*userUsage][]*conn{}
	for _, u := range t.users {
		if most := u.limits.MaxConnections; most > 0 && len(u.conns) > most {
			conns := slices.SortedFunc(maps.Keys(u.conns), func(a, b *conn) int { return cmp.Compare(a.id, b.id) })
			for _, c := range conns[most:] {
				delete(u.conns, c)
			}
			list[u] = conns[most:]
		}
	}
	return list
}

// closeExcess disconnects the clients above the limits of their users.
func (s *Server) closeExcess() {
	for u, conns := range s.users.excess() {
		for _, c := range conns {
			c.logTooMany(u)
			c.close(closeUserConnections)
		}
		s.Noticef("Closed %d connections of user %q to fall within its max_connections", len(conns), u.name)
	}
}

// bindUserLocked moves the connection to the limits of id. It reports false, and moves nothing, if
// that user has too many connections already and admit is set.
func (c *conn) bindUserLocked(id *access.Identity, admit bool) (u *userUsage, fits bool) {
	was := c.limited.Load()
	if was == nil && (id == nil || id.Limits == nil) || c.subsDropped {
		return nil, true
	}
	var now *limitedUser
	if id != nil && id.Limits != nil {
		if u, fits = c.srv.users.enter(c, id, admit); !fits {
			return u, false
		}
		now = &limitedUser{id.Limits, u}
	}
	if was != nil && was.usage != u {
		was.usage.subs.Add(-int64(c.subs.len()))
		c.srv.users.leave(c, was.usage)
	}
	if now != nil && (was == nil || was.usage != u) {
		u.subs.Add(int64(c.subs.len()))
	}
	c.limited.Store(now)
	return u, true
}

// leaveUser is called when a client has ended, and its subscriptions.
func (c *conn) leaveUser() {
	if u := c.limited.Load(); u != nil {
		c.srv.users.leave(c, u.usage)
	}
}

// takeSubLocked counts a subscription that is about to be added. It reports false if the user has
// too many.
func (c *conn) takeSubLocked() bool {
	u := c.limited.Load()
	if u == nil {
		return true
	}
	if n, most := u.usage.subs.Add(1), u.limits.MaxSubscriptions; most > 0 && n > int64(most) {
		u.usage.subs.Add(-1)
		return false
	}
	return true
}

// giveSubsLocked counts n subscriptions as ended.
func (c *conn) giveSubsLocked(n int) {
	if u := c.limited.Load(); u != nil {
		u.usage.subs.Add(-int64(n))
	}
}

// subsFull reports whether the user of the connection has as many subscriptions as it may.
func (c *conn) subsFull() bool {
	u := c.limited.Load()
	return u != nil && u.limits.MaxSubscriptions > 0 && u.usage.subs.Load() >= int64(u.limits.MaxSubscriptions)
}

// maxPayload returns how large a message may be that a client publishes, negative without a limit.
func (c *conn) maxPayload(o *Options) int {
	u := c.limited.Load()
	if u == nil || u.limits.MaxPayload <= 0 {
		return o.MaxPayload
	}
	if o.MaxPayload < 0 {
		return u.limits.MaxPayload
	}
	return min(u.limits.MaxPayload, o.MaxPayload)
}

// logTooMany logs that a user has too many connections.
func (c *conn) logTooMany(u *userUsage) {
	if !u.refusals.admit(time.Since(c.srv.start)) {
		return
	}
	u.refusals.reportLeftOut(c.srv.Warnf, "Left out %d log lines about connections of user %q", u.name)
	c.errorf("maximum connections exceeded - User %q", printable([]byte(u.name)))
}
