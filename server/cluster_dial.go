package server

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"time"

	"gnatsd/server/internal/mesh"
)

// This file dials the servers that the mesh wants to be connected to.

// solicit makes urls the configured routes, which the mesh dials.
func (k *cluster) solicit(urls []*url.URL) {
	k.event(func(m *mesh.Mesh, now time.Time) { m.Configured(now, urls) })
}

// dial connects to a target, trying every address of its host name.
func (k *cluster) dial(attempt *mesh.Attempt) {
	defer k.srv.conns.Done()
	if attempt.Member > 0 {
		k.dialMember(attempt)
		return
	}
	k.srv.Debugf("Trying to connect to route on %s", attempt.Addr)
	addrs, err := k.resolve(attempt)
	if err == nil && len(addrs) > 0 {
		usable := slices.DeleteFunc(slices.Clone(addrs), func(a string) bool { return slices.Contains(attempt.Avoid, a) })
		if len(usable) == 0 {
			k.event(func(m *mesh.Mesh, now time.Time) { m.AddrsAvoided(now, attempt.Target) })
			return
		}
		addrs = usable
	}
	var nc net.Conn
	shared := false
	for _, a := range addrs {
		if k.srv.ended() {
			return
		}
		if !k.claim(attempt.Target, a) {
			shared = true
			continue
		}
		if nc, err = k.srv.options().network.Dial(a, attempt.Timeout); err == nil {
			k.srv.conns.Add(1) // teardown calls Done
			go k.srv.serveDialed(nc, attempt, a)
			return
		}
	}
	if shared && err == nil {
		k.event(func(m *mesh.Mesh, now time.Time) { m.AddrsShared(now, attempt.Target, addrs) })
		return
	}
	k.dialFailed(attempt.Target, err)
}

// advertTries is how many attempts in a row at a server that others advertise are all in the log.
const advertTries = 10

// dialFailed notes that a target could not be reached. Of many failures in a row the first, the 10th,
// the 100th and so on are errors in the log, and the first advertTries if others advertise the server;
// those may advertise any number of servers.
func (k *cluster) dialFailed(t *mesh.Target, err error) {
	failures := 0
	k.event(func(m *mesh.Mesh, now time.Time) { failures = m.DialFailed(now, t, err.Error()) })
	if failures == 0 { // the server is stopping
		return
	}
	many := failures > 1 && (t.Configured() || failures > advertTries)
	attempt, log := "", k.srv.Errorf
	if many {
		attempt = fmt.Sprintf(" (attempt %d)", failures)
	}
	if many && !powerOfTen(failures) || !t.Configured() && !k.logsAdvertised() {
		log = k.srv.Debugf
	}
	log("Error trying to connect to route: %v%s", err, attempt)
}

// logsAdvertised reports whether a line is to be written about an advertised server that cannot be
// reached.
func (k *cluster) logsAdvertised() bool {
	if !k.dialLimit.admit(time.Since(k.srv.start)) {
		return false
	}
	k.dialLimit.reportLeftOut(k.srv.Warnf, "Left out %d log lines about advertised servers that cannot be reached")
	return true
}

func powerOfTen(n int) bool {
	for n >= 10 && n%10 == 0 {
		n /= 10
	}
	return n == 1
}

// dialMember connects to a server again, for the pool of connections to it.
func (k *cluster) dialMember(attempt *mesh.Attempt) {
	k.srv.Debugf("Trying to connect to route on %s, connection %d", attempt.At, attempt.Member)
	nc, err := k.srv.options().network.Dial(attempt.At, attempt.Timeout)
	if err != nil {
		k.srv.Errorf("Error trying to connect to route: %v", err)
		k.event(func(m *mesh.Mesh, now time.Time) { m.MemberFailed(now, attempt) })
		return
	}
	k.srv.conns.Add(1) // teardown calls Done
	go k.srv.serveDialed(nc, attempt, attempt.At)
}

// claim reports whether a target may dial an address: not one that another target uses.
func (k *cluster) claim(t *mesh.Target, addr string) (free bool) {
	k.event(func(m *mesh.Mesh, _ time.Time) { free = m.Claim(t, addr) })
	return free
}

// lookupWait bounds the time of a DNS lookup.
const lookupWait = 2 * time.Second

// resolve returns the addresses, host:port, of what is to be dialed, in random order.
func (k *cluster) resolve(attempt *mesh.Attempt) ([]string, error) {
	host, port, err := net.SplitHostPort(attempt.Addr)
	if err != nil {
		return nil, err
	}
	if net.ParseIP(host) != nil {
		return []string{attempt.Addr}, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupWait)
	defer cancel()
	ips, err := k.srv.options().network.LookupHost(ctx, host)
	if err != nil {
		return nil, err
	}
	rand.New(rand.NewPCG(attempt.Seed, 0)).Shuffle(len(ips), func(i, j int) { ips[i], ips[j] = ips[j], ips[i] })
	for i, ip := range ips {
		ips[i] = net.JoinHostPort(ip, port)
	}
	if len(ips) == 0 {
		return nil, fmt.Errorf("lookup %s: no addresses", host)
	}
	return ips, nil
}
