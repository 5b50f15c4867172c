package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"gnatsd/server/internal/access"
	"gnatsd/server/internal/system"
)

// This file does what operators ask the server for over the system account.

// mayAsk decides whether the client may send a publication that is for the server itself, and that
// d refuses as any other: a server without the service does nothing itself.
func (c *client) mayAsk(subject []byte, d access.Decision) access.Decision {
	if c.srv.system.service() == nil {
		return d
	}
	return c.permissions.Load().CanAsk(subject)
}

// askSystem handles a publication that is for the server itself: a request of any user for what it
// is, or one for an action.
func (c *client) askSystem(subject, reply []byte, o *op, b *batch) {
	service := c.srv.system.service()
	if access.IsAction(subject) {
		if !(&systemView{c.srv}).Wanted(string(subject)) { // there is no such server
			c.unheard(subject, reply, o.count, o.size, b, nil)
			reply = nil
		}
		b.flush()
		c.awaitInterestSent()
	}
	var own []byte // the answer to what a user asks
	for i := range o.count {
		if c.verbose {
			c.ok(b)
		}
		if access.IsAction(subject) {
			at := uint32(i * o.length())
			body := b.bytesAt(b.offset(o.payload)+at, uint32(o.size))
			service.Ask(string(subject), string(reply), c.asker(), body[o.header:])
			continue
		}
		if len(reply) > 0 {
			if own == nil {
				own = service.Response(c.userInfo())
			}
			b.answer(reply, 0, own)
			b.steps += len(own)
			b.flushIfDue(nil)
		}
	}
}

// interestTime bounds the wait of awaitInterestSent.
const interestTime = time.Second

// awaitInterestSent waits until other servers have been sent what the client has subscribed to. The
// service sends the request, and the answer must not come before the interest in it.
func (c *client) awaitInterestSent() {
	end := time.NewTimer(interestTime)
	defer end.Stop()
	for _, r := range c.srv.cluster.active() {
		for {
			next := r.interest.next() // first, so that no progress is missed
			if next == nil || !r.interest.has(&c.conn) {
				break
			}
			select {
			case <-next:
			case <-end.C:
				return
			}
		}
	}
}

// asker returns who the client is, for the log of the server that it asks.
func (c *client) asker() string {
	host, port := c.peer()
	return fmt.Sprintf("user %q (%s, cid %d of server %q)", printable([]byte(c.user())), net.JoinHostPort(host, strconv.Itoa(port)), c.id, c.srv.Name())
}

// userInfo is what a user is told about itself.
type userInfo struct {
	User        string           `json:"user"`
	Account     string           `json:"account"`
	Permissions *userPermissions `json:"permissions,omitempty"`
	AccountName string           `json:"account_name"`
}

// userPermissions are permissions as nats-server names their parts.
type userPermissions struct {
	Publish   *SubjectPermission  `json:"publish,omitempty"`
	Subscribe *SubjectPermission  `json:"subscribe,omitempty"`
	Response  *ResponsePermission `json:"responses,omitempty"`
}

// userInfo returns the answer to a request on [access.UserInfo].
func (c *client) userInfo() *userInfo {
	id := c.user()
	info := &userInfo{User: id, Account: c.account(), AccountName: c.account()}
	users, _, _ := c.srv.options().loginUsers()
	for _, u := range users {
		if p := u.Permissions; u.id() == id && p != nil {
			info.Permissions = &userPermissions{p.Publish, p.Subscribe, p.Response}
		}
	}
	return info
}

// selector says which clients an action is about.
type selector struct {
	CID    uint64 `json:"cid"`
	User   string `json:"user"`
	Name   string `json:"name"`
	Host   string `json:"ip"`     // address, with or without the port
	Server bool   `json:"server"` // of LDM: the whole server
}

func (s *selector) empty() bool { return s.CID == 0 && s.User == "" && s.Name == "" && s.Host == "" }

// matches reports whether the action is about a client.
func (s *selector) matches(r *connRow) bool {
	addr := net.JoinHostPort(r.host, strconv.Itoa(r.port))
	return (s.CID == 0 || s.CID == r.cid) && (s.User == "" || s.User == r.user) && (s.Name == "" || s.Name == r.name) &&
		(s.Host == "" || s.Host == r.host || s.Host == addr)
}

// selected returns the clients that an action is about.
func (s *Server) selected(o *selector) (list []*client) {
	for _, c := range s.clients.all() {
		if o.matches(c.row()) {
			list = append(list, c)
		}
	}
	return list
}

// errNoneSelected is the error of nats-server for a client that does not exist.
var errNoneSelected = errors.New("no such client or leafnode id")

// Act implements system.Broker.
func (v *systemView) Act(a *system.Action) error {
	s, o, who := v.s, selector{}, a.Who
	if len(bytes.TrimSpace(a.Options)) > 0 {
		if err := json.Unmarshal(a.Options, &o); err != nil {
			return fmt.Errorf("invalid options: %w", jsonError(err, "the request"))
		}
	}
	switch a.Name {
	case "RELOAD":
		s.Noticef("Reload asked for by %s", who)
		err := s.Reload()
		if err != nil {
			s.logRefusedReload(err)
		}
		return err
	case "KICK":
		return s.kick(&o, who)
	case "LDM":
		return s.lameDuckFor(&o, who)
	}
	return errors.New(strings.ToLower(a.Name) + " is not available")
}

// rebalance disconnects the clients above the mean of the mesh, as the process is told to. The
// outcome is in the log.
func (s *Server) rebalance() {
	const who = "a signal (-sl rebalance)"
	refused := func(err error) { s.Errorf("Clients are not rebalanced: %v", err) }
	service := s.system.service()
	if service == nil {
		refused(errors.New("this needs a system account on every server, in which they say how many clients they have"))
		return
	}
	service.Rebalance(who, refused)
}

// Rebalance implements system.Broker.
func (v *systemView) Rebalance(b *system.Balance, who string) error {
	s := v.s
	list := s.surplus(b.Mean)
	b.Surplus = len(list)
	if len(list) == 0 {
		s.Noticef("No client is above the mean of %d servers, %d clients: asked for by %s", b.Servers, b.Mean, who)
		return nil
	}
	if !s.system.balancing.CompareAndSwap(false, true) {
		return errors.New("clients are being disconnected already")
	}
	s.Noticef("Disconnecting %d clients, those above the mean of %d servers, %d clients: asked for by %s", len(list), b.Servers, b.Mean, who)
	s.conns.Add(1)
	go func() { // ends when all are disconnected, or with the server; Shutdown waits for it
		defer s.conns.Done()
		defer s.system.balancing.Store(false)
		pause := s.options().LameDuckDuration / time.Duration(len(list))
		for _, c := range list {
			c.close(closeKicked)
			s.system.kicks.Add(1)
			if !s.pause(min(pause, balancePause)) {
				return
			}
		}
	}()
	return nil
}

// balancePause is the longest time between two clients that are disconnected.
const balancePause = 100 * time.Millisecond

// surplus returns the clients above a number, those that have been idle for longest. Users of the
// system account stay.
func (s *Server) surplus(keep int) []*client {
	all := s.clients.all()
	n := len(all) - keep
	if n <= 0 {
		return nil
	}
	type idle struct {
		c     *client
		since time.Time
	}
	var list []idle
	for _, c := range all {
		if !c.inSystem.Load() {
			list = append(list, idle{c, c.lastActivity()})
		}
	}
	slices.SortFunc(list, func(a, b idle) int { return a.since.Compare(b.since) })
	var surplus []*client
	for _, i := range list[:min(n, len(list))] {
		surplus = append(surplus, i.c)
	}
	return surplus
}

// kick disconnects clients.
func (s *Server) kick(o *selector, who string) error {
	if o.empty() {
		return errors.New(`say which clients, with one or more of "cid", "user", "name" and "ip"`)
	}
	list := s.selected(o)
	if len(list) == 0 {
		return errNoneSelected
	}
	for _, c := range list {
		c.noticef("Closed: kicked by %s", who)
		c.close(closeKicked)
		s.system.kicks.Add(1)
	}
	return nil
}

// lameDuckFor sends clients an INFO that makes them reconnect to another server, or begins the lame
// duck mode of the server.
func (s *Server) lameDuckFor(o *selector, who string) error {
	if o.Server {
		s.Noticef("Lame duck mode asked for by %s", who)
		s.lameDuckMode()
		return nil
	}
	if o.empty() {
		return errors.New(`say which clients, with one or more of "cid", "user", "name" and "ip", or "server": true for the whole server`)
	}
	list := s.selected(o)
	if len(list) == 0 {
		return errNoneSelected
	}
	for _, c := range list {
		c.noticef("Sent to another server: asked for by %s", who)
		c.sendLameDuck()
	}
	return nil
}

// sendLameDuck sends the client an INFO with ldm.
func (c *client) sendLameDuck() {
	info := *c.srv.info.Load().info
	info.LameDuckMode = true
	info.ClientConnectURLs = c.srv.cluster.adverts.urls()
	text := newInfoText(&info)
	c.sendAppended(func(b []byte) []byte { return c.appendInfoText(b, text) })
}
